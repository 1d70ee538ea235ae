import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// A registry with an obedient database, whose answers come at once unless they are held back.
struct RegistryBench {
    var registry = Registry(id: "r1", boot: 9, release: "t", heartbeatSeconds: 1, at: at(0))
    var sent: [Message] = []
    var requests: [StoreRequest] = []
    var held: [(ticket: Int, request: StoreRequest)] = []
    var holdsCommits = false
    var holdsEpochs = false
    var holdsOperations = false
    var holdsObservations = false
    var holdsPrunings = false
    /// The link to the database is frozen.
    var holdsAll = false
    var snapshot = Snapshot()
    var epochs: [TenantID: Int] = [:]
    var resume = WorkManagerResume.empty
    var now: Int64 = 0
    /// The Work Manager answers its heartbeats.
    var answersBeats = true
    /// So many epochs cannot be opened: the database is away.
    var failingEpochs = 0
    /// Gateways that answer seals and attachments at once, with the boot that they last showed.
    var obedientGateways: [NodeID: Int64] = ["g1": 1]
    /// What the gateways say about a sweep's jobs; nil: they do not answer.
    var sweptAs: JobState? = .stopped
    var openJobs: [OpenJobRow] = []
    var auditAnswer: AuditedJobs?
    var runFigures: [RunFigures] = []
    /// How the roll-out stands in the database, if it is not as the registry thinks.
    var storedRollout: Rollout?
    var holdsPlans = false
    /// One that the registry has not heard of.
    var openOperation: ManagerOperation?
    /// The last epoch that the gateways know.
    var begun: [TenantID: Int] = [:]
    /// What a gateway names when it seals.
    var left: [NodeID: [LeftJob]] = [:]
    var failingRecoveries = 0
    /// Why the database takes no give-up.
    var giveUpRefusal: Problem?
    /// What the gateways say of jobs that are to be given up; nil: nothing.
    var givesUp: Bool? = true
    /// How the next batches of history end, the last first.
    var failingPrunings: [Problem] = []
    var prunedAnswers: [Pruned] = []
    /// Of tenants that were there before.
    var past: [TenantID: StoredManager] = [:]

    mutating func feed(_ event: Registry.Event) {
        var events = [event]
        while !events.isEmpty {
            for effect in registry.receive(events.removeFirst(), at: at(now)) {
                switch effect {
                case .publish(let message):
                    sent.append(message)
                    if answersBeats, case .heartbeat(let beat) = message.payload,
                        case .wmHeartbeat(let tenant) = message.topic
                    {
                        let status = Self.status(
                            beat.beat, epoch: beat.epoch, generation: registry.tenants[tenant]?.generation ?? 0)
                        events.append(.received(Message(.wmStatus(tenant), .wmStatus(status))))
                    }
                    if case .gatewayControl(let node) = message.topic,
                        case .gatewayControl(let control) = message.payload, let boot = obedientGateways[node],
                        let ack = ack(node, control, boot)
                    {
                        events.append(.received(Message(.gatewayAck(node), .gatewayAck(ack))))
                    }
                case .superseded: break
                case .store(let ticket, let request):
                    requests.append(request)
                    if holdsAll {
                        held.append((ticket, request))
                    } else if case .commit = request, holdsCommits {
                        held.append((ticket, request))
                    } else if case .savePlan = request, holdsPlans {
                        held.append((ticket, request))
                    } else if case .openEpoch = request, holdsEpochs {
                        held.append((ticket, request))
                    } else if case .saveOperation = request, holdsOperations {
                        held.append((ticket, request))
                    } else if case .prune = request, holdsPrunings {
                        held.append((ticket, request))
                    } else if case .observe = request, holdsObservations {
                        held.append((ticket, request))
                    } else {
                        events.append(.stored(ticket: ticket, answer(request)))
                    }
                }
            }
        }
    }

    private func ack(_ node: NodeID, _ control: GatewayControl, _ boot: Int64) -> GatewayAck? {
        var ack = GatewayAck(
            id: control.id, command: control.command, provider: control.provider, version: control.version, boot: boot,
            sealed: control.seals?.map { seal in
                let count = left[node, default: []].count { $0.tenant == seal.tenant }
                return Seal(
                    tenant: seal.tenant, epoch: max(seal.epoch, begun[seal.tenant] ?? 0),
                    listed: seal.list == nil ? nil : count, begun: begun[seal.tenant])
            })
        if control.seals?.contains(where: { $0.list != nil }) == true { ack.left = left[node] }
        if let wishes = control.giveUps {
            guard let givesUp else { return nil }
            ack.gaveUp = givesUp ? wishes.map(\.job) : []
            ack.refused = givesUp ? nil : wishes.map { SweptJob(job: $0.job, provider: $0.provider, state: .running) }
        }
        if let sweep = control.sweep {
            guard let sweptAs else { return nil }
            let jobs = sweep.jobs.map { SweptJob(job: $0.job, provider: $0.provider, state: sweptAs) }
            ack.swept = SweepReport(
                tenant: sweep.tenant, epoch: sweep.epoch, ended: sweptAs.isTerminal ? jobs : [],
                remaining: sweptAs.isTerminal ? [] : jobs)
        }
        return ack
    }

    static func status(_ beat: Int, epoch: Int, generation: Int) -> WMStatus {
        WMStatus(
            beat: beat, epoch: epoch, fleet: "f1", boot: 1, state: .active, generation: generation, seq: 0,
            uptimeSeconds: 1,
            jobs: [:], active: [], waiting: [])
    }

    private mutating func answer(_ request: StoreRequest) -> StoreReply {
        switch request {
        case .load: return .loaded(snapshot)
        case .apply(let documents, _, _):
            return .applied(
                documents.map {
                    switch $0 {
                    case .provider(let id, _):
                        AppliedDocument(kind: "Provider", name: id.text, change: .created, version: 1)
                    case .scenario(let id, _):
                        AppliedDocument(kind: "Scenario", name: id.text, change: .created, version: 1)
                    case .tenant(let id, _):
                        AppliedDocument(kind: "Tenant", name: id.text, change: .created, version: 1)
                    }
                }, past: past)
        case .renew(let provider, _, let version, _):
            return .applied(
                [AppliedDocument(kind: "Provider", name: provider.text, change: .changed, version: version + 1)],
                past: [:])
        case .savePlan: return .saved
        case .openEpoch(let tenant, let expected, _, _, _, _):
            if failingEpochs > 0 {
                failingEpochs -= 1
                return .failed(Problem(.unavailable, "down", retryable: true))
            }
            epochs[tenant] = expected
            return .opened(epoch: expected, since: at(now).wall, resume)
        case .commit(_, let journal): return .committed(journal.firstSeq + journal.entries.count - 1)
        case .observe: return .observed
        case .saveVerification, .saveOperation, .closeEpoch, .removeTenant, .drainFleet, .assign,
            .prove:
            return .saved
        case .beginOperation(let operation): return .operation(openOperation ?? operation)
        case .saveRollout(let rollout):
            let stored = storedRollout ?? rollout
            return .rollout(
                stored,
                stored.phase == .done
                    ? AppliedDocument(kind: "Scenario", name: stored.scenario.text, change: .changed, version: 2) : nil)
        case .rolloutFigures: return .figures(runFigures)
        case .settleQuarantined: return .settledQuarantined("men", fact: "job/1")
        case .openJobs: return .openJobs(openJobs)
        case .audit(let tenants):
            return .audited(
                auditAnswer.map { answer in Dictionary(uniqueKeysWithValues: tenants.map { ($0, answer) }) } ?? [:])
        case .resume: return .resume(resume)
        case .recover(let recovery):
            if failingRecoveries > 0 {
                failingRecoveries -= 1
                return .failed(Problem(.unavailable, "down", retryable: true))
            }
            return .recovered(Dictionary(recovery.jobs.map { ($0.tenant, 1) }, uniquingKeysWith: +))
        case .giveUp(let job, let evidence, let client, let at):
            if let problem = giveUpRefusal { return .failed(problem) }
            let wish = GivenUpJob(job: job, tenant: "men", provider: "alpha", by: client.text, evidence: evidence)
            return .givenUp(GivenUpRow(wish: wish, at: at), isNew: true)
        case .endGiveUp, .signOfLife: return .saved
        case .prune(let pruning):
            if let failure = failingPrunings.popLast() { return .failed(failure) }
            return .pruned(prunedAnswers.popLast() ?? Pruned(before: pruning.before))
        case .query(let query, _): return .answer(ClientResponse(id: query.id, status: 200, result: ["rows": []]))
        }
    }

    mutating func pass(_ milliseconds: Int64) {
        let end = now + milliseconds
        while now < end {
            now = min(end, registry.nextWake(at: at(now)) - 1_000_000)
            feed(.wake)
        }
    }

    /// Answers what was held back.
    mutating func release() {
        (holdsCommits, holdsEpochs, holdsOperations, holdsObservations) = (false, false, false, false)
        (holdsPlans, holdsPrunings) = (false, false)
        let late = held
        held = []
        for (ticket, request) in late { feed(.stored(ticket: ticket, answer(request))) }
    }

    /// Answers what was asked until now; what that leads to is answered too unless the link stays frozen.
    mutating func releaseAll(keepsHolding: Bool = false) {
        holdsAll = keepsHolding
        release()
    }

    mutating func presence(_ topic: Topic, _ state: Presence.State = .online, boot: Int64 = 1) {
        if case .gatewayPresence(let node) = topic, obedientGateways[node] != nil { obedientGateways[node] = boot }
        feed(
            .received(
                Message(
                    topic,
                    .presence(Presence(state: state, boot: boot, since: at(now).wall, release: "t", protocols: [1])))))
    }

    mutating func health(_ status: Health.Status) {
        feed(
            .received(
                Message(
                    .providerHealth("alpha"),
                    .health(Health(status: status, checked: at(now).wall, circuit: .closed, gateway: "g1", boot: 1)))))
    }

    mutating func catalog(_ type: ServiceType = "harvest") {
        feed(
            .received(
                Message(
                    .providerCatalog("alpha"),
                    .catalog(
                        Catalog(
                            gateway: "g1", fetched: at(now).wall, stale: false,
                            services: [ServiceDescription(id: "h", type: type, version: "1", available: true)])))))
    }

    static let documents: [JSONValue] = [
        ["kind": "Provider", "name": "alpha", "spec": ["base_url": "http://sp"]],
        [
            "kind": "Scenario", "name": "s",
            "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 60]]]],
        ],
        ["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"]]],
    ]

    mutating func apply(_ documents: [JSONValue] = documents) {
        let request = ClientRequest(id: "q", client: "c", method: "apply", params: ["documents": .array(documents)])
        feed(.received(Message(.command, .request(request))))
    }

    mutating func controls() -> [WMControl] {
        defer { sent.removeAll { $0.topic.kind == .wmControl } }
        return sent.compactMap { if case .wmControl(let control) = $0.payload { control } else { nil } }
    }

    mutating func responses() -> [ClientResponse] {
        sent.compactMap { if case .response(let response) = $0.payload { response } else { nil } }
    }

    var closings: [EpochClosing] {
        requests.compactMap { if case .closeEpoch(let closing) = $0 { closing } else { nil } }
    }

    /// The operation's phases as they were stored.
    var phases: [ManagerOperation.Phase] {
        requests.compactMap {
            switch $0 {
            case .beginOperation(let operation), .saveOperation(let operation): operation.phase
            default: nil
            }
        }
    }

    mutating func command(_ method: String, _ params: JSONValue) -> ClientResponse? {
        feed(
            .received(
                Message(.command, .request(ClientRequest(id: "c", client: "cli", method: method, params: params)))))
        return responses().last
    }

    mutating func acknowledge(
        _ control: WMControl, _ phase: WMAck.Phase = .done, remaining: Int? = nil, lastSeq: Int? = nil,
        of tenant: TenantID = "men"
    ) {
        feed(
            .received(
                Message(
                    .wmAck(tenant),
                    .wmAck(
                        WMAck(
                            id: control.id, command: control.command, phase: phase, epoch: control.epoch,
                            generation: control.generation, fleet: control.fleet, remaining: remaining,
                            lastSeq: lastSeq)))))
    }

    /// Everything online, the tenant's Work Manager active with epoch 1.
    static func active() -> RegistryBench {
        var bench = RegistryBench()
        bench.start()
        let control = bench.controls()[0]
        bench.acknowledge(control)
        bench.sent = []
        return bench
    }

    /// Until the tenant's Work Manager is to start.
    mutating func start() {
        feed(.wake)
        feed(.connected)
        presence(.fleetPresence("f1"))
        presence(.gatewayPresence("g1"))
        apply()
        catalog()
        health(.pass)
        pass(1_200)
    }

    mutating func journal(epoch: Int = 1, _ first: Int, _ count: Int) {
        let entry = JournalEntry(reason: ReasonRecord(subject: "s", since: at(0).wall, cleared: true))
        feed(
            .received(
                Message(
                    .wmJournal("men"),
                    .journal(Journal(epoch: epoch, firstSeq: first, entries: Array(repeating: entry, count: count))))))
    }

    var committed: [Int] {
        sent.compactMap { if case .committed(let committed) = $0.payload { committed.ackSeq } else { nil } }
    }
    var beats: [Heartbeat] { sent.compactMap { if case .heartbeat(let beat) = $0.payload { beat } else { nil } } }
}
