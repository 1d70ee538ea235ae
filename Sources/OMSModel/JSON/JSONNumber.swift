/// A number that neither `Int64` nor `Double` holds: an id of twenty digits, or 1e400. It is passed on as it was written,
/// so that two ids never become one. PostgreSQL's jsonb keeps such numbers too.
package struct JSONNumber: Sendable {
    /// As JSON writes numbers.
    package let literal: String

    /// Longer ones, and those with more digits before or behind the point, are not numbers for OMS: a reader makes texts
    /// of them. A few bytes such as 1e100000 would become 100 KB in PostgreSQL.
    package static let maxDigits = 1_000

    /// - Parameter literal: a number by the grammar of JSON.
    /// - Returns: nil if it is larger than what is kept.
    init?(literal: String) {
        guard literal.utf8.count <= Self.maxDigits else { return nil }
        let decimal = Decimal(literal)
        guard abs(decimal.exponent) + decimal.digits.count <= Self.maxDigits else { return nil }
        self.literal = literal
    }

    package var isInteger: Bool { Decimal(literal).exponent >= 0 }
    package var isNegative: Bool { literal.utf8.first == UInt8(ascii: "-") }

    /// The nearest finite one, if there is one.
    package var double: Double? {
        guard let value = Double(literal), value.isFinite else { return nil }
        return value
    }

    /// The integer that is written for a `Double`: above 2^53 that is not the one whose bits it has.
    static func whole(_ value: Double) -> Int64? {
        if value.magnitude <= 0x1p53 { return Int64(exactly: value) }
        guard value.magnitude < 0x1p64, case .int(let whole)? = JSONValue(number: "\(value)") else { return nil }
        return whole
    }

    func isEqual(to other: Double) -> Bool { other.isFinite && Decimal(literal) == Decimal("\(other)") }

    static func hash(_ value: Double, into hasher: inout Hasher) { hasher.combine(Decimal("\(value)")) }
}

extension JSONNumber: Hashable, CustomStringConvertible {
    package static func == (a: JSONNumber, b: JSONNumber) -> Bool { Decimal(a.literal) == Decimal(b.literal) }
    package func hash(into hasher: inout Hasher) { hasher.combine(Decimal(literal)) }
    package var description: String { literal }
}

extension JSONNumber: Encodable {
    /// For the encoder of another library, which has no way to write digits as they are.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let double { try container.encode(double) } else { try container.encode(literal) }
    }
}

extension JSONValue {
    /// A number as it is written in JSON or YAML 1.2, with all its digits.
    /// - Returns: nil if it is none, or larger than what OMS keeps (`JSONNumber.maxDigits`).
    package init?(number text: some StringProtocol) {
        let value = Array(text.utf8).withUnsafeBufferPointer { bytes -> JSONValue? in
            var scanner = JSONScanner(bytes: bytes, limits: .own, isLenient: false)
            guard let value = try? scanner.number(), scanner.at == bytes.count else { return nil }
            return value
        }
        guard let value else { return nil }
        self = value
    }
}

/// Sign, digits without zeros at both ends, and a power of ten: the same for all ways to write a number.
private struct Decimal: Hashable {
    var isNegative = false
    var digits: [UInt8] = []
    var exponent = 0

    init(_ literal: String) {
        var fraction = 0
        var isFraction = false
        var written = 0
        var writtenIsNegative = false
        var inExponent = false
        for byte in literal.utf8 {
            switch byte {
            case UInt8(ascii: "-") where inExponent: writtenIsNegative = true
            case UInt8(ascii: "-"): isNegative = true
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"): inExponent = true
            case UInt8(ascii: "0")...UInt8(ascii: "9") where inExponent:
                // Beyond every limit, so more digits make no difference.
                if written < 1_000_000 { written = written * 10 + Int(byte &- 48) }
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if isFraction { fraction += 1 }
                if byte != 48 || !digits.isEmpty { digits.append(byte) }
            default: break
            }
        }
        exponent = (writtenIsNegative ? -written : written) - fraction
        while digits.last == 48 {
            digits.removeLast()
            exponent += 1
        }
        if digits.isEmpty { (isNegative, exponent) = (false, 0) }
    }
}
