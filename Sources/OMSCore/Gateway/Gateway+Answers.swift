import OMSModel
import OMSProtocol

/// What the providers' answers mean: for the job, and for the provider's health.
extension Gateway {
    mutating func answered(_ id: Int, _ latency: Int, _ cost: Int64, _ answer: ProviderAnswer, at now: Moment) {
        guard let call = calls.removeValue(forKey: id) else { return }
        defer { callEnded(of: call.tenant) }
        guard let door = doors[call.provider] else { return forgetCall(call, at: now) }
        onHandling?(call.provider, door.version)
        doors[call.provider]?.latency = latency
        doors[call.provider]?.ended(call)
        defer { pay(for: call, cost, at: now) }
        switch call.kind {
        case .services: tookCatalog(call.provider, answer, at: now)
        case .status: tookStatus(call.provider, answer, at: now)
        case .sweep: tookSweep(call.provider, call.kind, answer, at: now)
        case .batch(let ids): tookBatch(call.provider, ids, answer, at: now)
        case .submit, .job, .stop: break
        }
        // Before what it means for a job: whoever sees a job end by a fault finds the fault in the health already.
        noteHealth(call, answer, at: now)
        switch call.kind {
        case .submit(let request): tookSubmit(request, answer, at: now)
        case .job(let job): tookRead(job, answer, at: now)
        case .stop(let job, _): tookStop(job, answer, at: now)
        case .services, .status, .sweep, .batch: break
        }
    }

    /// The provider was detached meanwhile: what the call was about is read again when it is back.
    private mutating func forgetCall(_ call: ProviderCall, at now: Moment) {
        let id: JobID
        switch call.kind {
        case .submit(let request): id = request.id
        case .job(let job), .stop(let job, _): id = job
        case .services, .status, .sweep, .batch: return
        }
        guard var job = jobs[id], job.inFlight != nil, !job.state.isTerminal else { return }
        job.inFlight = nil
        if case .submit = call.kind {
            job.maybeSent = true
            job.state = .unknown
        }
        job.next = (.read, now.monotonic)
        put(job, at: now)
    }

    private mutating func noteHealth(_ call: ProviderCall, _ answer: ProviderAnswer, at now: Moment) {
        guard var door = doors[call.provider] else { return }
        let wasOpen = door.circuit != .closed
        var sign = HealthSign(answer)
        if call.kind == .status {
            door.statusFault = sign.problem
        } else if let trouble = HealthSign.trouble(answer, to: call.kind) {
            door.note(trouble: trouble, at: now)
            if case .failure = sign { sign = .failure(trouble) }
        }
        let changed = door.take(sign, at: now)
        doors[call.provider] = door
        if wasOpen, door.circuit == .closed { rearm(call.provider, at: now) }
        if changed {
            effects.append(.report(.health(call.provider, door.status, door.circuit, door.reason)))
        }
        if changed || call.kind == .status { announceHealth(call.provider, at: now) }
    }

    /// What reading the answer cost is paid for with silence; what no mistake explains, with the circuit.
    private mutating func pay(for call: ProviderCall, _ cost: Int64, at now: Moment) {
        guard cost > 0, var door = doors[call.provider] else { return }
        let askFrom = door.reading.spend(cost, at: now.monotonic)
        guard askFrom > now.monotonic || door.reading.isGrave(cost) else {
            doors[call.provider] = door
            return
        }
        door.askFrom = max(door.askFrom, askFrom)
        let text =
            "reading its answers takes too much of the processor (this one \(cost / 1_000) ms); it is asked less often"
        let problem = Problem(.providerMalformed, text)
        let changed = door.take(door.reading.isGrave(cost) ? .fatal(problem) : .warning(problem), at: now)
        doors[call.provider] = door
        if changed {
            effects.append(.report(.health(call.provider, door.status, door.circuit, problem)))
            announceHealth(call.provider, at: now)
        }
    }

    // MARK: - Jobs

    private mutating func tookSubmit(_ request: JobRequest, _ answer: ProviderAnswer, at now: Moment) {
        guard var job = jobs[request.id] else { return }
        job.inFlight = nil
        if job.state.isTerminal { return tookAfterEnd(job, answer, at: now) }
        job.lastHeard = now.monotonic
        switch SubmitOutcome(answer, request: request) {
        case .accepted(let report):
            doors[job.provider]?.succeeded()
            apply(report, to: job, at: now)
            if job.stop != nil { plan(.stop, for: job.id, at: now) }
        case .rejected(let problem): end(job, as: .rejected, problem, at: now)
        case .stopped(let problem): end(job, as: .stopped, problem, at: now)
        case .waits(let problem, let seconds):
            later(job, problem, seconds, at: now)
        case .throttled(var problem, let seconds):
            // Who waits, and whose deadline passes with it, is told at least that it was refused.
            if problem.detail == nil { problem.detail = doors[job.provider]?.trouble?.detail }
            // As often as the provider refused, not this one job: each of many would begin with the shortest pause.
            let times = doors[job.provider]?.throttles ?? 0
            let until = max(
                backoff(times + 1, afterSeconds: seconds, at: now), now.monotonic + Self.throttleMilliseconds)
            doors[job.provider]?.throttle(until: until)
            job.attempts = max(0, job.attempts - 1)
            later(job, problem, until: until, at: now)
        case .retries(let problem, let limit, let seconds):
            // It may have been taken before the error: the id protects against a second execution, and at the
            // deadline a stop goes out before anybody calls it expired.
            job.maybeSent = true
            if let limit, job.attempts > limit {
                becomeUnknown(job, problem, at: now)
            } else {
                later(job, problem, seconds, at: now)
            }
        case .unknown(let problem):
            job.maybeSent = true
            becomeUnknown(job, problem, at: now)
        case .conflict:
            job.maybeSent = true
            job.next = (.read, now.monotonic)
            put(job, at: now)
            attendJob(job.id, at: now)
        }
    }

    /// It was given up while the question was under way: the answer is no second end.
    private mutating func tookAfterEnd(_ job: GatewayJob, _ answer: ProviderAnswer, at now: Moment) {
        put(job, at: now)
        if case .answered(_, _, _, .job(let report)) = answer, report.id == job.id {
            _ = tookSign(report, from: job.provider, at: now)
        }
    }

    /// Gives the place back and joins the row again after a while.
    private mutating func later(_ job: GatewayJob, _ problem: Problem, _ seconds: Int?, at now: Moment) {
        later(job, problem, until: backoff(job.attempts, afterSeconds: seconds, at: now), at: now)
    }

    private mutating func later(_ job: GatewayJob, _ problem: Problem, until: Int64, at now: Moment) {
        var job = job
        let changed = job.error != problem
        job.error = problem
        job.next = (.submit, until)
        put(job, at: now)
        doors[job.provider]?.occupied.remove(job.id)
        if changed { publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event)) }
    }

    /// - Parameter isRead: false where the next look at all quiet jobs is soon enough.
    mutating func becomeUnknown(_ job: GatewayJob, _ problem: Problem, isRead: Bool = true, at now: Moment) {
        var job = job
        job.state = .unknown
        job.error = problem
        job.next = isRead ? (.read, backoff(1, afterSeconds: nil, at: now)) : nil
        put(job, at: now)
        effects.append(.report(.unknown(job.provider, job.id, problem)))
        publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
    }

    private mutating func tookRead(_ id: JobID, _ answer: ProviderAnswer, at now: Moment) {
        guard var job = jobs[id] else { return }
        job.inFlight = nil
        if job.state.isTerminal { return tookAfterEnd(job, answer, at: now) }
        switch ReadOutcome(answer) {
        case .found(let report):
            if let request = job.request, job.state == .submitting || job.state == .unknown, !job.acknowledged,
                !report.answers(request)
            {
                return end(job, as: .rejected, Problem(.idConflict, "the id belongs to another job there"), at: now)
            }
            apply(report, to: job, at: now)
            if job.stop != nil { plan(.stop, for: id, at: now) }
        case .absent:
            job.absences += 1
            if job.stop != nil, !job.acknowledged {
                // The submit may still be on its way: the stop goes out all the same, and the provider remembers it.
                job.next = (.stop, now.monotonic)
                put(job, at: now)
                return attendJob(id, at: now)
            }
            // Twice, two seconds apart: an answer may come from a replica that has not seen it yet.
            if job.absences < 2 {
                job.next = (.read, now.monotonic + timing.absenceMilliseconds)
                put(job, at: now)
            } else if job.acknowledged {
                end(job, as: .lost, Problem(.providerForgot, "the provider does not know the job any more"), at: now)
            } else if mayBeForgotten(job, at: now) {
                end(job, as: .lost, Self.forgotten, at: now)
            } else if job.request != nil {
                // Absent now: the same id may be sent again. `maybeSent` stays, for the first request may come late, and
                // at the deadline a stop keeps it out.
                job.state = .submitting
                job.absences = 0
                job.next = (.submit, backoff(job.attempts, afterSeconds: nil, at: now))
                store(job, at: now)
                publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
            } else {
                end(job, as: .lost, Problem(.providerForgot, "the provider does not know the job"), at: now)
            }
        case .gone: end(job, as: .lost, Problem(.providerForgot, "the provider has purged the job"), at: now)
        case .waits(let problem, let seconds):
            job.attempts += 1
            job.error = problem
            job.next = (.read, backoff(job.attempts, afterSeconds: seconds, at: now))
            put(job, at: now)
            if job.state != .unknown, job.state != .submitting, job.attempts >= 3 {
                becomeUnknown(job, problem, at: now)
            }
        }
    }

    /// Nobody could ask for longer than the provider keeps what has ended: that it does not know the job says nothing.
    private func mayBeForgotten(_ job: GatewayJob, at now: Moment) -> Bool {
        guard job.maybeSent else { return false }
        // Sent by an earlier process, or another gateway: not before it was due.
        let age = job.firstSent.map { now.monotonic - $0 } ?? now.wall.milliseconds.minus(job.id.time.milliseconds)
        guard let retention = doors[job.provider]?.retentionSeconds else { return false }
        let kept = Span.seconds(retention)
        return age >= kept - min(Self.retentionMarginMilliseconds, kept / 2)
    }

    private static let throttleMilliseconds: Int64 = 1_000

    private static let retentionMarginMilliseconds: Int64 = 5_000
    private static let forgotten = Problem(
        .providerForgot,
        "whether the provider took the job is not known: it did not answer for longer than it keeps ended jobs")

    private mutating func tookStop(_ id: JobID, _ answer: ProviderAnswer, at now: Moment) {
        guard var job = jobs[id] else { return }
        job.inFlight = nil
        if job.state.isTerminal { return tookAfterEnd(job, answer, at: now) }
        switch StopOutcome(answer) {
        case .state(let report):
            apply(report, to: job, at: now)
            plan(nil, for: id, at: now)
        case .absent, .gone:
            if job.acknowledged {
                end(job, as: .lost, Problem(.providerForgot, "the provider does not know the job any more"), at: now)
            } else if mayBeForgotten(job, at: now) {
                end(job, as: .lost, Self.forgotten, at: now)
            } else if job.request?.deadline.map({ now.wall >= $0 }) == true {
                end(
                    job, as: .expired, Problem(.deadline, "not accepted by its deadline; the provider never had it"),
                    at: now)
            } else {
                end(job, as: .stopped, Problem(.stopped, "the provider never had it"), at: now)
            }
        case .refused(let problem):
            // It cannot be stopped: it runs to its own end, and the sweep sees it.
            job.error = problem
            job.stop = nil
            job.next = (.read, now.monotonic + timing.absenceMilliseconds)
            put(job, at: now)
        case .waits(let problem, let seconds):
            job.attempts += 1
            job.error = problem
            job.next = (.stop, backoff(job.attempts, afterSeconds: seconds, at: now))
            let isOverdue = job.stopUntil.map { now.monotonic >= $0 } ?? false
            if isOverdue, job.state != .unknown {
                job.state = .unknown
                publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
            }
            put(job, at: now)
        }
    }
}
