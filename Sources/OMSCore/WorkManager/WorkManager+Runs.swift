import OMSModel
import OMSProtocol

/// Jobs and runs: commands to the gateways, their events, retries, deadlines, merging.
extension WorkManager {
    mutating func received(_ event: JobEvent, from provider: ProviderID, at now: Moment) {
        if event.error?.slug == ProblemSlug.staleEpoch.rawValue {
            // Meant for the holder of that epoch: an older Work Manager's refusal says nothing about the job.
            if event.epoch == epoch { effects.append(.fenced(event.epoch)) }
            return
        }
        guard let runID = runOfJob[event.job], var run = runs[runID],
            let index = run.jobs.firstIndex(where: { $0.id == event.job && $0.choice.provider == provider })
        else { return }
        var job = run.jobs[index]
        job.lastHeard = now.monotonic
        job.asks = 0
        defer {
            run.jobs[index] = job
            runs[runID] = run
            if job.state.isTerminal { settle(runID, at: now) }
        }
        guard job.state.mayBecome(event.state) else { return }
        let changed = job.state != event.state
        if changed { job.stateTime = now.wall }
        job.takeTimes(of: event, at: now)
        job.state = event.state
        job.started = event.started ?? job.started
        job.progress = event.progress ?? job.progress
        job.message = event.message ?? job.message
        job.error = event.error
        job.omitted = event.omitted
        if event.state.isTerminal {
            job.finished = event.finished ?? now.wall
            job.outputs = event.outputs
            if event.state == .stopped, let slug = job.timedOut { job.error = Problem(slug, job.stopReason) }
        }
        let progressDue = now.monotonic - job.lastProgressRecorded >= Self.progressRecordMilliseconds
        guard changed || (progressDue && event.progress != nil) else { return }
        job.lastProgressRecorded = now.monotonic
        job.revision += 1
        note(JournalEntry(job: run.record(of: job, at: now)), at: now)
    }

    /// Progress goes to PostgreSQL at most this often; on MQTT every step is seen.
    static let progressRecordMilliseconds: Int64 = 5_000

    mutating func received(_ health: Health, of provider: ProviderID, at now: Moment) {
        usable[provider] = health.status == .pass || health.status == .warn || health.status == .unknown
        let known = gatewayBoot.updateValue(health.boot, forKey: provider)
        guard known != nil, known != health.boot else { return }
        // Another gateway process: tell it every open job at this provider, now.
        for id in runs.keys {
            guard var run = runs[id] else { continue }
            for index in run.jobs.indices
            where run.jobs[index].choice.provider == provider && !run.jobs[index].state.isTerminal {
                run.jobs[index].lastHeard = now.monotonic - JobTrack.quietMilliseconds
                run.jobs[index].asks = 0
                if run.jobs[index].lastAsked != nil { run.jobs[index].lastAsked = now.monotonic - 60_000 }
            }
            runs[id] = run
        }
    }

    /// Sends what is due for every open job, and ends runs whose time is over.
    mutating func attendRuns(at now: Moment) {
        for id in runs.keys.sorted() {
            guard var run = runs[id] else { continue }
            if run.isOverdue(at: now) {
                run.passDeadline()
                runs[id] = run
                if run.finished { amend(id, isLast: true, at: now) } else { deliver(id, at: now) }
                guard let again = runs[id] else { continue }
                run = again
            } else if run.isPartialDue(at: now) {
                runs[id] = run
                deliverPartial(id, at: now)
                guard let again = runs[id] else { continue }
                run = again
            }
            attendTimeouts(&run, at: now)
            for index in run.jobs.indices {
                guard let command = run.jobs[index].command(at: now) else { continue }
                // While draining nothing new begins; what stays open is the next epoch's.
                if drain != nil, command == .submit, run.jobs[index].lastAsked == nil { continue }
                let isAgain = run.jobs[index].lastAsked != nil || run.jobs[index].mayBeKnown
                run.jobs[index].lastAsked = now.monotonic
                run.jobs[index].asks += 1
                send(command, run.jobs[index], of: run, isAgain: isAgain)
            }
            runs[id] = run
        }
    }

    private mutating func send(
        _ command: JobCommand.Command, _ job: JobTrack, of run: RunTrack, isAgain: Bool
    ) {
        commandCounter += 1
        publish(
            .jobCommand(tenant, job.choice.provider),
            .jobCommand(
                JobCommand(
                    id: "\(epoch)-\(commandCounter)", command: command, epoch: epoch, job: job.id,
                    request: command == .submit ? run.request(for: job, tenant: tenant) : nil,
                    again: command == .submit && isAgain ? true : nil,
                    graceSeconds: command == .stop ? 10 : nil,
                    reason: command == .stop ? job.stopReason : nil)))
    }

    /// After a job's end: retry, or merge when nothing is left to wait for.
    mutating func settle(_ id: RunID, at now: Moment) {
        guard var run = runs[id] else { return }
        if !run.finished {
            run.decide()
            if run.decided.isEmpty { tryAgain(&run, at: now) }
            runs[id] = run
            let isOver = run.latest.allSatisfy { run.jobs[$0].state.isTerminal || run.jobs[$0].isAbandoned }
            if !run.decided.isEmpty || isOver {
                deliver(id, at: now)
            }
        } else {
            amend(id, at: now)
        }
        if runs[id]?.isClosed == true { forget(id, at: now) }
    }

    /// After a change of the plan: runs do not wait until their deadline for a provider that is away and that the plan in
    /// force does not count on. Its job is stopped when it can be, and looked after until it has ended.
    mutating func abandonLost(at now: Moment) {
        for id in runs.keys.sorted() {
            guard var run = runs[id], !run.finished, let plan = config.service(run.plan.id) else { continue }
            var isChanged = false
            for index in run.jobs.indices
            where !run.jobs[index].state.isTerminal && !run.jobs[index].isAbandoned
                && usable[run.jobs[index].choice.provider] == false
                && !plan.providers.contains(where: { $0.provider == run.jobs[index].choice.provider })
            {
                run.jobs[index].isAbandoned = true
                run.jobs[index].stop("its provider was lost and is not in the plan any more")
                isChanged = true
            }
            guard isChanged else { continue }
            runs[id] = run
            settle(id, at: now)
        }
    }

    mutating func forget(_ id: RunID, at now: Moment) {
        guard let run = runs.removeValue(forKey: id) else { return }
        for job in run.jobs { runOfJob[job.id] = nil }
        released(run, at: now)
    }
}
