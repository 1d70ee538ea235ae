import OMSModel

/// A cron expression with five fields (POSIX crontab, with the names, steps and `H` of docs/operate/schedules.md), as sets
/// of numbers. It knows local times only; `CronSchedule` puts it into a zone.
package struct CronExpression: Hashable, Sendable {
    let minutes: UInt64
    let hours: UInt64
    let days: UInt64
    let months: UInt64
    /// Bit 0 is Sunday.
    let weekdays: UInt64
    /// The field is exactly `*`: it says nothing, and the other one of the two decides alone (POSIX).
    let anyDay: Bool
    let anyWeekday: Bool
    /// The hour begins with `*` or is `H/n`: it names no hours.
    let isEveryHour: Bool
    /// Minute or hour begin with `*` or are `H/n`: the schedule means "every so often", not "at that time of day"
    /// (ISC cron, `MIN_STAR | HR_STAR`).
    let isInterval: Bool

    /// The first matching local time at or after `local`.
    ///
    /// - Parameter local: seconds since 1970-01-01T00:00 of the local calendar.
    /// - Returns: nil when there is none in the following nine years (a 29 February can be eight years away).
    func next(from local: Int64) -> Int64? {
        let minute = -floorDivide(-local, 60)
        var day = floorDivide(minute, 1440)
        let rest = Int(minute - day * 1440)
        if isDay(day), let time = nextTime(hour: rest / 60, minute: rest % 60) { return day * 86_400 + time }
        guard let next = nextDay(from: day + 1), let time = nextTime(hour: 0, minute: 0) else { return nil }
        day = next
        return day * 86_400 + time
    }

    /// Seconds from midnight to the first matching time of day at or after `hour`:`minute`.
    private func nextTime(hour: Int, minute: Int) -> Int64? {
        var hour = hour
        if hours >> UInt64(hour) & 1 == 1, let found = Self.first(minutes, from: minute) {
            return Int64(hour * 3600 + found * 60)
        }
        hour += 1
        guard let nextHour = Self.first(hours, from: hour), let found = Self.first(minutes, from: 0) else { return nil }
        return Int64(nextHour * 3600 + found * 60)
    }

    private func isDay(_ day: Int64) -> Bool {
        let date = CivilDate(days: day)
        return daysOfMonth(date.year, date.month, first: day - Int64(date.day - 1)) >> UInt64(date.day) & 1 == 1
    }

    private func nextDay(from day: Int64) -> Int64? {
        var date = CivilDate(days: day)
        for _ in 0...(9 * 12) {
            let first = CivilDate(year: date.year, month: date.month, day: 1).days
            if let found = Self.first(daysOfMonth(date.year, date.month, first: first), from: date.day) {
                return first + Int64(found - 1)
            }
            date.day = 1
            date.month += 1
            if date.month == 13 { (date.year, date.month) = (date.year + 1, 1) }
        }
        return nil
    }

    /// The matching days of a month; bit 1 is the first.
    private func daysOfMonth(_ year: Int, _ month: Int, first: Int64) -> UInt64 {
        guard months >> UInt64(month) & 1 == 1 else { return 0 }
        let all = (UInt64(2) << UInt64(CivilDate.daysIn(month, of: year))) - 2
        if anyDay && anyWeekday { return all }
        if anyWeekday { return days & all }
        // The week's pattern, turned so that bit 0 is the first of the month, repeated five times.
        let turn = UInt64(CivilDate.weekday(ofDays: first))
        let week = (weekdays >> turn | weekdays << (7 - turn)) & 0x7F
        let byWeekday = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1
        return (anyDay ? byWeekday : days | byWeekday) & all
    }

    /// The lowest member at or above `from`.
    private static func first(_ set: UInt64, from: Int) -> Int? {
        guard from < 64 else { return nil }
        let rest = (set >> UInt64(from)) << UInt64(from)
        return rest == 0 ? nil : rest.trailingZeroBitCount
    }
}
