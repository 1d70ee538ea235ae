import OMSModel
import OMSProtocol

/// When a service fires, and the record of how each tick ended.
///
/// One time per service says what is accounted for: every tick up to `lastTick`. Ticks are accounted for in order, so
/// what waits is always exactly the ticks of the timetable after it, and a successor finds them again by arithmetic:
/// a queue survives a restart because it is never written down.
extension WorkManager {
    mutating func fireWhatIsDue(at now: Moment) {
        for plan in config.services {
            let subject = "service/\(plan.id)"
            if plan.suspended == true {
                explain(
                    subject, "suspended",
                    "the service is suspended; 'oms resume \(tenant)/service/\(plan.id)' starts it again",
                    at: now)
                continue
            } else if reasons[subject]?.code == "suspended" {
                clearReason(subject, at: now)
            }
            if journal.isFull {
                explain(
                    "service/\(plan.id)", "journal-full",
                    "the registry has not committed \(journal.unacknowledged) facts; due ticks wait for it", at: now)
                continue
            }
            if plan.after.isEmpty {
                while attendTicks(of: plan, at: now) {}
            } else {
                fireAfterUpstream(plan, at: now)
            }
        }
    }

    /// Accounts for due ticks of a service as far as it can now.
    /// - Returns: whether it did something, so that another look is worth while.
    private mutating func attendTicks(of plan: ServicePlan, at now: Moment) -> Bool {
        guard let track = services[plan.id], let timetable = track.timetable, let first = track.nextTick,
            first <= now.wall
        else { return false }
        // 0. Begun by a predecessor that died before its journal told of it.
        if noteBegun(plan, timetable, through: now.wall, at: now) { return true }
        // 1. Too late to be of use.
        if let window = plan.catchUpSeconds {
            let end = now.wall.advanced(byMilliseconds: -NumberBounds.milliseconds(window) - 1)
            let late = timetable.backlog(after: track.lastTick, through: end, keeping: 0)
            if let (first, count) = late.dropped {
                supersede(plan, from: first, count, through: end, "later than catch_up_s (\(window) s)", at: now)
                return true
            }
        }
        // 2. What newer ticks stand for.
        let policy = plan.overlap ?? .skip
        let limit = policy == .queueAll ? plan.queueLimit ?? Self.defaultQueueLimit : 1
        let backlog = timetable.backlog(after: track.lastTick, through: now.wall, keeping: limit)
        guard let oldest = backlog.kept.first else { return false }
        if let (first, count) = backlog.dropped {
            let why =
                policy == .queueAll
                ? "more than queue_limit (\(limit)) ticks wait"
                : "it could not be fired before the next tick came; the newest stands for it"
            supersede(plan, from: first, count, through: oldest.advanced(byMilliseconds: -1), why, at: now)
        }
        // 3. The one whose turn it is.
        let isKnown = runs[runID(plan.id, due: oldest)] != nil
        guard !isKnown, let obstacle = overlapping(plan.id, policy).first else {
            fire(plan, due: oldest, consumed: nil, at: now)
            move(plan.id, to: oldest)
            return true
        }
        switch policy {
        case .skip:
            note(
                JournalEntry(
                    tick: TickRecord(
                        service: plan.id, due: oldest, outcome: .skipped, time: now.wall,
                        reason: "overlap: \(whyInTheWay(obstacle))")), at: now)
            explainHolder(of: plan.id, obstacle, at: now)
            move(plan.id, to: oldest)
            return true
        case .queueOne, .queueAll:
            explain(
                "service/\(plan.id)", "queued",
                "\(backlog.kept.count) tick(s) from \(oldest) on wait (overlap: \(policy.rawValue)): \(whyInTheWay(obstacle))",
                at: now)
        case .stopOld:
            explain(
                "service/\(plan.id)", "waits-for-stop",
                "tick \(oldest) waits until the stop of the run before is confirmed (overlap: stop-old): "
                    + whyInTheWay(obstacle), at: now)
            for id in overlapping(plan.id, policy) { stopJobs(of: id, "the next tick is due, and overlap is stop-old") }
        }
        return false
    }

    /// The oldest tick whose run a predecessor began: fired, as it was. What lies before it, that one did not fire, or nobody
    /// can say.
    /// - Returns: whether there was one.
    private mutating func noteBegun(
        _ plan: ServicePlan, _ timetable: Timetable, through end: Timestamp, at now: Moment
    ) -> Bool {
        guard let (due, run) = services[plan.id]?.begun.min(by: { $0.key < $1.key }), due <= end else { return false }
        let last = services[plan.id]?.lastTick
        services[plan.id]?.begun[due] = nil
        // Accounted for meanwhile.
        if let last, due <= last { return true }
        let earlier = timetable.backlog(after: last, through: due.advanced(byMilliseconds: -1), keeping: 0)
        if let (first, count) = earlier.dropped {
            supersede(
                plan, from: first, count, through: due.advanced(byMilliseconds: -1),
                "no run of it is known; its Work Manager died, and a newer tick was fired", at: now)
        }
        // Else it is the tick of no rhythm that is known any more.
        if timetable.next(after: services[plan.id]?.lastTick)?.due == due {
            note(
                JournalEntry(tick: TickRecord(service: plan.id, due: due, outcome: .fired, time: now.wall, run: run)),
                at: now)
            move(plan.id, to: due)
        }
        return true
    }

    static var defaultQueueLimit: Int { 100 }

    private mutating func supersede(
        _ plan: ServicePlan, from first: Timestamp, _ count: Int, through last: Timestamp, _ why: String,
        at now: Moment
    ) {
        note(
            JournalEntry(
                tick: TickRecord(
                    service: plan.id, due: first, outcome: .superseded, time: now.wall, reason: why, count: count,
                    through: last)),
            at: now)
        move(plan.id, to: last)
    }

    private mutating func move(_ service: ServiceID, to tick: Timestamp) {
        var track = services[service] ?? ServiceTrack()
        track.lastTick = tick
        track.nextTick = track.timetable?.next(after: tick)?.due
        services[service] = track
    }

    /// The next moment at which a tick becomes due.
    func nextTick(at now: Moment) -> Timestamp? {
        config.services.compactMap { plan -> Timestamp? in
            guard plan.suspended != true, let track = services[plan.id], let next = track.nextTick else { return nil }
            // What is due already waits for an event; the tick after it may stand for it.
            return next > now.wall ? next : track.timetable?.next(after: now.wall)?.due
        }.min()
    }

    // MARK: - Changes of the schedule

    mutating func readTimetables(at now: Moment) {
        for plan in config.services {
            do throws(CronError) {
                services[plan.id, default: .init()].timetable = try plan.timetable(tenant)
            } catch {
                // Checked when it was declared; only a database of zones that shrank comes here.
                services[plan.id, default: .init()].timetable = nil
                explain("service/\(plan.id)", "bad-schedule", error.text, at: now)
            }
            endEarlier(plan, at: now)
            let track = services[plan.id] ?? .init()
            services[plan.id]?.nextTick = track.timetable?.next(after: track.lastTick)?.due
        }
    }

    /// The ticks of a rhythm that is over, which nobody has fired.
    private mutating func endEarlier(_ plan: ServicePlan, at now: Moment) {
        guard let earlier = plan.earlier,
            let timetable = try? Timetable(
                earlier.frequency, anchor: earlier.anchor, tenant: tenant, service: plan.id)
        else { return }
        let end = plan.anchor.advanced(byMilliseconds: -1)
        while noteBegun(plan, timetable, through: end, at: now) {}
        let left = timetable.backlog(after: services[plan.id]?.lastTick, through: end, keeping: 0)
        guard let (first, count) = left.dropped else { return }
        supersede(
            plan, from: first, count, through: end, "the schedule was changed before it could be fired", at: now)
    }

    /// Services that the new configuration does not have.
    mutating func retireSchedules(for newConfig: WorkManagerConfig, at now: Moment) {
        for plan in config.services where newConfig.service(plan.id) == nil {
            guard let timetable = services[plan.id]?.timetable else { continue }
            while noteBegun(plan, timetable, through: now.wall, at: now) {}
            let left = timetable.backlog(after: services[plan.id]?.lastTick, through: now.wall, keeping: 0)
            if let (first, count) = left.dropped {
                supersede(
                    plan, from: first, count, through: now.wall, "the service is not in the scenario any more", at: now)
            }
            services[plan.id]?.lastTick = now.wall
            services[plan.id]?.timetable = nil
            services[plan.id]?.nextTick = nil
        }
    }
}
