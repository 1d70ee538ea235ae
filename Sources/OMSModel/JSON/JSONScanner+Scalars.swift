// MARK: - Texts

extension JSONScanner {
    /// From the opening to behind the closing quote.
    mutating func text() throws(JSONFault) -> String {
        let opening = at
        at += 1
        let start = at
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
                at += 1
                return text
            case UInt8(ascii: "\\"): return try escapedText(from: start, opening: opening)
            case 0..<0x20 where !isLenient: throw rawControl
            default: at += 1
            }
        }
        throw fault("the text that begins here does not end", at: opening)
    }

    mutating func passText() throws(JSONFault) {
        let opening = at
        at += 1
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                at += 1
                return
            case UInt8(ascii: "\\"): at += 2
            default: at += 1
            }
        }
        throw fault("the text that begins here does not end", at: opening)
    }

    private var rawControl: JSONFault {
        fault("a control character inside a text; it is written as \\u00\(hex(bytes[at] >> 4))\(hex(bytes[at] & 15))")
    }

    private func hex(_ digit: UInt8) -> Character { Character(Unicode.Scalar(digit < 10 ? 48 + digit : 87 + digit)) }

    private mutating func escapedText(from start: Int, opening: Int) throws(JSONFault) -> String {
        var text = Array(bytes[start..<at])
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard at + 1 < bytes.count else { break }
                at += 1
                try escape(into: &text)
                continue
            case 0..<0x20 where !isLenient: throw rawControl
            default: text.append(byte)
            }
            at += 1
        }
        throw fault("the text that begins here does not end", at: opening)
    }

    /// At the character behind the backslash; leaves `at` behind the escape.
    private mutating func escape(into text: inout [UInt8]) throws(JSONFault) {
        let letter = bytes[at]
        at += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let unit = codeUnit() else { throw fault("\\u is followed by four hexadecimal digits", at: at - 2) }
            append(unit, to: &text)
        default: throw fault("no such escape in a text", at: at - 2)
        }
    }

    private mutating func codeUnit() -> UInt32? {
        guard at + 4 <= bytes.count else { return nil }
        var unit: UInt32 = 0
        for byte in bytes[at..<at + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - 48
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - 87
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - 55
            default: return nil
            }
            unit = unit << 4 | UInt32(digit)
        }
        at += 4
        return unit
    }

    /// Programs that cut texts by UTF-16 leave half of a pair behind: it becomes U+FFFD, as wrong UTF-8 does.
    private mutating func append(_ unit: UInt32, to text: inout [UInt8]) {
        var code = unit
        if (0xD800..<0xDC00).contains(unit), at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"),
            bytes[at + 1] == UInt8(ascii: "u")
        {
            let behindFirst = at
            at += 2
            if let second = codeUnit(), (0xDC00..<0xE000).contains(second) {
                code = 0x10000 + (unit - 0xD800) << 10 + (second - 0xDC00)
            } else {
                at = behindFirst
            }
        }
        text.append(contentsOf: UTF8.encode(Unicode.Scalar(code) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter)
    }
}

// MARK: - Numbers

extension JSONScanner {
    mutating func number() throws(JSONFault) -> JSONValue {
        let start = at
        let isNegative = at < bytes.count && bytes[at] == UInt8(ascii: "-")
        if isNegative { at += 1 }
        if isNegative, isLenient, bytes.count - at >= 8, bytes[at] == UInt8(ascii: "I"),
            bytes[at..<at + 8].elementsEqual("Infinity".utf8)
        {
            at += 8
            return .string("-Infinity")
        }
        // Digits are added up until they no longer fit; the power of ten follows the point and the exponent.
        var mantissa: UInt64 = 0
        var isExact = true
        var power = 0
        let whole = try digits(&mantissa, &isExact)
        if whole > 1, bytes[at - whole] == UInt8(ascii: "0") {
            throw fault("a number does not begin with a zero that another digit follows", at: start)
        }
        var isInteger = true
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            isInteger = false
            power = -(try digits(&mantissa, &isExact))
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            isInteger = false
            var exponentIsNegative = false
            if at < bytes.count, bytes[at] == UInt8(ascii: "-") || bytes[at] == UInt8(ascii: "+") {
                exponentIsNegative = bytes[at] == UInt8(ascii: "-")
                at += 1
            }
            var exponent: UInt64 = 0
            var fits = true
            _ = try digits(&exponent, &fits)
            let bounded = fits ? Int(min(exponent, 1_000_000)) : 1_000_000
            power += exponentIsNegative ? -bounded : bounded
        }
        if isExact, let value = integer(mantissa, power).flatMap({ signed($0, isNegative) }) { return .int(value) }
        let literal = bytes[start..<at]
        guard let value = double(mantissa, isExact, power, isNegative) ?? Double(Self.text(literal)) else {
            throw fault("no number", at: start)
        }
        if value.isFinite, !isInteger { return .double(value) }
        let number = JSONNumber(literal: Self.text(literal))
        // PostgreSQL writes 1e300 with all its zeros.
        if value.isFinite, literal.count > 40, number?.isEqual(to: value) ?? true { return .double(value) }
        if let number { return .number(number) }
        guard isLenient else { throw fault("a number beyond \(JSONNumber.maxDigits) digits", at: start) }
        return .string(Self.text(literal.prefix(JSONNumber.maxDigits)))
    }

    private static func text(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        String(decoding: UnsafeBufferPointer(rebasing: bytes), as: UTF8.self)
    }

    /// - Returns: how many there are, at least one.
    private mutating func digits(_ sum: inout UInt64, _ isExact: inout Bool) throws(JSONFault) -> Int {
        let start = at
        while at < bytes.count, bytes[at] >= 48, bytes[at] <= 57 {
            if isExact {
                let (product, overflow) = sum.multipliedReportingOverflow(by: 10)
                let (next, carry) = product.addingReportingOverflow(UInt64(bytes[at] - 48))
                if overflow || carry { isExact = false } else { sum = next }
            }
            at += 1
        }
        guard at > start else { throw fault("a digit is expected") }
        return at - start
    }

    private func integer(_ mantissa: UInt64, _ power: Int) -> UInt64? {
        var value = mantissa
        if mantissa == 0 { return 0 }
        guard (-19...19).contains(power) else { return nil }
        for _ in 0..<max(0, power) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            value = product
        }
        for _ in 0..<max(0, -power) {
            guard value % 10 == 0 else { return nil }
            value /= 10
        }
        return value
    }

    private func signed(_ magnitude: UInt64, _ isNegative: Bool) -> Int64? {
        if !isNegative { return Int64(exactly: magnitude) }
        return magnitude == 1 << 63 ? .min : Int64(exactly: magnitude).map { -$0 }
    }

    /// Both operands are exact, so the one rounding of the operation gives the nearest number.
    private func double(_ mantissa: UInt64, _ isExact: Bool, _ power: Int, _ isNegative: Bool) -> Double? {
        guard isExact, mantissa <= 1 << 53, (-22...22).contains(power) else { return nil }
        let magnitude =
            power < 0 ? Double(mantissa) / Self.powersOfTen[-power] : Double(mantissa) * Self.powersOfTen[power]
        return isNegative ? -magnitude : magnitude
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]
}
