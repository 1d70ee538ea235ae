import OMSModel
import OMSProtocol

/// Runs that an earlier Work Manager of the tenant began.
///
/// It may have died while it told of one. Its rows then lack jobs or the tick, and have only what the gateways named
/// (docs/internals/replacement.md). What lacks is derived: the same tick gives the same run, the same run the same jobs.
extension WorkManager {
    mutating func adopt(_ open: OpenRun, at now: Moment) {
        guard let plan = open.plan ?? config.service(open.service) else { return }
        var run = RunTrack(
            id: open.run, plan: plan, due: open.due, started: open.started, deadline: open.deadline,
            generation: config.generation, consumed: open.consumed, jobs: [])
        for job in open.jobs { adopt(job, of: open, into: &run, at: now) }
        run.carryResult(of: open, at: now)
        runs[run.id] = run
        if run.finished {
            services[open.service, default: .init()].unclosed.insert(run.id)
        } else {
            services[open.service, default: .init()].openRun = run.id
        }
        let causes = open.consumed ?? []
        if open.run != runID(open.service, due: open.due, consumed: open.consumed) {
            // Somebody asked for it.
            remember(manual: open.run, of: open.service)
        } else if causes.isEmpty {
            if open.due > services[open.service]?.lastTick ?? Timestamp(milliseconds: .min) {
                services[open.service, default: .init()].begun[open.due] = open.run
            }
        } else {
            services[open.service, default: .init()].caused.insert(open.run)
        }
    }

    mutating func adopt(_ job: OpenJob, of open: OpenRun, into run: inout RunTrack, at now: Moment) {
        let service = run.plan.providers.first { $0.provider == job.provider }?.service ?? open.service
        var track = JobTrack(
            id: job.id, choice: ProviderChoice(provider: job.provider, service: service), attempt: job.attempt,
            created: open.started)
        switch job.state {
        case .pending, .submitting, .failed, .stopped, .rejected, .expired, .lost: track.state = job.state
        // What succeeded is asked for again, once: its outputs are at the gateway and at the provider.
        case .queued, .running, .stopping, .unknown, .succeeded: track.state = .unknown
        }
        track.mayBeKnown = true
        track.hasEndedRow = job.state.isTerminal
        if (open.finished == true && !run.isAmendable(at: now)) || job.quarantined == true, !job.state.isTerminal {
            track.wantsStop = true
        }
        if job.quarantined == true { track.stopReason = "its Work Manager was replaced by force" }
        if job.state.isTerminal {
            track.error = Problem(.jobFailed, "ended before", retryable: job.retryable)
            if let problem = job.problem { track.error?.type = problem }
        }
        track.stateTime = now.wall
        track.stateSince = now.monotonic
        track.progressSince = now.monotonic
        track.revision = job.revision
        track.lastHeard = now.monotonic - JobTrack.quietMilliseconds
        if track.isAcknowledged { track.lastAsked = now.monotonic - 60_000 }
        run.jobs.append(track)
        runOfJob[job.id] = run.id
    }

    /// What the rows of adopted runs may lack. Nothing, for a run that was told of to its end.
    mutating func completeAdopted(_ adopted: [RunID], at now: Moment) {
        for id in adopted {
            complete(id, at: now)
            guard let run = runs[id] else { continue }
            let isManual = services[run.plan.id]?.manual.contains(id) ?? false
            // Those of a timetable are noted in their order, with what lies between them (`noteBegun`).
            guard isManual || run.consumed?.isEmpty == false else { continue }
            note(
                JournalEntry(
                    tick: TickRecord(
                        service: run.plan.id, due: run.due, outcome: .fired, time: now.wall, run: id,
                        manual: isManual ? true : nil)),
                at: now)
        }
    }

    /// Asks the providers too that no row names, with the ids that they would have had.
    private mutating func complete(_ id: RunID, at now: Moment) {
        guard var run = runs[id], !run.finished, now.wall < run.deadline, !run.jobs.contains(where: \.wantsStop) else {
            return
        }
        let asked = Set(run.jobs.map(\.choice.provider))
        let choices = chosen(run.plan, due: run.due)
        // Where one of several is enough, another one than before may have been chosen.
        let missing = choices.filter { !asked.contains($0.provider) }.prefix(max(0, choices.count - asked.count))
        if missing.isEmpty { return }
        note(JournalEntry(run: run.record(.running, plan: true)), at: now)
        for choice in missing {
            var job = job(of: run, at: choice, attempt: 1, now)
            job.mayBeKnown = true
            job.revision += 1
            runOfJob[job.id] = id
            run.jobs.append(job)
            note(JournalEntry(job: run.record(of: job, at: now)), at: now)
        }
        runs[id] = run
    }
}
