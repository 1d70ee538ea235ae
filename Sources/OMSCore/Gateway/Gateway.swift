package import OMSModel
package import OMSProtocol

/// The one door to the Service Providers. Carries out commands of exactly one epoch per tenant, submits each job id
/// at most once (P3), watches jobs by one sweep per provider, and keeps asking where an answer was lost.
package struct Gateway: Sendable {
    package enum Event: Sendable {
        case connected
        /// The broker cannot be reached any more.
        case disconnected
        case received(Message)
        /// These could not be written, and nothing of their batch was said or submitted.
        case unrecorded([LedgerEntry])
        /// - cost: processor time that reading it took, in microseconds.
        case answer(call: Int, latency: Int, cost: Int64 = 0, ProviderAnswer)
        /// A message did not leave, and never would.
        case notSent(NotSent)
        /// The broker grants the orders for a provider, or does not.
        case hears(ProviderID)
        case deaf(ProviderID, why: String)
        case wake
    }

    package enum Effect: Hashable, Sendable {
        case publish(Message)
        case call(ProviderCall)
        /// Hear the job commands of an attached provider.
        case subscribe(ProviderID)
        case unsubscribe(ProviderID)
        /// To be on disk before any other effect of the same batch, if it is blocking. If it cannot be written, nothing
        /// of the batch is published or submitted, and `unrecorded` says so.
        case record(LedgerEntry)
        /// A newer process has this name: this one must end.
        case superseded(boot: Int64)
        case report(Report)
    }

    package enum Report: Hashable, Sendable {
        case attached(ProviderID)
        case detached(ProviderID)
        case health(ProviderID, Health.Status, Health.Circuit, Problem?)
        case illegal(ProviderID, JobID, String)
        case refused(TenantID, JobID, epoch: Int, fence: Int)
        /// A command of an epoch that the registry has not announced: it is left to be repeated.
        case ahead(TenantID, JobID, epoch: Int, fence: Int)
        /// It is not called: this gateway died while it read the provider's answers.
        case quarantined(ProviderID, deaths: Int)
        case unknown(ProviderID, JobID, Problem)
        case full(ProviderID)
        /// A job goes on for too long after its stop: it takes no place any more.
        case stuck(ProviderID, TenantID, JobID)
        case gaveUp(ProviderID, TenantID, JobID)
        /// The provider speaks of a job that was given up.
        case signOfLife(ProviderID, TenantID, JobID, JobState)
    }

    package let id: NodeID
    package let boot: Int64
    let release: String
    let since: Timestamp
    let timing: GatewayTiming

    var doors: [ProviderID: Door] = [:]
    var jobs: [JobID: GatewayJob] = [:]
    /// Which jobs a tenant has here; derived from `jobs`, kept for look-up.
    var jobsOfTenant: [TenantID: Set<JobID>] = [:]
    var jobTimers = TimerQueue<JobID>()
    /// Per tenant the only epoch whose commands count; it only rises.
    var fences: [TenantID: Int] = [:]
    /// The highest epoch that is known to have begun.
    var begun: [TenantID: Int] = [:]
    /// Fences that are not on disk: written before anything rests on them.
    var unwrittenFences: Set<TenantID> = []
    /// Seals that wait for the end of a call.
    var awaitedSeals: [TenantID: Int] = [:]
    /// Seals that are to name what went out: from which epoch on.
    var awaitedLists: [TenantID: Int] = [:]
    var sweeps: [TenantID: SweepTrack] = [:]
    /// What operators gave up, for a day.
    var givenUp: [JobID: GivenUpTrack] = [:]
    /// Of these, what is not on disk.
    var unwrittenGiveUps: Set<JobID> = []
    /// Since when the broker cannot be reached (monotonic).
    var cutOffSince: Int64?
    /// This process found that it had been stopped, and has heard nothing of its connection since (monotonic).
    var stopNoticed: Int64?
    var calls: [Int: ProviderCall] = [:]
    var nextCall = 1
    /// Providers whose answers earlier processes of this gateway died of.
    var suspects: [ProviderID: SuspectProvider]
    /// Called before a provider's answer is handled and, with nil, after it.
    package var onHandling: (@Sendable (ProviderID, Int) -> Void)?
    /// Ended jobs in order of their end; kept so that a question after them is answered without the provider.
    var ended: [EndedJob] = []
    /// What all of them take, as it is written.
    private(set) var endedBytes = 0
    /// What is left of them after that.
    var memory = JobMemory()
    var generator: SplitMix64
    /// Any message may be lost, these too: retained state is said again now and then (monotonic).
    var nextAnnouncement: Int64 = .max
    var announcements = 0
    /// When anything was last handled (monotonic).
    var lastHandled: Int64?
    /// Of a message, in bytes; less when the broker takes less.
    var messageLimit = EnvelopeCodec.maxBytes
    /// Providers whose orders the broker does not let this gateway hear, and its words.
    var deaf: [ProviderID: String] = [:]
    var effects: [Effect] = []

    static let maxEnded = 20_000
    /// A number alone bounds nothing: outputs may be as large as a message. In memory it is some times as much.
    static let maxEndedBytes = 16 << 20
    static let keepEndedMilliseconds: Int64 = 3_600_000
    /// How long a stop is repeated beyond its grace before the job counts as unknown.
    static let stopPatienceMilliseconds: Int64 = 60_000

    /// - Parameter ledger: what an earlier process of this gateway left.
    package init(
        id: NodeID, boot: Int64, release: String, seed: UInt64, timing: GatewayTiming = GatewayTiming(),
        ledger: LedgerContents = LedgerContents(), at now: Moment
    ) {
        self.timing = timing
        self.id = id
        self.boot = boot
        self.release = release
        since = now.wall
        generator = SplitMix64(seed: seed)
        let ledger = ledger.plausible
        fences = ledger.fences
        begun = ledger.begun
        suspects = Dictionary(ledger.suspects.map { ($0.provider, $0) }) { first, _ in first }
        for entry in ledger.open {
            // It may have been sent or not: unknown until the provider has been asked.
            var job = GatewayJob(
                id: entry.request.id, tenant: entry.tenant, provider: entry.provider, epoch: entry.epoch,
                request: entry.request, state: .unknown, at: now)
            job.acknowledged = entry.acknowledged
            job.maybeSent = true
            job.isRecorded = true
            job.next = (.read, now.monotonic)
            put(job, at: now)
        }
        for entry in ledger.ended {
            memory.add(JobMemory.Line(left: entry.left, state: entry.state, endedAt: now.monotonic - entry.age))
        }
        for entry in ledger.givenUp {
            givenUp[entry.job.job] = GivenUpTrack(
                job: entry.job, forgetAt: now.monotonic + max(0, JobMemory.keepMilliseconds - entry.age))
        }
        memory.forget(at: now.monotonic)
    }

    package func presence(_ state: Presence.State) -> Presence {
        Presence(
            state: state, boot: boot, since: since, release: release, protocols: [1],
            suspectProviders: suspects.isEmpty ? nil : suspects.values.sorted { $0.provider < $1.provider })
    }

    package mutating func receive(_ event: Event, at now: Moment) -> [Effect] {
        noticeStop(at: now)
        switch event {
        case .connected:
            cutOffSince = nil
            stopNoticed = nil
            announcements = 0
            announce(at: now)
        case .disconnected: disconnected(at: now)
        case .received(let message): received(message, at: now)
        case .unrecorded(let entries): unrecorded(entries)
        case .answer(let call, let latency, let cost, let answer): answered(call, latency, cost, answer, at: now)
        case .notSent(let refusal): notSent(refusal, at: now)
        case .hears(let provider): deaf[provider] = nil
        case .deaf(let provider, let why): deafened(provider, why)
        case .wake:
            if now.monotonic >= nextAnnouncement { announce(at: now) }
            attendJobs(at: now)
        }
        giveUpProviders(at: now)
        for provider in doors.keys.sorted() {
            if let onHandling, let door = doors[provider] { onHandling(provider, door.version) }
            attend(provider, at: now)
        }
        forgetEnded(at: now)
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    package mutating func nextWake(at now: Moment) -> Int64 {
        var next = min(nextAnnouncement, now.monotonic + 60_000)
        if let cutOffSince, !doors.isEmpty { next = min(next, cutOffSince + timing.holdMilliseconds) }
        for door in doors.values where !door.isQuarantined {
            var at = door.statusInFlight ? Int64.max : door.nextStatus
            if door.circuit == .closed {
                if !door.servicesInFlight { at = min(at, door.nextServices) }
                if !door.sweepInFlight, door.watermark != nil { at = min(at, door.nextSweep) }
                if !door.batchInFlight, !door.occupied.isEmpty { at = min(at, door.nextBatch) }
                if !door.line.isEmpty, door.jobCalls < Door.maxJobCalls { at = min(at, door.askFrom) }
                if door.hasRoom, cutOffSince == nil { at = min(at, door.submitFrom) }
            }
            next = min(next, max(at, door.askFrom))
        }
        if let job = jobTimers.next() { next = min(next, job) }
        return max(next, now.monotonic + 1)
    }

    private mutating func received(_ message: Message, at now: Moment) {
        switch (message.topic, message.payload) {
        case (.gatewayControl(id), .gatewayControl(let control)): obey(control, at: now)
        case (.wmEpoch(let tenant), .wmEpoch(let epoch)):
            raiseFence(of: tenant, to: epoch.epoch, at: now)
            noteBegun(epoch.epoch, of: tenant)
        case (.jobCommand(let tenant, let provider), .jobCommand(let command)):
            obey(command, of: tenant, at: provider, now)
        case (.gatewayPresence(id), .presence(let presence)):
            if presence.boot > boot {
                if presence.state == .online { effects.append(.superseded(boot: presence.boot)) }
                return
            }
            if presence.state != .online {
                publish(.gatewayPresence(id), .presence(self.presence(.online)))
            }
        // Somebody took retained state away: its owner says it again.
        case (.gatewayPresence(id), .removed): publish(.gatewayPresence(id), .presence(self.presence(.online)))
        case (.providerHealth(let provider), .removed): announceHealth(provider, at: now)
        case (.providerCatalog(let provider), .removed):
            if let catalog = doors[provider]?.catalog { publish(.providerCatalog(provider), .catalog(catalog)) }
        default: break
        }
    }

    private mutating func obey(_ control: GatewayControl, at now: Moment) {
        switch control.command {
        case .seal: return seal(control, at: now)
        case .sweep: return sweep(control, at: now)
        case .giveUp: return giveUp(control, at: now)
        case .attach, .detach: break
        }
        guard let provider = control.provider else {
            return acknowledge(control, Problem(.badRequest, "field provider is missing"))
        }
        switch control.command {
        case .seal, .sweep, .giveUp: break
        // Asked before the connection broke; asked again when it is back.
        case .attach where cutOffSince != nil || control.boot.map({ $0 != boot }) == true: return
        case .attach:
            guard let spec = control.spec, let version = control.version else {
                return acknowledge(control, Problem(.badRequest, "field spec or version is missing"))
            }
            if let why = deaf[provider] {
                // The broker is asked again; its answer comes before the registry's next attempt.
                effects.append(.subscribe(provider))
                return acknowledge(control, Problem(.unavailable, why))
            }
            if doors[provider] == nil {
                var door = Door(
                    provider: provider, spec: spec, version: version, timing: timing, firstCall: nextCall)
                judge(&door, deaths: control.deaths, at: now)
                if control.moved == true { haveMoved(to: &door, at: now) }
                // Jobs of an earlier process take their places from the start.
                door.occupied = Set(jobs.values.filter { $0.provider == provider && !$0.state.isTerminal }.map(\.id))
                for id in door.occupied {
                    if let job = jobs[id], let since = job.stuckSince {
                        door.becameStuck(id, of: job.tenant, since: since)
                    }
                }
                doors[provider] = door
                rearm(provider, at: now)
                effects.append(.subscribe(provider))
                effects.append(.report(.attached(provider)))
                if doors[provider]?.isQuarantined == true { announceHealth(provider, at: now) }
            } else if doors[provider]?.version != version {
                doors[provider]?.spec = spec
                doors[provider]?.version = version
                if let places = doors[provider]?.maxRunning { doors[provider]?.limit = places }
                doors[provider]?.countBarred()
                doors[provider]?.nextStatus = 0
                doors[provider]?.nextServices = 0
                doors[provider]?.circuit = .closed
                doors[provider]?.failures = 0
                doors[provider]?.askFrom = 0
                judge(provider, deaths: control.deaths, at: now)
                rearm(provider, at: now)
            } else if control.deaths != nil {
                judge(provider, deaths: control.deaths, at: now)
            }
            acknowledge(control, nil)
        case .detach:
            if doors.removeValue(forKey: provider) != nil {
                effects.append(.unsubscribe(provider))
                // Without a version it only moves: another gateway speaks for it now.
                if control.version != nil {
                    publish(.providerCatalog(provider), .removed)
                    publish(.providerHealth(provider), .removed)
                }
                effects.append(.report(.detached(provider)))
            }
            acknowledge(control, nil)
        }
    }

    private mutating func judge(_ provider: ProviderID, deaths: Int?, at now: Moment) {
        guard var door = doors[provider] else { return }
        let was = door.isQuarantined
        judge(&door, deaths: deaths, at: now)
        doors[provider] = door
        if was != door.isQuarantined { announceHealth(provider, at: now) }
    }

    mutating func acknowledge(_ control: GatewayControl, _ error: Problem?) {
        publish(
            .gatewayAck(id),
            .gatewayAck(
                GatewayAck(
                    id: control.id, command: control.command, provider: control.provider, version: control.version,
                    boot: boot, error: error)))
    }

    // MARK: - Small helpers of all extensions

    mutating func publish(_ topic: Topic, _ payload: Payload) {
        effects.append(.publish(Message(topic, payload)))
    }

    mutating func call(_ kind: ProviderCall.Kind, _ door: Door, tenant: TenantID? = nil, epoch: Int? = nil) {
        let call = ProviderCall(
            id: nextCall, provider: door.provider, version: door.version, baseURL: door.spec.baseURL,
            credential: door.spec.credential,
            kind: kind, tenant: tenant, epoch: epoch, timeout: timing.callLimit(kind))
        nextCall += 1
        calls[call.id] = call
        switch kind {
        case .submit:
            doors[door.provider]?.jobCalls += 1
            doors[door.provider]?.submits += 1
        case .job, .stop: doors[door.provider]?.jobCalls += 1
        case .services, .status, .sweep, .batch: break
        }
        effects.append(.call(call))
    }

    /// Often enough that a registry hears of it well within the hold time.
    private mutating func announce(at now: Moment) {
        publish(.gatewayPresence(id), .presence(presence(.online)))
        // Catalogues may be long, so they come with every third.
        announcements += 1
        if announcements % 3 == 1 { for provider in doors.keys.sorted() { announce(provider, at: now) } }
        nextAnnouncement = now.monotonic + Self.announceMilliseconds
    }

    static let announceMilliseconds: Int64 = 10_000

    /// All retained state of a provider, after a (re)connection.
    private mutating func announce(_ provider: ProviderID, at now: Moment) {
        announceHealth(provider, at: now)
        if let catalog = doors[provider]?.catalog { publish(.providerCatalog(provider), .catalog(catalog)) }
    }

    mutating func announceHealth(_ provider: ProviderID, at now: Moment) {
        guard let door = doors[provider] else { return }
        var health = door.health(gateway: id, boot: boot, at: now)
        health.places = places(of: door)
        publish(.providerHealth(provider), .health(health))
    }

    /// - Parameter afterSeconds: what the provider asked for. Less than a second is no wish that could be kept, so it counts
    ///   as none; more than `maxRetryAfterSeconds` counts as that.
    mutating func backoff(_ attempt: Int, afterSeconds: Int?, at now: Moment) -> Int64 {
        if let afterSeconds, afterSeconds >= 1 {
            return now.monotonic + Span.seconds(min(afterSeconds, GatewayTiming.maxRetryAfterSeconds))
        }
        return now.monotonic
            + Retry.delay(
                attempt: attempt, base: timing.backoffBaseMilliseconds, cap: timing.backoffCapMilliseconds,
                using: &generator)
    }

    struct EndedJob: Sendable {
        var id: JobID
        var bytes: Int
    }

    /// Kept for a while in all its details, then in a line.
    mutating func keepEnded(_ job: GatewayJob) {
        let texts = (job.error.map { MessageSize.bytes($0) } ?? 0) + (job.message.map { MessageSize.bytes($0) } ?? 0)
        let bytes =
            Self.leastEndedBytes + texts + (job.outputs?.encodedBytes ?? 0)
            + (job.request.map { MessageSize.bytes($0) } ?? 0)
        ended.append(EndedJob(id: job.id, bytes: bytes))
        endedBytes += bytes
    }

    private static let leastEndedBytes = 512

    private mutating func forgetEnded(at now: Moment) {
        var drop = 0
        while drop < ended.count {
            let old = jobs[ended[drop].id]?.endedAt.map { now.monotonic - $0 > Self.keepEndedMilliseconds } ?? true
            guard old || ended.count - drop > Self.maxEnded || endedBytes > Self.maxEndedBytes else { break }
            endedBytes -= ended[drop].bytes
            if let job = jobs.removeValue(forKey: ended[drop].id) {
                remember(job)
                jobsOfTenant[job.tenant]?.remove(job.id)
                if jobsOfTenant[job.tenant]?.isEmpty == true { jobsOfTenant[job.tenant] = nil }
            }
            drop += 1
        }
        if drop > 0 { ended.removeFirst(drop) }
        memory.forget(at: now.monotonic)
        forgetGivenUp(at: now)
    }
}
