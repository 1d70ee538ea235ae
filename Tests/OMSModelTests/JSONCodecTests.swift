import FoundationEssentials
import OMSModel
import Testing

/// Our reader and writer against Foundation's, which know nothing of each other.
struct JSONCodecTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }

        mutating func text() -> String {
            let scalars: [Unicode.Scalar] = [
                "a", "B", "é", "\u{301}", "\"", "\\", "/", "\0", "\u{1}", "\u{8}", "\u{1F}", "\u{7F}", "\n", "\t",
                "\u{2028}", "😀", "\u{FFFD}", "\u{10FFFF}",
            ]
            return (0..<Int.random(in: 0...6, using: &self)).reduce(into: "") { text, _ in
                text.unicodeScalars.append(scalars.randomElement(using: &self) ?? "x")
            }
        }

        mutating func number() -> JSONValue {
            switch Int.random(in: 0...7, using: &self) {
            case 0: [.int(.max), .int(.min), .int(0), .int(-1)].randomElement(using: &self) ?? 0
            case 1: .int(Int64(bitPattern: next()))
            case 2: .int(Int64.random(in: -1000...1000, using: &self))
            case 3: { $0.isFinite ? .double($0) : 0 }(Double(bitPattern: next()))
            case 4:
                [.double(.greatestFiniteMagnitude), .double(.leastNonzeroMagnitude), .double(1e22), .double(-1e-7)]
                    .randomElement(using: &self) ?? 0
            case 5: .double(Double.random(in: -1e6...1e6, using: &self))
            case 6: .double(Double(Int64.random(in: -1_000_000...1_000_000, using: &self)) / 100)
            default: .double(Double(Int64.random(in: -9...9, using: &self)))
            }
        }

        mutating func tree(_ depth: Int) -> JSONValue {
            switch Int.random(in: 0...(depth > 0 ? 7 : 5), using: &self) {
            case 0: .null
            case 1: .bool(Bool.random(using: &self))
            case 2, 3: number()
            case 4, 5: .string(text())
            case 6: .array((0..<Int.random(in: 0...4, using: &self)).map { _ in tree(depth - 1) })
            default:
                .object(
                    (0..<Int.random(in: 0...4, using: &self)).reduce(into: JSONObject()) { members, _ in
                        members[text()] = tree(depth - 1)
                    })
            }
        }
    }

    /// Foundation takes two spellings of a name for one and rounds large integers, so it cannot judge those.
    private func isJudgeable(_ value: JSONValue) -> Bool {
        switch value {
        case .array(let items): items.allSatisfy(isJudgeable)
        case .object(let members): Set(members.keys).count == members.count && members.values.allSatisfy(isJudgeable)
        case .number: false
        default: true
        }
    }

    @Test func `Foundation reads what we write, and we read what Foundation writes`() throws {
        var random = Random(state: 9)
        let encoder = JSONEncoder()
        var judged = 0
        for _ in 0..<4_000 {
            let value = random.tree(4)
            let bytes = value.bytes
            #expect(value.encodedBytes == bytes.count)
            #expect(try JSONReader.read(bytes, .own) == value, "\(value.text())")
            #expect(try JSONReader.read(Array(value.text(pretty: true).utf8), .own) == value)
            #expect(try JSON.encode(value) == bytes)
            guard isJudgeable(value) else { continue }
            judged += 1
            #expect(try JSONDecoder().decode(JSONValue.self, from: Data(bytes)) == value, "\(value.text())")
            let theirs = try encoder.encode(["v": value])
            #expect(try JSONReader.read(Array(theirs), .own)["v"] == value, "\(value.text())")
        }
        #expect(judged > 3_000)
    }

    @Test func `what both accept of damaged texts has the same value`() throws {
        var random = Random(state: 4)
        var both = 0
        for _ in 0..<6_000 {
            var bytes = random.tree(3).bytes
            for _ in 0..<Int.random(in: 1...2, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes.remove(at: place)
                case 1:
                    bytes.insert(
                        Array("{}[],:\"\\0123456789.eE+-tfn \u{1}".utf8).randomElement(using: &random) ?? 0, at: place)
                default: bytes[place] = UInt8.random(in: 0x20...0x7E, using: &random)
                }
            }
            // Their parser takes UTF-16, trailing commas and the first of doubled members; ours has rules of its own there.
            guard let ours = try? JSONReader.read(bytes, .own),
                let theirs = try? JSONDecoder().decode(JSONValue.self, from: Data(bytes)),
                isJudgeable(ours), ours.bytes.count == theirs.bytes.count
            else { continue }
            both += 1
            #expect(ours == theirs, "\(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(both > 500)
    }

    // MARK: - Types

    private enum Colour: String, Codable, CaseIterable { case red, green }

    private struct Inner: Codable, Equatable {
        var whole: Int
        var small: UInt8?
        var real: Double?
        var text: String?
        var names: [ServiceID: [Int]]?
        var free: JSONValue?
        var colour: Colour?
        var time: Timestamp?
    }

    private struct Outer: Codable, Equatable { var list: [Inner] }

    private func sentence(_ text: String) -> String {
        do {
            return "read: \(try JSON.decode(Outer.self, from: Array(text.utf8)))"
        } catch {
            return readable(error)
        }
    }

    @Test func `types come back as they were written`() throws {
        let value = Outer(list: [
            Inner(
                whole: -3, small: 200, real: 2.5, text: "x\u{1}", names: ["b": [1, 2], "a": []],
                free: ["k": [nil, 1e300]],
                colour: .green, time: Timestamp(milliseconds: 5)),
            Inner(whole: 1 << 53),
        ])
        let bytes = try JSON.encode(value)
        #expect(try JSON.decode(Outer.self, from: bytes) == value)
        #expect(try JSONDecoder().decode(Outer.self, from: Data(bytes)) == value)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"list":[{"colour":"green","free":{"k":[null,1e+300]},"names":{"a":[],"b":[1,2]},"real":2.5,"small":200,"text":"x\u0001","time":"1970-01-01T00:00:00.005Z","whole":-3},{"whole":9007199254740992}]}"#
        )
        #expect(JSONValue(encoding: value)["list"]?[0]?["small"] == 200)
    }

    @Test(arguments: [
        (#"{"list":[{}]}"#, "list/0/whole: is missing"),
        (#"{"list":{}}"#, "list: must be a list, but is an object"),
        (#"[]"#, "must be an object, but is a list"),
        (#"{"list":[{"whole":1},{"whole":1.5}]}"#, "list/1/whole: must be an integer, but is the number 1.5"),
        (#"{"list":[{"whole":null}]}"#, "list/0/whole: must be an integer, but is null"),
        (
            #"{"list":[{"whole":1,"small":256}]}"#,
            "list/0/small: must be an integer of 0 to 255, but is the number 256"
        ),
        (
            #"{"list":[{"whole":12345678901234567890}]}"#,
            "list/0/whole: must be an integer of -9007199254740992 to 9007199254740992, but is the number "
                + "12345678901234567890"
        ),
        (#"{"list":[{"whole":1,"text":5}]}"#, "list/0/text: must be a text, but is the number 5"),
        (
            #"{"list":[{"whole":1,"colour":"blue"}]}"#,
            "list/0/colour: must be one of red, green, but is the text 'blue'"
        ),
        (
            #"{"list":[{"whole":1,"time":"yesterday"}]}"#, "list/0/time: 'yesterday' is not an RFC 3339 time"
        ),
        (#"{"list":[{"whole":1,"names":{"a":[true]}}]}"#, "list/0/names/a/0: must be an integer, but is true"),
        (#"{"list""#, "it ends before the JSON does (at byte 7)"),
    ])
    func `an error names the place and what was found, in a user's words`(text: String, expected: String) {
        #expect(sentence(text).hasPrefix(expected.prefix(40)))
        #expect(!sentence(text).contains("Expected to decode"))
        if !text.hasSuffix("\"list\"") { #expect(sentence(text) == expected) }
    }

    @Test func `foreign numbers become the nearest that fit`() throws {
        let text =
            #"{"list":[{"whole":12.9,"small":-4.5,"real":1e400,"text":5},{"whole":1e300,"small":256},{"whole":-1e30}]}"#
        let read = try JSON.decode(Outer.self, from: Array(text.utf8), policy: .lenient)
        #expect(
            read
                == Outer(list: [
                    Inner(whole: 12, small: 0, real: .greatestFiniteMagnitude, text: "5"),
                    Inner(whole: 1 << 53, small: 255),
                    Inner(whole: -(1 << 53)),
                ]))
    }

    @Test func `infinite numbers are written as null and counted`() throws {
        let writer = JSONWriter()
        try writer.write([1.5, Double.infinity, -.infinity, .nan])
        #expect(String(decoding: writer.bytes, as: UTF8.self) == "[1.5,null,null,null]")
        #expect(writer.nonFiniteNumbers == 3)
    }

    /// Writes members out of order, one twice, and through containers that stay open.
    private struct Odd: Encodable {
        enum Keys: String, CodingKey { case z, a, m, n }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode(1, forKey: .z)
            var nested = container.nestedUnkeyedContainer(forKey: .m)
            try nested.encode("first")
            try container.encode(2, forKey: .a)
            try nested.encode(["k": true])
            try container.encode(3, forKey: .z)
            var again = encoder.container(keyedBy: Keys.self)
            try again.encodeNil(forKey: .n)
        }
    }

    @Test func `members that come in any order are written in one`() throws {
        #expect(
            String(decoding: try JSON.encode([Odd()]), as: UTF8.self)
                == #"[{"a":2,"m":["first",{"k":true}],"n":null,"z":3}]"#)
        #expect(String(decoding: try JSON.encode([Int?.none, 4]), as: UTF8.self) == "[null,4]")
        #expect(String(decoding: try JSON.encode([String: Int]()), as: UTF8.self) == "{}")
    }

    @Test func `only a real U+0000 is replaced for the database`() throws {
        let writer = JSONWriter(nul: .replaced)
        try writer.write(["a\0b": #"\u0000"#, "c": "\0"])
        #expect(String(decoding: writer.bytes, as: UTF8.self) == #"{"a\#u{FFFD}b":"\\u0000","c":"\#u{FFFD}"}"#)
    }
}
