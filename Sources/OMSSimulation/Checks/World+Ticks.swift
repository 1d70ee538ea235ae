import OMSCore
import OMSModel
import OMSProtocol

extension World {
    /// P5: the ticks of a schedule follow each other without a hole, from the anchor to the end.
    func checkTicks(_ key: SimDatabase.TickKey) {
        let plans = (database.configurations[key.tenant] ?? []).map { $0.service(key.service) }
        guard let last = plans.last ?? nil, let frequency = last.frequency, let seconds = frequency.everySeconds,
            // Another anchor or period begins another row of ticks; so does a time without the service.
            plans.drop(while: { $0 == nil }).allSatisfy({ $0?.anchor == last.anchor && $0?.frequency == frequency })
        else { return }
        let period = Int64(seconds) * 1000
        var expected = last.anchor.advanced(
            byMilliseconds: Schedule.offset(frequency, tenant: key.tenant, service: key.service))
        for (due, tick) in (database.ticks[key] ?? [:]).sorted(by: { $0.key < $1.key }) {
            if due != expected {
                checker.violated(
                    .tickLost, at: now,
                    "\(key.tenant) \(key.service): a tick at \(due) (\(tick.outcome.rawValue)), expected at \(expected)"
                )
            }
            expected = due.advanced(byMilliseconds: period * Int64(tick.count ?? 1))
        }
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
