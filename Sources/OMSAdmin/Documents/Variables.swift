import OMSDev

/// `${NAME}` and `${NAME:-default}` in a YAML file; `$${NAME}` stands for the text `${NAME}`.
///
/// Each is replaced by a mark before YAML sees it and filled in afterwards. So it can stand anywhere, in flow style too
/// (`{uri: ${URI}}`), and what is filled in is a text, whatever it looks like: a commit's `0192117` and `12345e7` too.
struct Variables {
    /// With marks in the place of the expressions.
    let text: String
    /// What stands between the braces; nil for one that is meant as it stands.
    private let expressions: [(inner: String, isLiteral: Bool)]
    private let mark: Unicode.Scalar

    init(in source: String) {
        let mark = Self.unused(in: source)
        self.mark = mark
        guard source.contains("${") else {
            (text, expressions) = (source, [])
            return
        }
        var found: [(inner: String, isLiteral: Bool)] = []
        let bytes = Array(source.utf8)
        let sign = Array(String(Character(mark)).utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var at = 0
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "$") else {
                result.append(bytes[at])
                at += 1
                continue
            }
            // The run of dollars: the last of them belongs to the brace, one before it makes it a text.
            let brace = bytes[at...].firstIndex { $0 != UInt8(ascii: "$") } ?? bytes.count
            guard brace < bytes.count, bytes[brace] == UInt8(ascii: "{"), let close = Self.end(of: brace, bytes) else {
                result += bytes[at..<brace]
                at = brace
                continue
            }
            result += bytes[at..<max(at, brace - 2)]
            result += sign + Array("\(found.count)".utf8) + sign
            found.append((String(decoding: bytes[(brace + 1)..<close], as: UTF8.self), brace - at > 1))
            at = close + 1
        }
        (text, expressions) = (String(decoding: result, as: UTF8.self), found)
    }

    private static let maxBytes = 4_096

    /// Of an expression, on its line.
    private static func end(of brace: Int, _ bytes: [UInt8]) -> Int? {
        let end = bytes[(brace + 1)...].prefix(maxBytes)
            .firstIndex { [UInt8(ascii: "}"), UInt8(ascii: "{"), UInt8(ascii: "\n")].contains($0) }
        return end.flatMap { bytes[$0] == UInt8(ascii: "}") ? $0 : nil }
    }

    func occur(in text: String) -> Bool { !expressions.isEmpty && text.unicodeScalars.contains(mark) }

    /// - Throws: what `unset` makes of an expression that has no value.
    func fill(_ text: String, _ values: (String) -> String?, unset: (String) -> any Error) throws -> String {
        guard occur(in: text) else { return text }
        var result = ""
        // By scalars: with an accent behind it the mark is another Character.
        let parts = text.unicodeScalars.split(separator: mark, omittingEmptySubsequences: false).map(String.init)
        for (index, part) in parts.enumerated() {
            guard index % 2 == 1, let number = Int(part), expressions.indices.contains(number) else {
                result += part
                continue
            }
            let (inner, isLiteral) = expressions[number]
            if isLiteral {
                result += "${\(inner)}"
                continue
            }
            let words = inner.split(separator: ":-", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(words[0])
            guard Self.isName(name) else {
                throw unset(
                    "'${\(inner)}' is no variable; write ${NAME} or ${NAME:-default}, or $${\(inner)} for the text itself"
                )
            }
            let value = values(name)
            if words.count > 1 {
                // As in a shell: an empty one gets the default too.
                result += value.flatMap { $0.isEmpty ? nil : $0 } ?? String(words[1])
            } else if let value {
                result += value
            } else {
                throw unset(
                    "the variable \(name) is not set, or empty; set it in the environment, or write $${\(name)} for the text itself"
                )
            }
        }
        return result
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
                || $0 == UInt8(ascii: "_")
        }
    }

    /// A character for private use that the file does not use: there are more of them than a file has characters.
    private static func unused(in source: String) -> Unicode.Scalar {
        let used = Set(source.unicodeScalars.filter { $0.value >= 0xF0000 })
        let free = (UInt32(0xF0000)...0x10FFFD).lazy.compactMap(Unicode.Scalar.init)
            .first { !used.contains($0) && $0.value & 0xFFFF < 0xFFFE }
        return free ?? "\u{F0000}"
    }
}
