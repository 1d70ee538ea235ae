package import OMSModel

/// When a service is due. Pure arithmetic on the anchor: restarts and replacements cannot shift it.
package enum Schedule {
    /// The ticks of `every_s` that lie after `last` and not after `now`: the newest, and how many older ones are
    /// missed. Tick 0 is the anchor itself.
    package struct Due: Equatable, Sendable {
        package var tick: Timestamp
        /// First missed tick and how many of them, all before `tick`.
        package var missed: (first: Timestamp, count: Int)?

        package static func == (a: Due, b: Due) -> Bool {
            a.tick == b.tick && a.missed?.first == b.missed?.first && a.missed?.count == b.missed?.count
        }
    }

    package static func due(
        _ frequency: Frequency, anchor: Timestamp, offset: Int64, last: Timestamp?, now: Timestamp
    ) -> Due? {
        let first = anchor.advanced(byMilliseconds: offset)
        if frequency.once == true { return last == nil && now >= first ? Due(tick: first) : nil }
        guard let seconds = frequency.everySeconds, seconds > 0, now >= first else { return nil }
        let period = Int64(seconds) * 1000
        let index = (now.milliseconds - first.milliseconds) / period
        // `last` may come from an older frequency or anchor: the next tick is the first one after it.
        let earliest =
            last.map { max(0, ($0.milliseconds - first.milliseconds) / period + ($0 >= first ? 1 : 0)) } ?? index
        guard index >= earliest else { return nil }
        let tick = first.advanced(byMilliseconds: index * period)
        let missed =
            index > earliest ? (first.advanced(byMilliseconds: earliest * period), Int(index - earliest)) : nil
        return Due(tick: tick, missed: missed)
    }

    /// The next tick after `now`.
    package static func next(
        _ frequency: Frequency, anchor: Timestamp, offset: Int64, last: Timestamp?, now: Timestamp
    ) -> Timestamp? {
        let first = anchor.advanced(byMilliseconds: offset)
        if now < first { return first }
        guard frequency.once != true, let seconds = frequency.everySeconds, seconds > 0 else { return nil }
        let period = Int64(seconds) * 1000
        return first.advanced(byMilliseconds: ((now.milliseconds - first.milliseconds) / period + 1) * period)
    }

    /// Spreads services over their jitter by a hash of their names: fixed, so that ticks stay ticks.
    package static func offset(_ frequency: Frequency, tenant: TenantID, service: ServiceID) -> Int64 {
        guard let jitter = frequency.jitterSeconds, jitter > 0 else { return 0 }
        let hash = fnv1a128("\(tenant)/\(service)".utf8)
        return Int64(truncatingIfNeeded: (hash >> 32) % UInt128(UInt64(jitter) * 1000))
    }
}
