package import OMSModel

/// When a service is due: an unending list of ticks, computed and never stored, so that restarts and replacements
/// cannot shift it. Which of them have been accounted for is one time, the last one (see `WorkManager+Schedule.swift`).
package struct Timetable: Hashable, Sendable {
    package struct Tick: Hashable, Sendable {
        package var due: Timestamp
        package var mark: CronSchedule.Mark?
    }

    private enum Rhythm: Hashable, Sendable {
        /// `isRepeated`: it was given after another rhythm, so ticks before the anchor do not count as its one.
        case once(isRepeated: Bool)
        /// Tick 0 is the anchor; tick n is anchor + phase + n * period.
        case every(period: Int64, phase: Int64)
        case cron(CronSchedule)
    }

    private let rhythm: Rhythm
    /// No tick is before it (milliseconds).
    private let anchor: Int64
    /// Added to every tick (milliseconds).
    private let jitter: Int64

    /// - Parameters:
    ///   - anchor: the moment at which the tenant got the service with this rhythm.
    ///   - follows: there was another rhythm before the anchor.
    /// - Returns: nil when it never is due by itself: `on_demand`.
    /// - Throws: what is wrong with the cron expression or the zone.
    package init?(
        _ frequency: Frequency, anchor: Timestamp, follows: Bool = false, tenant: TenantID, service: ServiceID
    ) throws(CronError) {
        if frequency.onDemand == true { return nil }
        jitter = Self.jitter(frequency, tenant: tenant, service: service)
        self.anchor = anchor.milliseconds
        if frequency.once == true {
            rhythm = .once(isRepeated: follows)
        } else if let seconds = frequency.everySeconds, seconds > 0 {
            let period = NumberBounds.milliseconds(seconds)
            rhythm = .every(
                period: period,
                phase: frequency.spread == true ? Self.phase(period, tenant: tenant, service: service) : 0)
        } else if let text = frequency.cron {
            rhythm = .cron(try Self.cron(text, frequency.timeZone, seed: "\(tenant)/\(service)"))
        } else {
            return nil
        }
    }

    /// - Throws: what is wrong, naming the field.
    package static func cron(_ text: String, _ zone: String?, seed: String) throws(CronError) -> CronSchedule {
        let name = zone ?? "UTC"
        guard let rules = ZoneDatabase.rules(name) else {
            let hint = ZoneDatabase.nearest(to: name).map { "; did you mean '\($0)'?" }
            throw CronError(
                text: "time_zone: '\(name)' is no IANA time zone" + (hint ?? "; write for example Europe/Berlin or UTC")
            )
        }
        return CronSchedule(try CronExpression(text, seed: seed), in: rules)
    }

    /// The first tick after `last`, or the first of all.
    package func next(after last: Timestamp?) -> Tick? {
        let never = last == nil
        let last = last.map { max($0.milliseconds, anchor - 1) } ?? anchor - 1
        switch rhythm {
        case .once(let isRepeated):
            guard never || isRepeated else { return nil }
            return last < anchor + jitter ? Tick(due: Timestamp(milliseconds: anchor + jitter)) : nil
        case .every(let period, let phase):
            // With a phase the anchor itself is one more tick before the first of the period.
            if phase > 0, last < anchor + jitter { return Tick(due: Timestamp(milliseconds: anchor + jitter)) }
            let first = anchor + jitter + phase
            let index = last < first ? 0 : (last - first) / period + 1
            return Tick(due: Timestamp(milliseconds: first + index * period))
        case .cron(let cron):
            // The anchor bounds the local time, not what the jitter makes of it.
            let from = max(last - jitter, anchor - 1)
            guard let (at, mark) = cron.next(after: floorDivide(from, 1000)) else { return nil }
            return Tick(due: Timestamp(milliseconds: at * 1000 + jitter), mark: mark)
        }
    }

    /// The ticks after `last` up to `now`: the newest `limit` of them, and how many older ones there are.
    package struct Backlog: Hashable, Sendable {
        /// The oldest of those before `kept`, and how many.
        package var dropped: (first: Timestamp, count: Int)?
        package var kept: [Timestamp] = []

        package static func == (a: Backlog, b: Backlog) -> Bool {
            a.kept == b.kept && a.dropped?.first == b.dropped?.first && a.dropped?.count == b.dropped?.count
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(kept) }
    }

    package func backlog(after last: Timestamp?, through now: Timestamp, keeping limit: Int) -> Backlog {
        var backlog = Backlog()
        guard let first = next(after: last)?.due, first <= now else { return backlog }
        if case .every(let period, _) = rhythm {
            // Seconds' ticks of a year need no counting.
            let tail = next(after: first)?.due ?? first
            if tail <= now {
                let count = Int((now.milliseconds - tail.milliseconds) / period) + 2
                let kept = min(limit, count)
                let newest = tail.advanced(byMilliseconds: Int64(count - 2) * period)
                backlog.kept = (0..<kept).map { index in
                    index == kept - 1 - (count - 1)
                        ? first : newest.advanced(byMilliseconds: -Int64(kept - 1 - index) * period)
                }
                if count > kept { backlog.dropped = (first, count - kept) }
                return backlog
            }
        }
        var tick = first
        var count = 0
        // A ring: with a limit of one, an hour of minutes costs sixty steps and no memory.
        var ring: [Timestamp] = []
        while true {
            if ring.count < limit { ring.append(tick) } else if limit > 0 { ring[count % limit] = tick }
            count += 1
            guard let next = next(after: tick)?.due, next <= now else { break }
            tick = next
        }
        if count > ring.count {
            backlog.dropped = (first, count - ring.count)
            let turn = limit > 0 ? count % limit : 0
            ring = Array(ring[turn...] + ring[..<turn])
        }
        backlog.kept = ring
        return backlog
    }

    /// A fixed part of `jitter_s`, so that ticks stay ticks.
    static func jitter(_ frequency: Frequency, tenant: TenantID, service: ServiceID) -> Int64 {
        guard let jitter = frequency.jitterSeconds, jitter > 0 else { return 0 }
        let hash = fnv1a128("\(tenant)/\(service)".utf8)
        return Int64(truncatingIfNeeded: (hash >> 32) % UInt128(UInt64(jitter) * 1000))
    }

    /// Half a period to one and a half: after the first tick, which comes at once, thousands of tenants that were
    /// applied together lie evenly over the period, and none of them has its second tick on the heels of the first.
    static func phase(_ period: Int64, tenant: TenantID, service: ServiceID) -> Int64 {
        period / 2 + Int64(spread(of: "\(tenant)/\(service)") % UInt64(period))
    }
}

extension ServicePlan {
    /// - Returns: nil for services with `after`, and on demand.
    package func timetable(_ tenant: TenantID) throws(CronError) -> Timetable? {
        guard let frequency else { return nil }
        return try Timetable(frequency, anchor: anchor, follows: earlier != nil, tenant: tenant, service: id)
    }
}
