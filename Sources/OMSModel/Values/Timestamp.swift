/// A wall-clock time: milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 UTC with milliseconds
/// (`2026-01-31T09:30:00.000Z`). Formatting and parsing use no Foundation formatter: these run for every message.
package struct Timestamp: Hashable, Comparable, Sendable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    package func advanced(bySeconds seconds: Int) -> Timestamp {
        let (delta, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1000)
        return advanced(byMilliseconds: overflow ? (seconds < 0 ? .min : .max) : delta)
    }

    /// Stays at the earliest or latest time that there is.
    package func advanced(byMilliseconds delta: Int64) -> Timestamp {
        let (sum, overflow) = milliseconds.addingReportingOverflow(delta)
        return Timestamp(milliseconds: overflow ? (delta < 0 ? .min : .max) : sum)
    }
}

extension Timestamp: CustomStringConvertible {
    /// 0000-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z: what RFC 3339 can write.
    private static let writable: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// RFC 3339 with milliseconds and `Z`. A time that it cannot write, such as two seconds before a provider's
    /// "year 0", becomes the nearest one that it can.
    package var description: String {
        let milliseconds = min(max(milliseconds, Self.writable.lowerBound), Self.writable.upperBound)
        let days = floorDivide(milliseconds, 86_400_000)
        let inDay = Int(milliseconds - days * 86_400_000)
        let date = CivilDate(days: days)
        var text = [UInt8]()
        text.reserveCapacity(24)
        append(date.year, width: 4, to: &text)
        text.append(UInt8(ascii: "-"))
        append(date.month, width: 2, to: &text)
        text.append(UInt8(ascii: "-"))
        append(date.day, width: 2, to: &text)
        text.append(UInt8(ascii: "T"))
        append(inDay / 3_600_000, width: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        append(inDay / 60_000 % 60, width: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        append(inDay / 1000 % 60, width: 2, to: &text)
        text.append(UInt8(ascii: "."))
        append(inDay % 1000, width: 3, to: &text)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }

    /// Parses RFC 3339 section 5.6 `date-time`; any UTC offset and any number of fractional digits are accepted
    /// (digits below a millisecond are dropped). Returns nil for anything else.
    package init?(_ text: some StringProtocol) {
        var scanner = DigitScanner(Array(text.utf8))
        guard let year = scanner.number(4), scanner.take("-"), let month = scanner.number(2), scanner.take("-"),
            let day = scanner.number(2), scanner.take("T") || scanner.take("t") || scanner.take(" "),
            let hour = scanner.number(2), scanner.take(":"), let minute = scanner.number(2), scanner.take(":"),
            let second = scanner.number(2), (1...12).contains(month), day >= 1,
            day <= CivilDate.daysIn(month, of: year),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        var fraction = 0
        if scanner.take(".") {
            guard let first = scanner.digit() else { return nil }
            var weight = 100
            fraction = first * weight
            while let next = scanner.digit() {
                weight /= 10
                fraction += next * weight
            }
        }
        var offsetMinutes = 0
        if !(scanner.take("Z") || scanner.take("z")) {
            let sign: Int
            if scanner.take("+") { sign = 1 } else if scanner.take("-") { sign = -1 } else { return nil }
            guard let hours = scanner.number(2), scanner.take(":"), let minutes = scanner.number(2), hours < 24,
                minutes < 60
            else { return nil }
            offsetMinutes = sign * (hours * 60 + minutes)
        }
        guard scanner.atEnd else { return nil }
        let seconds =
            CivilDate(year: year, month: month, day: day).days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
        // With its offset a time of the first or the last day may lie outside of the years that have four digits.
        let value = (seconds - Int64(offsetMinutes) * 60) * 1000 + Int64(fraction)
        guard Self.writable.contains(value) else { return nil }
        self.init(milliseconds: value)
    }
}

extension Timestamp: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text.prefix(60))' is not an RFC 3339 time"))
        }
        // There is no year 0, in which some programs write "never"; PostgreSQL refuses it.
        guard value >= Self.yearOne else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is before the year 1"))
        }
        self = value
    }

    private static let yearOne = Timestamp(milliseconds: -62_135_596_800_000)

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// One instant read from both clocks. Deadlines and liveness use `monotonic`, so that a step of the wall clock
/// neither kills nor revives anything; schedules and records use `wall`.
package struct Moment: Hashable, Sendable {
    /// Milliseconds of a clock that never steps; its zero means nothing.
    package var monotonic: Int64
    package var wall: Timestamp

    package init(monotonic: Int64, wall: Timestamp) {
        self.monotonic = monotonic
        self.wall = wall
    }

    package func advanced(byMilliseconds delta: Int64) -> Moment {
        Moment(monotonic: monotonic + delta, wall: wall.advanced(byMilliseconds: delta))
    }
}

// MARK: - Digits

private func append(_ value: Int, width: Int, to text: inout [UInt8]) {
    var divisor = 1
    for _ in 1..<width { divisor *= 10 }
    var rest = value
    while divisor > 0 {
        text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / divisor % 10))
        rest %= divisor
        divisor /= 10
    }
}

private struct DigitScanner {
    let bytes: [UInt8]
    var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var atEnd: Bool { index == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    mutating func digit() -> Int? {
        guard index < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) else { return nil }
        index += 1
        return Int(bytes[index - 1] - UInt8(ascii: "0"))
    }

    mutating func number(_ width: Int) -> Int? {
        var value = 0
        for _ in 0..<width {
            guard let next = digit() else { return nil }
            value = value * 10 + next
        }
        return value
    }
}
