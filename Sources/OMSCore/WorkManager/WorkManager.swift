package import OMSModel
package import OMSProtocol

/// One tenant's Work Manager: schedules its services, runs jobs on one or several providers, merges the results and
/// journals every fact. A value without I/O; the fleet's shell carries its effects out.
///
/// It is a cache: all that must survive it is in the journal, in PostgreSQL, at the gateways and at the providers.
/// Ids are derived (see `UUIDv7`), so whatever it did without recording it, its successor does again with the same
/// ids and no effect.
package struct WorkManager: Sendable {
    package enum Event: Sendable {
        /// Subscriptions stand; work may begin.
        case started
        /// The broker connection is back: retained state is to be published again.
        case connected
        case wake
        case jobEvent(ProviderID, JobEvent)
        case heartbeat(Heartbeat)
        case committed(Committed)
        case health(ProviderID, Health)
        case reconfigure(WorkManagerConfig)
        case trigger(RunTrigger)
        /// End gracefully; see `WorkManager+Drain`.
        case drain(until: Timestamp, isFinal: Bool = false)
        /// The drain is taken back.
        case resume
        /// The registry's open runs, because they differ from the digest in the last status.
        case reconcile(WorkManagerResume)
        /// Somebody took the retained state away.
        case stateTaken
        /// A message of this Work Manager did not leave, and never would.
        case notSent(NotSent)
    }

    package enum Effect: Hashable, Sendable {
        case publish(Message)
        /// A gateway knows a newer epoch: this Work Manager has been replaced and must go.
        case fenced(Int)
        /// What became of a wish for a run; nil: it is fired.
        case answered(RunTrigger, Problem?)
        /// So many jobs stand between this Work Manager and its end.
        case draining(remaining: Int)
        /// All ended, all committed: it may go.
        case drained(lastSeq: Int)
    }

    package let tenant: TenantID
    package let epoch: Int
    let fleet: NodeID
    let boot: Int64
    package internal(set) var config: WorkManagerConfig
    let since: Moment

    var isStarted = false
    var drain: Drain?
    var journal = JournalBuffer()
    var runs: [RunID: RunTrack] = [:]
    /// Which run owns a job; derived from `runs`, kept for look-up.
    var runOfJob: [JobID: RunID] = [:]
    var services: [ServiceID: ServiceTrack] = [:]
    var usable: [ProviderID: Bool] = [:]
    var gatewayBoot: [ProviderID: Int64] = [:]
    var lastResults: [ServiceID: ServiceResult] = [:]
    var reasons: [String: Reason] = [:]
    var commandCounter = 0
    /// Of the data of a message, in bytes; less when the broker takes less.
    var dataLimit = MessageSize.maxData
    var effects: [Effect] = []

    /// What a service has done so far.
    struct ServiceTrack: Sendable {
        /// Every tick up to here is accounted for. What is queued lies after it, so a queue needs no memory.
        var lastTick: Timestamp?
        /// nil: not due by itself.
        var timetable: Timetable?
        /// The first tick that is not accounted for.
        var nextTick: Timestamp?
        var succeeded: RunReference?
        var consumed: [RunID] = []
        /// The run that has not finished yet.
        var openRun: RunID?
        /// Runs with a result and a job that has not ended; derived from `runs`, kept for look-up.
        var unclosed: Set<RunID> = []
        /// When the run began whose result stands for the service.
        var spokeFor: Timestamp?
        /// Ticks after `lastTick` whose runs were found begun: they are accounted for as fired, not again and not as missed.
        var begun: [Timestamp: RunID] = [:]
        /// Runs that upstream runs had caused before this Work Manager began: not begun again when those succeed, or are found
        /// to have succeeded.
        var caused: Set<RunID> = []
        /// The last runs that somebody asked for.
        var manual: [RunID] = []
    }

    package init(
        tenant: TenantID, epoch: Int, fleet: NodeID, boot: Int64, config: WorkManagerConfig,
        resume: WorkManagerResume, at now: Moment
    ) {
        self.tenant = tenant
        self.epoch = epoch
        self.fleet = fleet
        self.boot = boot
        self.config = config
        since = now
        for (service, tick) in resume.ticks { services[service, default: .init()].lastTick = tick }
        for (service, run) in resume.succeeded { services[service, default: .init()].succeeded = run }
        for (service, runs) in resume.consumed { services[service, default: .init()].consumed = runs }
        for open in resume.open { adopt(open, at: now) }
        readTimetables(at: now)
    }

    package mutating func receive(_ event: Event, at now: Moment) -> [Effect] {
        switch event {
        case .started:
            isStarted = true
            publishState(at: now)
            completeAdopted(runs.keys.sorted(), at: now)
            for id in runs.keys.sorted() { settle(id, at: now) }
        case .connected:
            journal.connectionRestored()
            publishState(at: now)
            for service in lastResults.keys.sorted() { publishResult(of: service) }
        case .wake: break
        case .jobEvent(let provider, let event): received(event, from: provider, at: now)
        case .heartbeat(let heartbeat): answer(heartbeat, at: now)
        case .committed(let committed):
            if committed.epoch == epoch { journal.acknowledge(committed.ackSeq, at: now) }
        case .health(let provider, let health): received(health, of: provider, at: now)
        case .reconfigure(let newConfig): reconfigure(newConfig, at: now)
        case .trigger(let wish): trigger(wish, at: now)
        case .drain(let deadline, let isFinal): beginDrain(until: deadline, isFinal: isFinal, at: now)
        case .resume: takeDrainBack(at: now)
        case .reconcile(let rows): reconcile(with: rows, at: now)
        case .stateTaken: publishState(at: now)
        case .notSent(let refusal): make(smaller: refusal, at: now)
        }
        if isStarted {
            attendRuns(at: now)
            if drain == nil { fireWhatIsDue(at: now) } else { attendDrain(at: now) }
            attendRuns(at: now)
            flushJournal(at: now)
            finishDrain(at: now)
        }
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    /// When `wake` is wanted (monotonic milliseconds). At most a minute ahead, because the wall clock may step.
    package func nextWake(at now: Moment) -> Int64 {
        var next = now.monotonic + 60_000
        if !isStarted { return next }
        if let resend = journal.nextResend { next = min(next, resend) }
        for run in runs.values {
            if !run.finished || run.hasLate { next = min(next, monotonic(run.deadline, at: now)) }
            if !run.finished, let partial = run.partialAt, partial > now.wall {
                next = min(next, monotonic(partial, at: now))
            }
            for job in run.jobs {
                if drain != nil, job.lastAsked == nil, !job.wantsStop { continue }
                if let at = job.nextCommand { next = min(next, at) }
                if let at = run.timeout(of: job)?.at { next = min(next, at) }
            }
        }
        if let drain {
            if drain.deadline > now.wall { next = min(next, monotonic(drain.deadline, at: now)) }
            return max(next, now.monotonic + 1)
        }
        if let tick = nextTick(at: now) { next = min(next, monotonic(tick, at: now)) }
        return max(next, now.monotonic + 1)
    }

    private func monotonic(_ wall: Timestamp, at now: Moment) -> Int64 {
        now.monotonic + max(0, wall.milliseconds - now.wall.milliseconds)
    }

    // MARK: - Small helpers of all extensions

    mutating func publish(_ topic: Topic, _ payload: Payload) {
        effects.append(.publish(Message(topic, payload)))
    }

    mutating func note(_ entry: JournalEntry, at now: Moment) { journal.append(entry, at: now) }

    mutating func explain(_ subject: String, _ code: String, _ text: String, at now: Moment) {
        if let current = reasons[subject], current.code == code, current.text == text { return }
        let reason = Reason(subject: subject, code: code, text: text, since: now.wall)
        reasons[subject] = reason
        note(
            JournalEntry(
                reason: ReasonRecord(subject: subject, code: code, text: text, since: now.wall, cleared: false)),
            at: now)
    }

    mutating func clearReason(_ subject: String, at now: Moment) {
        guard reasons.removeValue(forKey: subject) != nil else { return }
        note(JournalEntry(reason: ReasonRecord(subject: subject, since: now.wall, cleared: true)), at: now)
    }

    mutating func publishState(at now: Moment) {
        publish(
            .wmState(tenant),
            .wmState(
                WMState(
                    state: drain == nil ? .active : .draining, epoch: epoch, generation: config.generation,
                    fleet: fleet, since: since.wall)))
    }

    private mutating func flushJournal(at now: Moment) {
        for batch in journal.takeBatches(at: now) {
            publish(
                .wmJournal(tenant),
                .journal(Journal(epoch: epoch, firstSeq: batch.firstSeq, entries: batch.entries)))
        }
    }

    private mutating func reconfigure(_ newConfig: WorkManagerConfig, at now: Moment) {
        guard newConfig.generation > config.generation else { return }
        retireSchedules(for: newConfig, at: now)
        config = newConfig
        readTimetables(at: now)
        abandonLost(at: now)
        for subject in reasons.keys.sorted() where subject.hasPrefix("service/") {
            if ServiceID(subject.dropFirst("service/".count)).flatMap(newConfig.service) == nil {
                clearReason(subject, at: now)
            }
        }
        publishState(at: now)
    }
}
