import OMSModel
import OMSProtocol

/// How a service fires: by its tick, after its upstream, or because somebody asked for it.
extension WorkManager {
    /// A service with `after` fires when each upstream has succeeded again since this service's last run.
    mutating func fireAfterUpstream(_ plan: ServicePlan, at now: Moment) {
        let track = services[plan.id] ?? ServiceTrack()
        if track.openRun != nil { return }
        if let holder = overlapping(plan.id, .skip).first { return explainHolder(of: plan.id, holder, at: now) }
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
        let causes = upstream.map(\.run)
        let run = runID(plan.id, due: due, consumed: causes)
        services[plan.id, default: .init()].consumed = causes
        if services[plan.id]?.caused.remove(run) != nil { return }
        fire(plan, due: due, consumed: causes, at: now)
    }

    /// Somebody asks for a run now. It counts for overlap like any other, and never waits: who asked is told.
    /// Repeating the question with the same id has no second effect, because the run's id is derived from it.
    mutating func trigger(_ trigger: RunTrigger, at now: Moment) {
        let subject = "\(tenant)/\(trigger.service)"
        guard let plan = config.service(trigger.service) else {
            let known = config.services.map(\.id.text).joined(separator: ", ")
            return answer(trigger, Problem(.notFound, "\(subject): no such service is in force; there are \(known)"))
        }
        let id = RunID(time: trigger.due, of: "run", tenant.text, plan.id.text, "manual", trigger.id)
        if runs[id] != nil || services[plan.id]?.manual.contains(id) == true { return answer(trigger, nil) }
        if drain != nil {
            return answer(trigger, Problem(.draining, "\(subject): the Work Manager is being replaced; ask again soon"))
        }
        if plan.suspended == true {
            return answer(trigger, Problem(.unavailable, "\(subject) is suspended; 'oms resume \(subject)' first"))
        }
        if journal.isFull {
            return answer(trigger, Problem(.unavailable, "\(subject): the journal is full; see oms why \(tenant)"))
        }
        if let open = overlapping(plan.id, .skip).first {
            let why = "overlap: \(whyInTheWay(open))"
            note(
                JournalEntry(
                    tick: TickRecord(
                        service: plan.id, due: trigger.due, outcome: .skipped, time: now.wall, run: nil, reason: why,
                        manual: true)), at: now)
            return answer(trigger, Problem(.busy, "\(subject): \(why); ask again when it has"))
        }
        remember(manual: id, of: plan.id)
        start(id, plan, due: trigger.due, consumed: nil, isManual: true, at: now)
        answer(trigger, nil)
    }

    mutating func remember(manual run: RunID, of service: ServiceID) {
        var runs = services[service]?.manual ?? []
        runs.append(run)
        services[service, default: .init()].manual = runs.suffix(Self.maxManual)
    }

    /// A repeated question comes within seconds.
    private static var maxManual: Int { 20 }

    private mutating func answer(_ trigger: RunTrigger, _ problem: Problem?) {
        effects.append(.answered(trigger, problem))
    }

    func runID(_ service: ServiceID, due: Timestamp, consumed: [RunID]? = nil) -> RunID {
        let causes = (consumed ?? []).map(\.description).joined(separator: ",")
        return RunID(time: due, of: "run", tenant.text, service.text, "\(due.milliseconds)", causes)
    }

    mutating func fire(_ plan: ServicePlan, due: Timestamp, consumed: [RunID]?, at now: Moment) {
        let id = runID(plan.id, due: due, consumed: consumed)
        start(id, plan, due: due, consumed: consumed, isManual: false, at: now)
    }

    private mutating func start(
        _ id: RunID, _ plan: ServicePlan, due: Timestamp, consumed: [RunID]?, isManual: Bool, at now: Moment
    ) {
        let tick = TickRecord(
            service: plan.id, due: due, outcome: .fired, time: now.wall, run: id, manual: isManual ? true : nil)
        // The same tick again, after a restart: the run is known and goes on.
        if runs[id] != nil { return note(JournalEntry(tick: tick), at: now) }
        var run = RunTrack(
            id: id, plan: plan, due: due, started: now.wall,
            deadline: now.wall.advanced(bySeconds: plan.deadlineSeconds),
            generation: config.generation, consumed: consumed, jobs: [])
        for choice in chosen(plan, due: due) { run.jobs.append(job(of: run, at: choice, attempt: 1, now)) }
        note(JournalEntry(run: run.record(.running, plan: true)), at: now)
        for index in run.jobs.indices {
            run.jobs[index].revision += 1
            note(JournalEntry(job: run.record(of: run.jobs[index], at: now)), at: now)
            runOfJob[run.jobs[index].id] = id
        }
        // Last, because the journal may be cut anywhere: a run without its tick is fired again with the same ids, a
        // tick without its run would be lost.
        note(JournalEntry(tick: tick), at: now)
        services[plan.id, default: .init()].openRun = id
        clearReason("service/\(plan.id)", at: now)
        runs[id] = run
    }

    func job(of run: RunTrack, at choice: ProviderChoice, attempt: Int, _ now: Moment) -> JobTrack {
        var track = JobTrack(
            id: JobID(time: run.due, of: "job", "\(run.id)", choice.provider.text, "\(attempt)"), choice: choice,
            attempt: attempt, created: now.wall)
        track.stateSince = now.monotonic
        // A tick from before this Work Manager's time: its predecessor may have fired it, with the same ids, and died
        // before the journal told of it.
        track.mayBeKnown = epoch > 1 && run.due < since.wall
        return track
    }

    /// Orders every open job of a run to be stopped at its provider. The run ends when their ends are confirmed.
    mutating func stopJobs(of id: RunID, _ why: String) {
        guard var run = runs[id] else { return }
        run.isStopping = true
        for index in run.jobs.indices { run.jobs[index].stop(why) }
        runs[id] = run
    }
}
