import OMSModel
import Testing

@Suite("Text for terminals")
struct TerminalTextTests {
    @Test(
        "shows what a terminal would obey",
        arguments: [
            ("\u{1B}[2J", #"\u{1b}[2J"#), ("a\u{07}b", #"a\u{7}b"#), ("a\r\nforged", #"a\r\nforged"#),
            ("a\rb", #"a\rb"#), ("a\nb", #"a\nb"#), ("a\tb", #"a\tb"#), ("\u{7F}", #"\u{7f}"#),
            ("\u{9B}31m", #"\u{9b}31m"#), ("\u{9D}52;c;x\u{9C}", #"\u{9d}52;c;x\u{9c}"#), ("\u{0}", #"\u{0}"#),
            ("a\u{202E}b\u{2069}", #"a\u{202e}b\u{2069}"#), ("al\u{200B}pha\u{200D}", #"al\u{200b}pha\u{200d}"#),
            ("a\u{2028}b\u{2029}c\u{85}d", #"a\u{2028}b\u{2029}c\u{85}d"#), ("\u{FEFF}x", #"\u{feff}x"#),
            ("tag\u{E0041}", #"tag\u{e0041}"#), ("\u{3164}", #"\u{3164}"#),
        ])
    func escapes(foreign: String, shown: String) {
        #expect(TerminalText(line: foreign).text == shown)
        #expect("\(foreign)" as TerminalText == TerminalText(line: foreign))
        #expect(
            TerminalText(lines: "a" + foreign).text.unicodeScalars.allSatisfy {
                $0 == "\n" || TerminalText.isHarmless($0)
            })
    }

    @Test("leaves letters of all languages, and emoji, as they are")
    func letters() {
        for text in ["Müller", "日本語", "Ελλάδα", "مرحبا", "e\u{301}", "👍", "10 €"] {
            #expect(TerminalText(line: text).text == text)
        }
    }

    @Test("no scalar of Unicode that is a control or a format gets through, alone or behind a letter")
    func allScalars() {
        for value in UInt32(0)...0xE_0FFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let shown = TerminalText(line: "x\(String(Character(scalar)))").text.unicodeScalars
            let isBad = [.control, .format, .lineSeparator, .paragraphSeparator].contains(
                scalar.properties.generalCategory)
            if shown.contains(scalar), isBad { Issue.record("U+\(String(value, radix: 16))") }
        }
    }

    @Test("literals keep their lines; what is put into them gets none; parts can be put together")
    func interpolation() {
        let foreign = "x\ny"
        let text: TerminalText = "one \(foreign)\ntwo \(7) \(TerminalText("three\nfour"))"
        #expect(text.text == "one x\\ny\ntwo 7 three\nfour")
        #expect(text.lines.map(\.text) == ["one x\\ny", "two 7 three", "four"])
        #expect((["a", "b", "c"] as [TerminalText]).joined(separator: ", ").text == "a, b, c")
    }

    @Test("takes time in step with its length", .timeLimit(.minutes(1)))
    func cost() {
        let text = TerminalText(line: String(repeating: "\u{1B}é", count: 100_000))
        #expect(text.text.utf8.count == 800_000)
    }

    @Test("a pile of accents stays in its line")
    func marks() {
        let shown = TerminalText(line: "a" + String(repeating: "\u{301}", count: 50)).text
        #expect(shown.unicodeScalars.filter { $0 == "\u{301}" }.count == 4)
    }

    @Test("is cut with a mark, and wide letters count twice")
    func width() {
        let long = TerminalText(line: String(repeating: "x", count: 500))
        #expect(long.cut(20).text == String(repeating: "x", count: 17) + "...")
        #expect(TerminalText(line: "日本語").columns == 6)
        #expect(TerminalText(line: "日本語日本語").cut(8).text == "日本...")
        #expect(TerminalText(line: "日本").padded(6).text == "日本  ")
        #expect(TerminalText("short").cut(20).text == "short")
    }
}
