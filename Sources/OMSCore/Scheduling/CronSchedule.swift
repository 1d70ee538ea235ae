/// A cron expression in a time zone: local times become moments. The rule for changes of the clock (DST), written
/// down in docs/operate/schedules.md, is near ISC cron's; once per local day stays once per local day:
///
/// - Local times that do not exist: a schedule that names hours fires once for them, right after the gap. With `*` for
///   the hour it does not: its next hour follows at once.
/// - Local times that exist twice: it fires the first time. With `*` or `*/n` for the minute or the hour it fires both
///   times, because "every so often" goes on in real time.
package struct CronSchedule: Hashable, Sendable {
    /// What a change of the clock did to a tick.
    package enum Mark: Hashable, Sendable {
        /// Its local time (seconds of the local calendar) does not exist: it comes right after the gap.
        case moved(fromLocal: Int64)
        /// Its local time exists twice, and this is the first (fires) or the second one (intervals only).
        case firstOfTwo
        case secondOfTwo
    }

    package let expression: CronExpression
    package let zone: ZoneRules

    package init(_ expression: CronExpression, in zone: ZoneRules) {
        self.expression = expression
        self.zone = zone
    }

    /// The first moment after `seconds` (since 1970-01-01T00:00:00Z) at which it fires.
    package func next(after seconds: Int64) -> (at: Int64, mark: Mark?)? {
        var period = zone.period(at: seconds)
        while true {
            var from = max(seconds + 1, period.start)
            if period.shift > 0, !expression.isEveryHour, period.start > seconds,
                let skipped = expression.next(from: period.start + period.offset - period.shift),
                skipped < period.start + period.offset
            {
                return (period.start, .moved(fromLocal: skipped))
            }
            // Local times up to here have been before.
            if period.shift < 0, !expression.isInterval { from = max(from, period.start - period.shift) }
            guard let local = expression.next(from: from + period.offset) else { return nil }
            let at = local - period.offset
            if at < period.end { return (at, mark(at, period)) }
            period = zone.period(period.index + 1)
        }
    }

    private func mark(_ at: Int64, _ period: ZoneRules.Period) -> Mark? {
        if period.shift < 0, at < period.start - period.shift { return .secondOfTwo }
        guard period.end != .max else { return nil }
        let shift = zone.period(period.index + 1).shift
        return shift < 0 && at >= period.end + shift ? .firstOfTwo : nil
    }
}
