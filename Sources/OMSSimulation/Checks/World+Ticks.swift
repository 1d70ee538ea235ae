import OMSCore
import OMSModel
import OMSProtocol

extension World {
    /// Milliseconds between two ticks; nil: no schedule. The cron expressions of the simulation are all frequent.
    private static func longestPause(_ frequency: Frequency) -> Int64? {
        frequency.everySeconds.map { Int64($0) * 1000 } ?? frequency.cron.map { _ in 180_000 }
    }

    /// P5: the ticks of a schedule follow each other without a hole, from the anchor to the end.
    func checkTicks(_ key: SimDatabase.TickKey) {
        let plans = (database.configurations[key.tenant] ?? []).map { $0.service(key.service) }
        guard let last = plans.last ?? nil, let period = last.frequency.flatMap({ Self.longestPause($0) }),
            let timetable = try? last.timetable(key.tenant),
            // Another anchor or period begins another row of ticks; so does a time without the service.
            plans.drop(while: { $0 == nil }).allSatisfy({ $0?.anchor == last.anchor && $0?.frequency == last.frequency }
            )
        else { return }
        var done: Timestamp?
        let all = (database.pruned.ticks[key] ?? [:]).merging(database.ticks[key] ?? [:]) { _, present in present }
        for (due, tick) in all.sorted(by: { $0.key < $1.key }) where tick.manual != true {
            let expected = timetable.next(after: done)?.due
            if due != expected {
                checker.violated(
                    .tickLost, at: now,
                    "\(key.tenant) \(key.service): a tick at \(due) (\(tick.outcome.rawValue)), expected at "
                        + (expected?.description ?? "no time"))
            }
            done = due
            for _ in 1..<max(1, tick.count ?? 1) { done = timetable.next(after: done)?.due }
        }
        guard let expected = timetable.next(after: done)?.due else { return }
        let late = SimClock.wall(now, offset: 0).advanced(byMilliseconds: -period)
            .advanced(bySeconds: -Self.patienceSeconds)
        if expected < late, nodes.allSatisfy({ $0.wallOffset >= 0 }) {
            checker.violated(
                .tickLost, at: now,
                "\(key.tenant) \(key.service): no tick since \(expected), it is "
                    + SimClock.wall(now, offset: 0).description)
        }
    }
}
