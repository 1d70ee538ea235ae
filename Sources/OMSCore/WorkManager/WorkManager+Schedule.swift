import OMSModel
import OMSProtocol

/// Ticks and dependencies: when a service fires, and the record of how each tick ended.
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
                    subject, "journal-full",
                    "the registry has not committed \(journal.unacknowledged) facts; due ticks wait for it", at: now)
                continue
            }
            if let frequency = plan.frequency {
                fireTick(of: plan, frequency, at: now)
            } else {
                fireAfterUpstream(plan, at: now)
            }
        }
    }

    private mutating func fireTick(of plan: ServicePlan, _ frequency: Frequency, at now: Moment) {
        let track = services[plan.id] ?? ServiceTrack()
        let due = Schedule.due(
            frequency, anchor: plan.anchor, offset: Schedule.offset(frequency, tenant: tenant, service: plan.id),
            last: track.lastTick, now: now.wall)
        guard let due else { return }
        if let missed = due.missed {
            note(
                JournalEntry(
                    tick: TickRecord(
                        service: plan.id, due: missed.first, outcome: .superseded, time: now.wall,
                        reason: "missed while no Work Manager could run it; the newest tick stands for it",
                        count: missed.count)), at: now)
        }
        services[plan.id, default: .init()].lastTick = due.tick
        if let open = track.openRun {
            note(
                JournalEntry(
                    tick: TickRecord(
                        service: plan.id, due: due.tick, outcome: .skipped, time: now.wall,
                        reason: "overlap: run \(open) has not ended")), at: now)
            return
        }
        fire(plan, due: due.tick, consumed: nil, at: now)
    }

    /// A service with `after` fires when each upstream has succeeded again since this service's last run.
    private mutating func fireAfterUpstream(_ plan: ServicePlan, at now: Moment) {
        let track = services[plan.id] ?? ServiceTrack()
        if track.openRun != nil { return }
        var upstream: [RunReference] = []
        for id in plan.after {
            guard let succeeded = services[id]?.succeeded, !track.consumed.contains(succeeded.run) else {
                // Waiting is normal; a reason is due only when something keeps the upstream from succeeding.
                if let obstacle = reasons["service/\(id)"] {
                    explain(
                        "service/\(plan.id)", "waits-for-upstream",
                        "runs when \(id) has succeeded again; \(id): \(obstacle.text)", at: now)
                } else if reasons["service/\(plan.id)"]?.code == "waits-for-upstream" {
                    clearReason("service/\(plan.id)", at: now)
                }
                return
            }
            upstream.append(succeeded)
        }
        guard let due = upstream.map(\.due).max() else { return }
        services[plan.id, default: .init()].consumed = upstream.map(\.run)
        fire(plan, due: due, consumed: upstream.map(\.run), at: now)
    }

    private mutating func fire(_ plan: ServicePlan, due: Timestamp, consumed: [RunID]?, at now: Moment) {
        let causes = (consumed ?? []).map(\.description).joined(separator: ",")
        let id = RunID(time: due, of: "run", tenant.text, plan.id.text, "\(due.milliseconds)", causes)
        // The same tick again, after a restart: the run is known and goes on.
        if runs[id] != nil { return }
        var run = RunTrack(
            id: id, plan: plan, due: due, started: now.wall,
            deadline: now.wall.advanced(bySeconds: plan.deadlineSeconds),
            generation: config.generation, consumed: consumed, jobs: [])
        for choice in chosen(plan) { run.jobs.append(job(of: run, at: choice, attempt: 1, now)) }
        note(
            JournalEntry(
                tick: TickRecord(service: plan.id, due: due, outcome: .fired, time: now.wall, run: id)), at: now)
        note(JournalEntry(run: run.record(.running, plan: true)), at: now)
        for index in run.jobs.indices {
            run.jobs[index].revision += 1
            note(JournalEntry(job: run.record(of: run.jobs[index], at: now)), at: now)
            runOfJob[run.jobs[index].id] = id
        }
        services[plan.id, default: .init()].openRun = id
        clearReason("service/\(plan.id)", at: now)
        runs[id] = run
    }

    func job(of run: RunTrack, at choice: ProviderChoice, attempt: Int, _ now: Moment) -> JobTrack {
        JobTrack(
            id: JobID(time: run.due, of: "job", "\(run.id)", choice.provider.text, "\(attempt)"), choice: choice,
            attempt: attempt, created: now.wall)
    }

    /// The planner names every able provider in order. A rule that uses one result asks one provider: the first
    /// that is not known to be down. Others are all asked.
    private func chosen(_ plan: ServicePlan) -> [ProviderChoice] {
        guard plan.merge.strategy == .first else { return plan.providers }
        let first = plan.providers.first { usable[$0.provider] ?? true } ?? plan.providers.first
        return first.map { [$0] } ?? []
    }
}
