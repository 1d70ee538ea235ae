import Glibc
package import OMSModel

/// The only way to an operator's terminal. It takes `TerminalText`, so that nothing from outside gets there raw; a test
/// looks for other ways in the sources.
package enum Terminal {
    package static func print(_ text: TerminalText) { write(text.text + "\n", STDOUT_FILENO) }

    /// Without a line feed: a question, the erasing of a drawn block.
    static func print(unended text: TerminalText) { write(text.text, STDOUT_FILENO) }

    package static func printError(_ text: TerminalText) { write(text.text + "\n", STDERR_FILENO) }

    /// JSON for a program or a person: what a terminal would obey is written as `\u001b`.
    static func print(json value: JSONValue) { write(JSONText.render(value) + "\n", STDOUT_FILENO) }

    /// A file that is made from our own code alone.
    static func print(file text: String) { write(text, STDOUT_FILENO) }

    private static func write(_ text: String, _ descriptor: Int32) {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count <= 0 && errno != EINTR { return }  // a closed pipe: there is nobody to tell
            start += max(0, count)
        }
    }
}

/// JSON as people and programs read it.
package enum JSONText {
    package static func render(_ value: JSONValue, pretty: Bool = true) -> String {
        escaped(value.text(pretty: pretty))
    }

    /// JSON itself escapes the characters below U+0020 only. The others that are no print stand in texts only, so that
    /// an escape means the same.
    private static func escaped(_ json: String) -> String {
        if json.utf8.allSatisfy({ $0 < 0x7F }) { return json }
        var result = String.UnicodeScalarView()
        for scalar in json.unicodeScalars {
            if scalar == "\n" || TerminalText.isHarmless(scalar) {
                result.append(scalar)
            } else {
                for unit in UTF16.encode(scalar) ?? .init([]) {
                    let digits = String(unit, radix: 16)
                    result.append(
                        contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
                }
            }
        }
        return String(result)
    }
}
