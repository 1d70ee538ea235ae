import OMSModel

/// What holds after the last transition that a time zone file names: the POSIX form of the variable `TZ`, with the
/// extensions of RFC 9636, such as `CET-1CEST,M3.5.0,M10.5.0/3` or `<-03>3`.
struct TimeZoneRule: Hashable {
    /// A moment of each year, by the clock that holds before it.
    struct Change: Hashable {
        enum Day: Hashable {
            /// 1 to 365; the 29th of February is never counted.
            case julian(Int)
            /// 0 to 365.
            case ordinal(Int)
            /// The last one if `week` is 5; Sunday is 0.
            case weekday(month: Int, week: Int, day: Int)
        }

        var day: Day
        /// Seconds of the local day, -167 to 167 hours.
        var time: Int64

        /// Local seconds since 1970.
        func local(in year: Int) -> Int64 {
            let first = CivilDate(year: year, month: 1, day: 1).days
            let days: Int64
            switch day {
            case .julian(let number):
                let isLeap = CivilDate.daysIn(2, of: year) == 29
                days = first + Int64(number - 1) + (isLeap && number >= 60 ? 1 : 0)
            case .ordinal(let number): days = first + Int64(number)
            case .weekday(let month, let week, let day):
                let begin = CivilDate(year: year, month: month, day: 1).days
                let offset = (day - CivilDate.weekday(ofDays: begin) + 7) % 7
                var number = offset + 7 * (week - 1)
                if number >= CivilDate.daysIn(month, of: year) { number -= 7 }
                days = begin + Int64(number)
            }
            return days * 86_400 + time
        }
    }

    struct Summer: Hashable {
        var offset: Int64
        var begin: Change
        var end: Change
    }

    /// Local time minus UTC, in seconds.
    var standard: Int64
    var summer: Summer?

    /// - Returns: nil for a text that is no such rule.
    init?(_ text: String) {
        var parser = Parser(rest: Array(text.utf8)[...])
        guard parser.name(), let offset = parser.time(maxHours: 24) else { return nil }
        // POSIX counts westwards.
        standard = -offset
        guard !parser.rest.isEmpty else { return }
        guard parser.name() else { return nil }
        var summerOffset = standard + 3_600
        if parser.rest.first != UInt8(ascii: ",") {
            guard let offset = parser.time(maxHours: 24) else { return nil }
            summerOffset = -offset
        }
        guard parser.take(","), let begin = parser.change(), parser.take(","), let end = parser.change(),
            parser.rest.isEmpty
        else { return nil }
        summer = Summer(offset: summerOffset, begin: begin, end: end)
    }

    /// In the order of time: when the offset changes in a year, and to what.
    func transitions(in year: Int) -> [(at: Int64, offset: Int64)] {
        guard let summer else {
            return [(CivilDate(year: year, month: 1, day: 1).days * 86_400 - standard, standard)]
        }
        let begin = (at: summer.begin.local(in: year) - standard, offset: summer.offset)
        let end = (at: summer.end.local(in: year) - summer.offset, offset: standard)
        return begin.at <= end.at ? [begin, end] : [end, begin]
    }

    private struct Parser {
        var rest: ArraySlice<UInt8>

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: character) else { return false }
            rest = rest.dropFirst()
            return true
        }

        /// `CET`, or `<+0330>`.
        mutating func name() -> Bool {
            let quoted = take("<")
            let end = rest.firstIndex { byte in
                let isLetter = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & ~0x20)
                let isOther =
                    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "+")
                    || byte == UInt8(ascii: "-")
                return !(isLetter || quoted && isOther)
            }
            let count = (end ?? rest.endIndex) - rest.startIndex
            rest = rest.dropFirst(count)
            return count >= 3 && (!quoted || take(">"))
        }

        mutating func number(_ range: ClosedRange<Int>) -> Int? {
            var value = 0
            var digits = 0
            while let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits < 4 {
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
                digits += 1
                rest = rest.dropFirst()
            }
            return digits > 0 && range.contains(value) ? value : nil
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        mutating func time(maxHours: Int) -> Int64? {
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            guard let hours = number(0...maxHours) else { return nil }
            var seconds = Int64(hours) * 3_600
            if take(":") {
                guard let minutes = number(0...59) else { return nil }
                seconds += Int64(minutes) * 60
                if take(":") {
                    guard let rest = number(0...59) else { return nil }
                    seconds += Int64(rest)
                }
            }
            return isNegative ? -seconds : seconds
        }

        mutating func change() -> Change? {
            let day: Change.Day
            if take("M") {
                guard let month = number(1...12), take("."), let week = number(1...5), take("."),
                    let weekday = number(0...6)
                else { return nil }
                day = .weekday(month: month, week: week, day: weekday)
            } else if take("J") {
                guard let number = number(1...365) else { return nil }
                day = .julian(number)
            } else {
                guard let number = number(0...365) else { return nil }
                day = .ordinal(number)
            }
            guard take("/") else { return Change(day: day, time: 7_200) }
            return time(maxHours: 167).map { Change(day: day, time: $0) }
        }
    }
}
