import OMSDev

/// The bytes of a YAML file as text, and what an editor does not show in it.
enum SourceText {
    /// UTF-8, with or without a byte order mark.
    /// - Throws: `DevError` that names the encoding, or the line of the first byte that is none.
    static func read(_ bytes: some Collection<UInt8>, _ path: String) throws -> String {
        let start = Array(bytes.prefix(4))
        if start.starts(with: [0xFF, 0xFE]) || start.starts(with: [0xFE, 0xFF]) || start.contains(0) {
            throw DevError("\(path):1: the file is UTF-16 or binary; save it as UTF-8")
        }
        let body = start.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes.dropFirst(0)
        guard let text = String(validating: body, as: UTF8.self) else {
            throw DevError(
                "\(path):\(firstBrokenLine(body)): not UTF-8, perhaps Latin-1 (ISO 8859-1) or Windows-1252; "
                    + "save the file as UTF-8")
        }
        var line = 1
        for scalar in text.unicodeScalars {
            if scalar == "\n" { line += 1 }
            guard scalar.properties.generalCategory == .control, !["\n", "\r", "\t", "\u{85}"].contains(scalar) else {
                continue
            }
            throw DevError(
                "\(path):\(line): the control character U+\(hex(scalar)) stands there; delete it, or write it in double "
                    + "quotes as \"\\x\(hex(scalar).suffix(2))\"")
        }
        return text
    }

    private static func firstBrokenLine(_ bytes: some Collection<UInt8>) -> Int {
        var line = 1
        for part in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if String(validating: part, as: UTF8.self) == nil { return line }
            line += 1
        }
        return line
    }

    /// What looks like a space and is none, where YAML could not be read.
    static func hint(near line: Int, in text: String) -> String? {
        let lines = text.unicodeScalars.split(separator: "\n", maxSplits: line + 1, omittingEmptySubsequences: false)
        for index in [line - 1, line - 2, line] where lines.indices.contains(index) && index <= line {
            if let odd = lines[index].first(where: isOddSpace) {
                return "line \(index + 1) holds U+\(hex(odd)), which looks like a space and is none; type a space there"
            }
            let indent = lines[index].prefix { $0 == " " || $0 == "\t" }
            if indent.contains("\t") { return "line \(index + 1) is indented with a tab; YAML wants spaces" }
        }
        return nil
    }

    /// No-break space and its like.
    static func isOddSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar != " "
            && (scalar.properties.generalCategory == .spaceSeparator || scalar == "\u{200B}" || scalar == "\u{FEFF}")
    }

    private static func hex(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
