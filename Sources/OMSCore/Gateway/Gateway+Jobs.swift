import OMSModel
import OMSProtocol

/// Commands about jobs, and the steps that bring every job to its end.
extension Gateway {
    mutating func obey(_ command: JobCommand, of tenant: TenantID, at provider: ProviderID, _ now: Moment) {
        let fence = fences[tenant] ?? 0
        guard command.epoch >= fence else {
            effects.append(.report(.refused(tenant, command.job, epoch: command.epoch, fence: fence)))
            return publish(
                .jobEvent(tenant, provider),
                .jobEvent(
                    JobEvent(
                        job: command.job, epoch: command.epoch, state: .rejected, time: now.wall,
                        error: Problem(.staleEpoch, "epoch \(fence) is in force, this command is of \(command.epoch)")))
            )
        }
        // Only the registry raises a fence, and it does so before an epoch's Work Manager begins. Whoever names a later one is
        // not heard: a Work Manager repeats what it is not answered.
        guard command.epoch == fence else {
            return effects.append(.report(.ahead(tenant, command.job, epoch: command.epoch, fence: fence)))
        }
        noteBegun(command.epoch, of: tenant)
        guard let door = doors[provider] else { return }
        if jobs[command.job] == nil,
            let job = givenUpJob(command.job, epoch: command.epoch, at: now) ?? recalled(command, at: now)
        {
            return resume(job, command, at: now)
        }
        if var job = jobs[command.job] {
            job.epoch = command.epoch
            job.left?.epoch = command.epoch
            if command.command == .stop, !job.state.isTerminal { requestStop(&job, command, at: now) }
            if job.isParked, !job.state.isTerminal {
                job.isParked = false
                if job.stop == nil { doors[job.provider]?.enqueue(job.id, of: tenant) }
            }
            put(job, at: now)
            return publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
        }
        switch command.command {
        case .submit:
            guard let request = command.request, request.id == command.job, request.tenant == tenant else {
                return publish(
                    .jobEvent(tenant, provider),
                    .jobEvent(
                        JobEvent(
                            job: command.job, epoch: command.epoch, state: .rejected, time: now.wall,
                            error: Problem(.badRequest, "field request is missing or of another job or tenant"))))
            }
            guard doors[provider].map({ $0.waitingCount < Door.maxWaiting }) == true else {
                // Not answered: the Work Manager keeps the job and asks again.
                effects.append(.report(.full(provider)))
                return
            }
            var job = GatewayJob(
                id: command.job, tenant: tenant, provider: provider, epoch: command.epoch, request: request,
                state: .submitting, at: now)
            // Another gateway may have had it: at its deadline the provider is asked before anybody calls it expired.
            job.maybeSent = command.again == true || door.mayBeKnown(job.id)
            job.error = door.barProblem(tenant)
            put(job, at: now)
            doors[provider]?.enqueue(job.id, of: tenant)
            publish(.jobEvent(tenant, provider), .jobEvent(job.event))
        case .status, .stop:
            var job = GatewayJob(
                id: command.job, tenant: tenant, provider: provider, epoch: command.epoch, request: nil,
                state: .unknown, at: now)
            // Asked about as an accepted job: a 404 then means that the provider forgot it.
            job.acknowledged = command.command == .status
            job.next = (.read, now.monotonic)
            if command.command == .stop { requestStop(&job, command, at: now) }
            put(job, at: now)
            doors[provider]?.occupied.insert(job.id)
            attendJob(job.id, at: now)
        }
    }

    /// It has ended before. What its memory does not tell, the provider does.
    /// The provider was elsewhere: what this gateway has not sent, the other one may have.
    mutating func haveMoved(to door: inout Door, at now: Moment) {
        door.movedAt = now.wall
        for id in jobs.keys where jobs[id]?.provider == door.provider && jobs[id]?.state.isTerminal == false {
            jobs[id]?.maybeSent = true
        }
    }

    private mutating func resume(_ job: GatewayJob, _ command: JobCommand, at now: Moment) {
        var job = job
        job.left?.epoch = command.epoch
        if job.state.isTerminal {
            store(job, at: now)
        } else {
            if command.command == .stop { requestStop(&job, command, at: now) }
            put(job, at: now)
            doors[job.provider]?.occupied.insert(job.id)
            attendJob(job.id, at: now)
        }
        publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
    }

    private mutating func requestStop(_ job: inout GatewayJob, _ command: JobCommand, at now: Moment) {
        guard job.stop == nil else { return }
        let grace = command.graceSeconds.map { min(max($0, 0), Span.maxSeconds) }
        job.stop = JobAction(action: "stop", graceSeconds: grace, reason: command.reason)
        job.stopBegins(graceSeconds: grace, at: now)
        job.stopUntil = now.monotonic + Span.seconds(grace ?? 0) + Self.stopPatienceMilliseconds
        job.next = (.stop, now.monotonic)
        // A stop goes before all questions.
        doors[job.provider]?.line.remove(job.id)
    }

    mutating func attendJobs(at now: Moment) {
        for id in jobTimers.popDue(now.monotonic) {
            if let onHandling, let provider = jobs[id]?.provider, let door = doors[provider] {
                onHandling(provider, door.version)
            }
            attendJob(id, at: now)
        }
    }

    /// The one way to write a job: its timer follows.
    mutating func put(_ job: GatewayJob, at now: Moment) {
        if jobs.updateValue(job, forKey: job.id) == nil { jobsOfTenant[job.tenant, default: []].insert(job.id) }
        guard !job.state.isTerminal, job.inFlight == nil else { return jobTimers.set(job.id, nil) }
        // With an open circuit nothing can be done; `rearm` comes when it closes.
        let door = doors[job.provider]
        var at = door?.circuit == .closed && door?.line.contains(job.id) != true ? job.next?.at : nil
        if job.state == .submitting, let deadline = job.request?.deadline {
            let left = max(0, deadline.milliseconds - now.wall.milliseconds)
            at = min(at ?? .max, now.monotonic + left)
        }
        if job.acknowledged || job.state == .unknown {
            at = min(at ?? .max, job.lastHeard + timing.lostAfterMilliseconds)
        }
        if !job.isStuck, let overdue = job.overdueAt { at = min(at ?? .max, overdue) }
        jobTimers.set(job.id, at)
    }

    /// Sets the next step of an open job.
    mutating func plan(_ step: GatewayJob.Step?, for id: JobID, at now: Moment) {
        guard var job = jobs[id], !job.state.isTerminal else { return }
        job.next = step.map { ($0, now.monotonic) }
        put(job, at: now)
    }

    /// The circuit is closed again, or the provider is attached: what waited for it goes on.
    mutating func rearm(_ provider: ProviderID, at now: Moment) {
        for id in jobs.keys.sorted() {
            if let job = jobs[id], job.provider == provider, !job.state.isTerminal { put(job, at: now) }
        }
    }

    /// Takes the next step of one job, if it is due and no call about it is under way.
    mutating func attendJob(_ id: JobID, at now: Moment) {
        guard var job = jobs[id], !job.state.isTerminal, job.inFlight == nil, let door = doors[job.provider] else {
            return
        }
        if job.state == .submitting, let deadline = job.request?.deadline, now.wall >= deadline {
            return passDeadline(job, at: now)
        }
        if job.acknowledged || job.state == .unknown,
            now.monotonic - job.lastHeard >= timing.lostAfterMilliseconds
        {
            let waited = job.error?.detail.map { "; last: \($0)" } ?? ""
            return end(
                job, as: .lost, Problem(.providerForgot, "it could not be observed for too long\(waited)"), at: now)
        }
        if !job.isStuck, let overdue = job.overdueAt, now.monotonic >= overdue {
            becomeStuck(id, at: now)
            job.stuckSince = jobs[id]?.stuckSince
        }
        guard let next = job.next, now.monotonic >= next.at, door.circuit == .closed else {
            put(job, at: now)
            return
        }
        if next.step != .submit, now.monotonic < door.askFrom || door.jobCalls >= Door.maxJobCalls {
            // It goes on when its turn comes (`serveLine`).
            doors[job.provider]?.line.add(id, isStop: next.step == .stop)
            put(job, at: now)
            return
        }
        switch next.step {
        case .submit:
            // What never left burdened nobody, and costs nothing of the budget.
            if job.maybeSent, doors[job.provider]?.spendRetry(at: now) == false {
                job.next = (.submit, now.monotonic + 1_000)
                put(job, at: now)
                return
            }
            // Back into the row: a repetition waits its turn like everybody.
            job.next = nil
            put(job, at: now)
            doors[job.provider]?.occupied.remove(id)
            doors[job.provider]?.enqueue(id, of: job.tenant)
        case .read:
            job.inFlight = .read
            job.next = nil
            put(job, at: now)
            call(.job(id), door, tenant: job.tenant, epoch: job.epoch)
        case .stop:
            guard let action = job.stop else { return plan(.read, for: id, at: now) }
            if job.state == .submitting, !job.maybeSent, job.attempts == 0 {
                return end(job, as: .stopped, Problem(.stopped, "stopped before it was submitted"), at: now)
            }
            job.inFlight = .stop
            job.next = nil
            put(job, at: now)
            writeFence(of: job.tenant)
            // What nobody in force asked for (an orphan at its deadline) the gateway stops in the name of the fence.
            call(.stop(id, action), door, tenant: job.tenant, epoch: max(job.epoch, fences[job.tenant] ?? 0))
        }
    }

    /// Those that waited for a call to end.
    mutating func serveLine(_ provider: ProviderID, at now: Moment) {
        while let door = doors[provider], door.circuit == .closed, door.jobCalls < Door.maxJobCalls,
            now.monotonic >= door.askFrom, let id = doors[provider]?.line.next()
        {
            attendJob(id, at: now)
        }
    }

    /// Fills the free places at a provider.
    mutating func submitWaiting(_ provider: ProviderID, at now: Moment) {
        // Cut off from the broker, nobody could tell it of a new epoch.
        guard cutOffSince == nil else { return }
        while let door = doors[provider], door.maySubmit(at: now), let id = doors[provider]?.dequeue() {
            guard var job = jobs[id], job.state == .submitting, job.inFlight == nil, let request = job.request else {
                continue
            }
            if job.stop != nil {
                // What may be there is stopped there; that step is under way.
                if !job.maybeSent {
                    end(job, as: .stopped, Problem(.stopped, "stopped before it was submitted"), at: now)
                }
                continue
            }
            if let deadline = request.deadline, now.wall >= deadline {
                passDeadline(job, at: now)
                continue
            }
            if isFenced(job) {
                job.isParked = true
                put(job, at: now)
                continue
            }
            if !job.isRecorded {
                job.isRecorded = true
                effects.append(
                    .record(
                        .intent(LedgerJob(tenant: job.tenant, provider: provider, epoch: job.epoch, request: request))))
            }
            writeFence(of: job.tenant)
            doors[provider]?.submitted(isRetry: job.attempts > 0, at: now)
            job.attempts += 1
            job.inFlight = .submit
            if job.firstSent == nil { job.firstSent = now.monotonic }
            job.next = nil
            put(job, at: now)
            doors[provider]?.occupied.insert(id)
            call(.submit(request), door, tenant: job.tenant, epoch: job.epoch)
        }
    }

    /// The deadline came before the provider took it. What may have reached the provider is stopped there first.
    private mutating func passDeadline(_ job: GatewayJob, at now: Moment) {
        guard job.maybeSent else {
            let last = job.error?.detail.map { "; last: \($0)" }
            let waited = last ?? doors[job.provider]?.clockFault?.detail.map { "; provider: \($0)" } ?? ""
            return end(job, as: .expired, Problem(.deadline, "not accepted by its deadline\(waited)"), at: now)
        }
        var job = job
        job.state = .unknown
        job.stopBegins(graceSeconds: 0, at: now)
        job.stop = JobAction(action: "stop", graceSeconds: 0, reason: "the deadline passed")
        job.next = (.stop, now.monotonic)
        put(job, at: now)
        doors[job.provider]?.occupied.insert(job.id)
        publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
    }

    mutating func end(_ job: GatewayJob, as state: JobState, _ problem: Problem, at now: Moment) {
        var job = job
        job.state = state
        job.error = problem
        job.time = now.wall
        job.finished = now.wall
        store(job, at: now)
        publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
    }

    /// Writes a job back and keeps the door's places and the row of the ended right.
    mutating func store(_ job: GatewayJob, at now: Moment) {
        var job = job
        if job.state.isTerminal {
            job.next = nil
            if doors[job.provider]?.ended(job.id) == true { announceHealth(job.provider, at: now) }
            if job.endedAt == nil {
                job.endedAt = now.monotonic
                keepEnded(job)
                if job.isRecorded { effects.append(.record(.ended(job.id, job.state))) }
            }
        }
        put(job, at: now)
        if job.state.isTerminal { jobEnded(job) }
    }

    mutating func apply(_ report: ProviderJob, to job: GatewayJob, at now: Moment) {
        var job = job
        let report = report.timed(now.wall)
        if job.state.isTerminal, tookSign(report, from: job.provider, at: now) { return put(job, at: now) }
        if job.isRecorded, !job.acknowledged { effects.append(.record(.acknowledged(job.id))) }
        let applied = job.apply(report, at: now)
        if job.stop == nil || job.state == .stopping { job.next = nil }
        doors[job.provider]?.beginSweeping(from: report.updated, at: now)
        store(job, at: now)
        switch applied {
        case .changed: publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
        case .unchanged: break
        case .illegal(let what):
            let problem = Problem(.illegalTransition, "job \(job.id): \(what)")
            effects.append(.report(.illegal(job.provider, job.id, what)))
            if doors[job.provider]?.take(.warning(problem), at: now) == true { announceHealth(job.provider, at: now) }
        }
    }
}
