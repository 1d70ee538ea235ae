/// Text that may go to a terminal. What is interpolated into it comes from outside and is made harmless; what stands in
/// the literal is ours:
///
///     "provider \(name): \(detail)\n"     // `name` and `detail` can write neither a second line nor a colour
///
/// A terminal obeys what it shows: with ESC a provider's error clears the screen, forges a line of another provider or
/// writes to the clipboard, and a bidirectional override shows a text backwards. Such characters are shown as what they
/// are: `\u{1b}`.
package struct TerminalText: Hashable, Sendable, ExpressibleByStringInterpolation, CustomStringConvertible {
    /// Only printable characters and the line feeds of the literals.
    package let text: String

    package init(stringLiteral value: String) { text = value }

    package init(stringInterpolation: Interpolation) { text = stringInterpolation.text }

    /// One line, whatever `foreign` is.
    package init(line foreign: some StringProtocol) { text = Self.visible(foreign) }

    /// Ours in several lines, with things from outside in them: the line feeds stay.
    package init(lines foreign: String) {
        text = foreign.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { Self.visible(String($0)) }.joined(separator: "\n")
    }

    private init(safe text: String) { self.text = text }

    package var description: String { text }

    package struct Interpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        package init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount * 16)
        }

        package mutating func appendLiteral(_ literal: String) { text += literal }
        package mutating func appendInterpolation(_ part: TerminalText) { text += part.text }
        package mutating func appendInterpolation(_ value: some Any) {
            text += TerminalText.visible(String(describing: value))
        }
    }

    package static func + (a: TerminalText, b: TerminalText) -> TerminalText { TerminalText(safe: a.text + b.text) }

    package var isEmpty: Bool { text.isEmpty }

    package var lines: [TerminalText] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { TerminalText(safe: String($0)) }
    }

    // MARK: Width

    /// So many columns of a terminal; an estimate, as terminals differ in what they take for wide.
    package var columns: Int { text.reduce(0) { $0 + Self.columns($1) } }

    /// Filled with spaces on the right.
    package func padded(_ width: Int) -> TerminalText {
        TerminalText(safe: text + String(repeating: " ", count: max(0, width - columns)))
    }

    /// At most `width` columns, the last three of them a mark where something was cut.
    package func cut(_ width: Int) -> TerminalText {
        guard columns > width else { return self }
        var left = max(0, width - 3)
        let kept = text.prefix { character in
            left -= Self.columns(character)
            return left >= 0
        }
        return TerminalText(safe: String(kept) + "...")
    }

    private static func columns(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        switch scalar.value {
        case 0..<0x1100: return 1
        // Hangul, the CJK blocks, full-width forms, emoji.
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    // MARK: Making visible

    /// So many marks over one letter are read; more of them paint over the lines around it.
    private static let maxMarks = 4

    private static func visible(_ foreign: some StringProtocol) -> String {
        // Most texts are plain: looked at once, copied never.
        if foreign.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return String(foreign) }
        // Not a String, whose view of scalars is copied at every change.
        var result = String.UnicodeScalarView()
        var marks = 0
        for scalar in foreign.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .nonspacingMark, .enclosingMark: marks += 1
            default: marks = 0
            }
            if isHarmless(scalar), marks <= maxMarks {
                result.append(scalar)
            } else {
                result.append(contentsOf: escaped(scalar).unicodeScalars)
            }
        }
        return String(result)
    }

    /// By scalars: CR LF is one Character, and equal to neither CR nor LF.
    package static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        // C0, DEL and C1; what has no width and what turns the direction; line and paragraph separators.
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: false
        // Invisible, though formally a mark or a letter: variation selectors and the Hangul fillers.
        default:
            switch scalar.value {
            case 0x115F, 0x1160, 0x3164, 0xFFA0, 0x034F, 0x17B4, 0x17B5, 0xFE00...0xFE0E, 0xE0000...0xE0FFF: false
            default: true
            }
        }
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{\(String(scalar.value, radix: 16))}"
        }
    }
}

extension Sequence<TerminalText> {
    package func joined(separator: TerminalText = "") -> TerminalText {
        var result: TerminalText?
        for part in self { result = result.map { $0 + separator + part } ?? part }
        return result ?? ""
    }
}
