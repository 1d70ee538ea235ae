/// A parameter of a statement, sent as text; the server infers the type from the statement.
package enum PGValue: Sendable, Hashable {
    case null
    case text(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)
    case bytes([UInt8])
    /// A `text[]` (or, by a cast in the statement, any other array whose elements read from text).
    case textArray([String?])
    /// A `bigint[]`.
    case intArray([Int64])

    package static func int(_ number: Int) -> PGValue { .int(Int64(number)) }
    package static func optional(_ text: String?) -> PGValue { text.map { .text($0) } ?? .null }
    package static func optional(_ number: Int64?) -> PGValue { number.map { .int($0) } ?? .null }

    /// The bytes with their final NUL, or nil for NULL.
    ///
    /// PostgreSQL's text holds no NUL: one inside a value would silently cut it, so it is replaced by U+FFFD.
    var wire: [UInt8]? {
        var bytes: [UInt8]
        switch self {
        case .null: return nil
        case .text(let text): bytes = Self.withoutNul(text)
        case .int(let number): bytes = Array(String(number).utf8)
        case .double(let number): bytes = Array(Self.literal(number).utf8)
        case .bool(let flag): bytes = Array((flag ? "t" : "f").utf8)
        case .bytes(let raw): bytes = Self.hexadecimal(raw)
        case .textArray(let elements): bytes = Self.literal(elements)
        case .intArray(let numbers): bytes = Array("{\(numbers.map(String.init).joined(separator: ","))}".utf8)
        }
        bytes.append(0)
        return bytes
    }

    private static func withoutNul(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard bytes.contains(0) else { return bytes }
        return bytes.flatMap { $0 == 0 ? Array("\u{FFFD}".utf8) : [$0] }
    }

    private static func literal(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return "\(number)"
    }

    private static func hexadecimal(_ raw: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        var bytes = Array("\\x".utf8)
        bytes.reserveCapacity(3 + 2 * raw.count)
        for byte in raw {
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
        return bytes
    }

    /// `{"a","b\"c",NULL}`: each element quoted, so that none is read as a brace, a comma or NULL.
    private static func literal(_ elements: [String?]) -> [UInt8] {
        var bytes = [UInt8(ascii: "{")]
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            guard let element else {
                bytes += "NULL".utf8
                continue
            }
            bytes.append(UInt8(ascii: "\""))
            for byte in withoutNul(element) {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}
