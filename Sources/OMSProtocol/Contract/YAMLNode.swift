/// YAML that is only written, with members in the order of the code: enough for the files made from it.
indirect enum YAMLNode: Hashable, Sendable {
    case text(String)
    case int(Int)
    case bool(Bool)
    case list([YAMLNode])
    case map([Member])

    struct Member: Hashable, Sendable {
        var key: String
        var value: YAMLNode
    }

    func rendered() -> String { lines().joined(separator: "\n") + "\n" }

    static func reference(_ path: String...) -> YAMLNode {
        ["$ref": .text((["#"] + path).joined(separator: "/"))]
    }

    private func lines() -> [String] {
        switch self {
        case .text, .int, .bool: [inline ?? ""]
        case .list(let elements):
            elements.flatMap { element in
                element.lines().enumerated().map { ($0.offset == 0 ? "- " : "  ") + $0.element }
            }
        case .map(let members):
            members.flatMap { member in
                let key = Self.scalar(member.key) + ":"
                if let inline = member.value.inline { return [key + " " + inline] }
                return [key] + member.value.lines().map { "  " + $0 }
            }
        }
    }

    /// What fits behind a key: scalars, lists of scalars, whatever is empty.
    private var inline: String? {
        switch self {
        case .text(let text): return Self.scalar(text)
        case .int(let value): return "\(value)"
        case .bool(let value): return "\(value)"
        case .map(let members): return members.isEmpty ? "{}" : nil
        case .list(let elements):
            var scalars: [String] = []
            for element in elements {
                switch element {
                case .text, .int, .bool: scalars.append(element.inline ?? "")
                case .list, .map: return nil
                }
            }
            return "[" + scalars.joined(separator: ", ") + "]"
        }
    }

    /// Words that some readers of YAML 1.1 take for something else than a text.
    private static let words: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]

    private static func scalar(_ text: String) -> String {
        let bytes = text.utf8
        func isLetter(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        func isPlain(_ byte: UInt8) -> Bool {
            isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || " ._-/+".utf8.contains(byte)
        }
        if text == "$ref" { return text }
        if let first = bytes.first, isLetter(first), bytes.last != UInt8(ascii: " "), bytes.allSatisfy(isPlain),
            !words.contains(text.lowercased())
        {
            return text
        }
        var quoted = "\""
        for character in text.unicodeScalars {
            switch character {
            case "\"", "\\": quoted += "\\" + String(character)
            case "\n": quoted += "\\n"
            default: quoted.unicodeScalars.append(character)
            }
        }
        return quoted + "\""
    }
}

extension YAMLNode: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .int(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(arrayLiteral elements: YAMLNode...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, YAMLNode)...) {
        self = .map(elements.map { Member(key: $0.0, value: $0.1) })
    }
}
