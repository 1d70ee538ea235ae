/// `{name}` in a scenario's texts.
///
/// A name stands between two braces that have no other brace between them, so that JSON, GraphQL and templates around it
/// do no harm: in `{"customer": "{tenant}"}` it is `{tenant}` that is filled, and `{{tenant}}` becomes `{men}`. What has
/// been filled in is not looked at again: a variable with the value `{date}` puts `{date}` into the text.
enum Braces {
    static func fill(_ text: String, _ value: (String) -> String?) -> String {
        guard text.utf8.contains(open) else { return text }
        var result = ""
        scan(text) { part, inner in result += inner.flatMap { value(String($0)) } ?? String(part) }
        return result
    }

    /// Everything that has the form of a variable: letters, digits, `_` and `-`, not beginning with a digit.
    static func names(in text: String) -> [String] {
        var found: [String] = []
        guard text.utf8.contains(open) else { return found }
        scan(text) { _, inner in
            guard let inner, let first = inner.utf8.first, isLetter(first) || first == UInt8(ascii: "_"),
                inner.utf8.allSatisfy({ isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D })
            else { return }
            found.append(String(inner))
        }
        return found
    }

    private static let open = UInt8(ascii: "{")
    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    /// - Parameter visit: gets the parts of the text, and of those in braces what is between them.
    private static func scan(_ text: String, _ visit: (_ part: Substring, _ inner: Substring?) -> Void) {
        let bytes = text.utf8
        var start = bytes.startIndex
        var brace: String.Index?
        var at = start
        while at < bytes.endIndex {
            let next = bytes.index(after: at)
            if bytes[at] == open {
                if start < at { visit(text[start..<at], nil) }
                (start, brace) = (at, at)
            } else if bytes[at] == UInt8(ascii: "}"), let from = brace {
                visit(text[from..<next], text[bytes.index(after: from)..<at])
                (start, brace) = (next, nil)
            }
            at = next
        }
        if start < bytes.endIndex { visit(text[start...], nil) }
    }
}
