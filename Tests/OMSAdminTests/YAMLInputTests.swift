import Foundation
import OMSCore
import OMSDev
import OMSModel
import Testing

@testable import OMSAdmin

/// YAML as editors, shells and Windows write it.
@Suite("Odd YAML")
struct YAMLInputTests {
    private func read(_ text: String, _ variables: [String: String] = [:]) throws -> JSONValue {
        try YAMLFile(bytes: Array(text.utf8), path: "x.yaml") { variables[$0] }.documents[0].value
    }

    private func sentence(_ bytes: [UInt8], _ variables: [String: String] = [:]) -> String {
        do {
            let file = try YAMLFile(bytes: bytes, path: "x.yaml") { variables[$0] }
            return "no error: \(file.documents.map(\.value))"
        } catch {
            return "\(error)"
        }
    }

    private func sentence(_ text: String, _ variables: [String: String] = [:]) -> String {
        sentence(Array(text.utf8), variables)
    }

    // MARK: Encodings

    @Test("a byte order mark and CR LF are read")
    func windows() throws {
        #expect(try read("\u{FEFF}kind: Tenant\r\nname: Müller\r\n") == ["kind": "Tenant", "name": "Müller"])
    }

    @Test("an empty file can be read, and holds no document")
    func empty() throws {
        #expect(try YAMLFile(contentsOf: "/dev/null") { _ in nil }.documents.isEmpty)
        #expect(throws: DevError.self) { try YAMLFile(contentsOf: "") { _ in nil } }
    }

    @Test("other encodings are named, with the line and the remedy")
    func encodings() {
        let latin1 = Array("a: 1\nb: M".utf8) + [0xFC] + Array("ller\n".utf8)
        #expect(
            sentence(latin1)
                == "x.yaml:2: not UTF-8, perhaps Latin-1 (ISO 8859-1) or Windows-1252; save the file as UTF-8")
        for utf16 in [[0xFF, 0xFE, 0x61, 0] as [UInt8], [0xFE, 0xFF, 0, 0x61], [0x61, 0, 0x3A, 0]] {
            #expect(sentence(utf16) == "x.yaml:1: the file is UTF-16 or binary; save it as UTF-8")
        }
    }

    @Test("what an editor does not show is named: no-break spaces, tabs, control characters")
    func invisible() {
        #expect(sentence("kind: Tenant\nname:\u{A0}x\nspec: {}\n").contains("line 2 holds U+00A0"))
        #expect(sentence("a:\n\tb: 1\n").contains("line 2 is indented with a tab; YAML wants spaces"))
        #expect(
            sentence("a: \u{1B}[2J\n")
                == #"x.yaml:1: the control character U+001B stands there; delete it, or write it in double quotes as "\x1B""#
        )
        #expect(sentence("a: 1\nb\u{A0}: 2\n").contains("begins or ends with a no-break space"))
    }

    // MARK: Numbers

    @Test(
        "a number that cannot be kept is refused with its line",
        arguments: ["1e999", "-1e999", ".inf", "-.INF", ".nan", "1e400"])
    func infinite(text: String) {
        let words = sentence("a: 1\nb: {limit: \(text)}\n")
        #expect(words.hasPrefix("x.yaml:2: ") && words.contains(text), "\(words)")
    }

    @Test("ids keep every digit")
    func digits() throws {
        let value = try read(
            "[12345678901234567890, 12345678901234567891, -12345678901234567890, +12345678901234567890]")
        #expect(
            value.text() == "[12345678901234567890,12345678901234567891,-12345678901234567890,12345678901234567890]")
        #expect(
            try read("a: '12345678901234567890'\nb: 9223372036854775807\nc: -9223372036854775808\n")
                == ["a": "12345678901234567890", "b": .int(.max), "c": .int(.min)])
        #expect(sentence("a: \(String(repeating: "7", count: 2_000))\n").hasPrefix("x.yaml:1: the number 777"))
    }

    // MARK: Variables

    @Test(
        "a variable's value is a text, whatever it looks like",
        arguments: [
            "0192117", "12345e7", "null", "true", "a1b2c3d", "", "~", "1.5", "[x", "a: b", "- x", "#", "'", "${X}",
        ])
    func texts(value: String) throws {
        let expected: JSONValue = ["a": .string(value), "b": [.string(value)], "c": .string("v-\(value)")]
        #expect(try read("a: ${SHA}\nb: [${SHA}]\nc: v-${SHA}\n", ["SHA": value]) == expected)
        #expect(try read("{a: ${SHA}, b: [ ${SHA} ], c: \"v-${SHA}\"}", ["SHA": value]) == expected)
    }

    @Test("flow style, keys, block texts, defaults, literal ones, accents behind them")
    func places() throws {
        let variables = ["URI": "file:///x", "EMPTY": ""]
        #expect(try read("{uri: ${URI}, ${URI}: 1}", variables) == ["uri": "file:///x", "file:///x": 1])
        #expect(
            try read("a: |\n  cp ${URI} $${URI} $X $ {Y} $$\n", variables) == ["a": "cp file:///x ${URI} $X $ {Y} $$\n"]
        )
        #expect(
            try read("[${NOPE:-a:-b}, ${EMPTY:-c}, ${URI:-d}, \"${NOPE:-}\"]", variables) == [
                "a:-b", "c", "file:///x", "",
            ])
        #expect(try read("{a: $${URI}, b: $$${URI}}", variables) == ["a": "${URI}", "b": "$${URI}"])
        #expect(try read("a: \"${URI}\u{301}\u{F0000}\"", variables) == ["a": "file:///x\u{301}\u{F0000}"])
        #expect(try read("# ${IGNORED} ${x-y}\na: !!int ${N}\n", ["N": "7"]) == ["a": 7])
    }

    @Test("an unset one, and what is none, are named with the line")
    func unset() {
        #expect(sentence("a: 1\nb: [${NOPE}]\n").hasPrefix("x.yaml:2: the variable NOPE is not set"))
        #expect(
            sentence("a: ${A:?x}\n").hasPrefix("x.yaml:1: '${A:?x}' is no variable; write ${NAME} or ${NAME:-default}"))
        #expect(sentence("a: !!int ${A}\n", ["A": "x"]) == "x.yaml:1: 'x' is no int")
    }

    // MARK: Mappings

    @Test("merge keys are merged, as Yams and PyYAML do it; lines are those of the origin")
    func merging() throws {
        let text = """
            one: &one {table: logs, top: 1}
            two: &two
              source: web
              top: 2
            all:
              <<: [*one, *two]
              top: 3
            own: {<<: *two}
            nested: &three {<<: *one, n: 1}
            last: {a: 0, <<: *three}
            quoted: {"<<": 1}
            """
        let file = try YAMLFile(text, path: "x.yaml") { _ in nil }
        let value = file.documents[0].value
        #expect(value["all"] == ["table": "logs", "source": "web", "top": 3])
        #expect(value["own"] == ["source": "web", "top": 2])
        #expect(value["last"] == ["a": 0, "table": "logs", "top": 1, "n": 1])
        #expect(value["quoted"] == ["<<": 1])
        #expect(file.documents[0].line(of: "/all/source") == 3 && file.documents[0].line(of: "/all/top") == 7)
        #expect(
            sentence("a: {<<: 7}\n")
                == "x.yaml:1: the merge key << takes a mapping or a list of them, such as <<: *common")
    }

    @Test("a key that stands twice is refused with both lines")
    func doubled() {
        let words = "x.yaml:5: the key 'c' stands in line 3 already; keep one"
        #expect(sentence("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n") == words)
        #expect(sentence("a: 1\r\n\"a\": 2\r\n").hasPrefix("x.yaml:2: the key 'a' stands in line 1"))
        #expect(sentence("{1: a, \"1\": b}").contains("the key '1' stands"))
        #expect(sentence("a${X}: 1\nb: 2\nab: 3\n", ["X": "b"]).hasPrefix("x.yaml:3: the key 'ab' stands in line 1"))
        #expect(sentence("caf\u{E9}: 1\ncafe\u{301}: 2\n").hasPrefix("no error"), "two texts of JSON")
    }

    @Test("tags that are not known are refused, those of the core schema are obeyed")
    func tags() throws {
        #expect(
            try read("{a: !!str 12, b: !!int 7, c: !!float 1.5, d: ! 12}") == ["a": "12", "b": 7, "c": 1.5, "d": "12"])
        #expect(
            sentence("a: !!binary aGk=\n").hasPrefix("x.yaml:1: the tag 'tag:yaml.org,2002:binary' is not known here"))
        #expect(sentence("a: !Ref x\n").contains("the tag '!Ref'"))
        #expect(sentence("a: !!set {x: }\n").contains("not known"))
    }

    // MARK: Cost

    @Test("what aliases make large is refused at once", .timeLimit(.minutes(1)))
    func bombs() {
        var lists = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1..<12 {
            lists += "l\(level): &l\(level) [\(Array(repeating: "*l\(level - 1)", count: 10).joined(separator: ","))]\n"
        }
        #expect(sentence(lists).contains("at most 100,000 values"))
        let texts =
            "a: &a \"\(String(repeating: "x", count: 500_000))\"\nb: [\(Array(repeating: "*a", count: 1_000).joined(separator: ","))]\n"
        #expect(sentence(texts).contains("4 MiB"))
        var merges = "m0: &m0 {a: 1}\n"
        for level in 1..<30 {
            merges += "m\(level): &m\(level) {<<: [*m\(level - 1), *m\(level - 1), *m\(level - 1)]}\n"
        }
        #expect(sentence(merges).contains("at most"))
        let key = lists + "m: {? *l11 : 1}\n"
        #expect(sentence(key).contains("at most 100,000 values"))
        #expect(sentence("a: &a [x]\nb: {? *a : 1}\n").hasSuffix("a key must be a plain text"))
        var empty = "m0: &m0 {}\n"
        for level in 1..<12 {
            let aliases = Array(repeating: "*m\(level - 1)", count: 10).joined(separator: ",")
            empty += "m\(level): &m\(level) {<<: [\(aliases)]}\n"
        }
        #expect(sentence(empty).contains("at most"))
        let longKeys =
            "? \"\(String(repeating: "k", count: 300_000))\"\n: [\(Array(repeating: "x", count: 90_000).joined(separator: ","))]\n"
        #expect(sentence(longKeys).hasPrefix("no error"))
    }

    @Test("the worst files take time in step with their length", .timeLimit(.minutes(1)))
    func worst() {
        func list(_ item: String) -> String {
            "[" + String(repeating: item + ",", count: 200_000 / (item.utf8.count + 1)) + "]"
        }
        let cases = [
            list("x"), list("{}"), list("\"\""), list("${X}"), list("12345678901234567890.5"),
            String(repeating: "[", count: 200_000), String(repeating: "{a: ", count: 50_000),
            String(repeating: "- ", count: 500_000), "a: |\n" + String(repeating: "  x\n", count: 50_000),
            (0..<12_000).map { "key\($0): 1\n" }.joined(), String(repeating: "---\na: 1\n", count: 20_000),
            "a: \"" + String(repeating: "\\n", count: 80_000) + "\"", String(repeating: "? ", count: 500_000),
            String(repeating: "a: &a x\n", count: 1) + "b: " + list("*a"),
            "x: ${" + String(repeating: "A", count: 180_000) + "}",
            String(repeating: "${", count: 500_000), String(repeating: "$", count: 200_000),
        ]
        for (index, text) in cases.enumerated() {
            let start = ContinuousClock.now
            _ = sentence(Array(text.utf8.prefix(YAMLFile.maxBytes)), ["X": "1"])
            let took = ContinuousClock.now - start
            #expect(took < .seconds(5), "case \(index): \(took)")
        }
    }

    @Test("no bytes end the program", arguments: 0..<8)
    func random(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let pieces = [
            "kind: Tenant\n", "spec:\n", "  - ", "a: ", "{", "}", "[", "]", ",", "&a ", "*a", "<<: ", "? ", ": ",
            "---\n", "...\n",
            "|\n  x\n", ">-\n", "!!int ", "!x ", "\"", "'", "#", "${X}", "$${", "${A:-b}", "1e999", "\t", "\u{A0}",
            "\u{FEFF}",
            "é", "\u{F0000}", "%YAML 1.1\n", "%TAG ! x\n", "- &b [*b]\n", "\\u0000", "\\ud800", "null",
            "12345678901234567890", "\r",
        ].map { Array($0.utf8) }
        for round in 0..<400 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1..<40, using: &generator) {
                if round % 4 == 0 {
                    bytes.append(UInt8.random(in: 0...255, using: &generator))
                } else {
                    bytes += pieces.randomElement(using: &generator) ?? []
                }
            }
            let words = sentence(bytes, ["X": "1"])
            #expect(words.hasPrefix("no error") || words.hasPrefix("x.yaml:"), "\(bytes): \(words)")
        }
    }
}
