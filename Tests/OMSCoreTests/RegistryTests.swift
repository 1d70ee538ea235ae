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
    var snapshot = Snapshot()
    var epochs: [TenantID: Int] = [:]
    var resume = WorkManagerResume.empty
    var now: Int64 = 0
    /// The Work Manager answers its heartbeats.
    var answersBeats = true
    /// So many epochs cannot be opened: the database is away.
    var failingEpochs = 0

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
                case .store(let ticket, let request):
                    requests.append(request)
                    if case .commit = request, holdsCommits {
                        held.append((ticket, request))
                    } else {
                        events.append(.stored(ticket: ticket, answer(request)))
                    }
                }
            }
        }
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
        case .apply(let documents, _):
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
                })
        case .savePlan: return .saved
        case .openEpoch(let tenant, _, _, _, _):
            if failingEpochs > 0 {
                failingEpochs -= 1
                return .failed(Problem(.unavailable, "down", retryable: true))
            }
            epochs[tenant, default: 0] += 1
            return .opened(epoch: epochs[tenant]!, since: at(now).wall, resume)
        case .commit(_, let journal): return .committed(journal.firstSeq + journal.entries.count - 1)
        case .observe: return .observed
        case .saveVerification: return .saved
        case .query(let query): return .answer(ClientResponse(id: query.id, status: 200, result: ["rows": []]))
        }
    }

    mutating func pass(_ milliseconds: Int64) {
        let end = now + milliseconds
        while now < end {
            now = min(end, registry.nextWake(at: at(now)) - 1_000_000)
            feed(.wake)
        }
    }

    mutating func presence(_ topic: Topic, _ state: Presence.State = .online, boot: Int64 = 1) {
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

    mutating func acknowledge(_ control: WMControl, _ phase: WMAck.Phase = .done) {
        feed(
            .received(
                Message(
                    .wmAck("men"),
                    .wmAck(
                        WMAck(
                            id: control.id, command: control.command, phase: phase, epoch: control.epoch,
                            generation: control.generation, fleet: control.fleet)))))
    }

    /// Everything online, the tenant's Work Manager active with epoch 1.
    static func active() -> RegistryBench {
        var bench = RegistryBench()
        bench.feed(.wake)
        bench.feed(.connected)
        bench.presence(.fleetPresence("f1"))
        bench.presence(.gatewayPresence("g1"))
        bench.apply()
        bench.catalog()
        bench.health(.pass)
        bench.pass(1_200)
        let control = bench.controls()[0]
        bench.acknowledge(control)
        bench.sent = []
        return bench
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

@Suite("The registry")
struct RegistryTests {
    @Test("attaches a provider, plans when it is seen, publishes the epoch before the bootstrap")
    func bootstrap() throws {
        var bench = RegistryBench()
        bench.feed(.wake)
        bench.feed(.connected)
        bench.presence(.fleetPresence("f1"), boot: 4)
        bench.presence(.gatewayPresence("g1"))
        bench.apply()
        #expect(bench.responses().map(\.status) == [200])
        #expect(bench.sent.contains { $0.topic == .gatewayControl("g1") })
        bench.pass(2_000)
        #expect(bench.controls().isEmpty, "nothing is planned on a provider that nobody has seen")
        bench.catalog()
        bench.health(.pass)
        bench.pass(200)
        let kinds = bench.sent.map(\.topic.kind)
        #expect(try #require(kinds.firstIndex(of: .wmEpoch)) < #require(kinds.firstIndex(of: .wmControl)))
        let control = bench.controls()[0]
        #expect(control.command == .bootstrap)
        #expect((control.epoch, control.generation, control.boot) == (1, 1, 4))
        #expect(control.config?.services.map(\.id) == ["harvest"])
        // Lost on the way: again, until it is acknowledged.
        bench.pass(3_100)
        #expect(bench.controls().map(\.epoch) == [1])
        bench.acknowledge(control)
        bench.pass(5_000)
        #expect(bench.controls().isEmpty)
        #expect(bench.beats.count >= 4)
    }

    @Test("a first epoch that the database could not take is tried again, without anybody's help")
    func firstEpochFails() {
        var bench = RegistryBench()
        bench.failingEpochs = 2
        bench.feed(.wake)
        bench.feed(.connected)
        bench.presence(.fleetPresence("f1"))
        bench.presence(.gatewayPresence("g1"))
        bench.apply()
        bench.catalog()
        bench.health(.pass)
        bench.pass(5_000)
        #expect(bench.failingEpochs == 0)
        #expect(bench.controls().first?.epoch == 1)
    }

    @Test("a new process of the fleet is proof that the old one is gone: a new epoch, at once")
    func fleetRestart() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f1"), .lost, boot: 1)
        bench.pass(200)
        #expect(bench.controls().isEmpty, "silence alone proves nothing")
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(200)
        let controls = bench.controls()
        #expect(controls.map(\.epoch) == [2])
        #expect(controls.map(\.boot) == [2])
        // The late will of the old process says nothing about the new one.
        bench.presence(.fleetPresence("f1"), .lost, boot: 1)
        bench.acknowledge(controls[0])
        bench.pass(5_000)
        #expect(bench.controls().isEmpty)
    }

    @Test("a fleet that is merely silent keeps its tenants, also when another one is free")
    func silentFleet() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        bench.answersBeats = false
        bench.presence(.fleetPresence("f1"), .lost, boot: 1)
        bench.pass(30_000)
        #expect(bench.controls().isEmpty, "it may be alive behind a broken line")
    }

    @Test("a goodbye of the fleet moves its tenants to another one")
    func fleetLeaves() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        bench.presence(.fleetPresence("f1"), .offline, boot: 1)
        bench.pass(200)
        #expect(bench.controls().map(\.fleet) == ["f2"])
    }

    @Test("commits journals in order, skips what it has, waits at gaps, and acknowledges after the commit only")
    func journals() {
        var bench = RegistryBench.active()
        bench.holdsCommits = true
        bench.journal(1, 3)
        bench.journal(1, 5)
        bench.journal(9, 2)
        #expect(bench.committed.isEmpty)
        #expect(
            bench.held.map {
                if case .commit(_, let journal) = $0.request { [journal.firstSeq, journal.entries.count] } else { [] }
            }
                == [[1, 3], [4, 2]])
        bench.feed(.stored(ticket: bench.held[0].ticket, .committed(3)))
        #expect(bench.committed == [3])
        bench.feed(.stored(ticket: bench.held[1].ticket, .failed(Problem(.unavailable, "down"))))
        #expect(bench.committed == [3])
        bench.holdsCommits = false
        bench.journal(4, 2)
        #expect(bench.committed == [3, 5])
        bench.journal(1, 5)
        #expect(bench.committed == [3, 5, 5], "the acknowledgement was lost: say it again")
        bench.journal(epoch: 0, 1, 1)
        bench.journal(epoch: 2, 1, 1)
        #expect(bench.committed.count == 3, "only the epoch in force has a journal")
    }

    @Test("a provider that is unwell for a moment changes no plan; for long it does, and coming back changes it back")
    func hysteresis() {
        var bench = RegistryBench.active()
        let plans = { (bench: RegistryBench) in
            bench.requests.filter { if case .savePlan = $0 { true } else { false } }.count
        }
        bench.apply([
            ["kind": "Provider", "name": "beta", "spec": ["base_url": "http://b"]],
            [
                "kind": "Scenario", "name": "s",
                "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 60]]]],
            ],
        ])
        let before = plans(bench)
        bench.health(.unreachable)
        bench.pass(10_000)
        bench.health(.pass)
        bench.pass(60_000)
        #expect(plans(bench) == before)
        #expect(
            !bench.sent.contains {
                if case .event(let event) = $0.payload { event.kind == "tenant.no-scenario" } else { false }
            })
        bench.health(.unreachable)
        bench.pass(31_000)
        #expect(
            bench.sent.contains {
                if case .event(let event) = $0.payload { event.kind == "tenant.no-scenario" } else { false }
            })
        #expect(bench.controls().isEmpty, "a Work Manager without a better plan goes on")
    }

    @Test("a changed scenario reaches a running Work Manager as a reconfiguration, repeated until it runs")
    func reconfigure() {
        var bench = RegistryBench.active()
        var changed = RegistryBench.documents
        changed[1] = [
            "kind": "Scenario", "name": "s",
            "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 30]]]],
        ]
        bench.apply(changed)
        bench.pass(200)
        let first = bench.controls()
        #expect(first.map(\.command) == [.reconfigure])
        #expect(first.map(\.generation) == [2])
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(RegistryBench.status(1, epoch: 1, generation: 1)))))
        #expect(bench.controls().map(\.generation) == [2])
    }

    @Test("three unanswered heartbeats of a live process: a new epoch there")
    func silentManager() {
        var bench = RegistryBench.active()
        bench.pass(10_000)
        #expect(bench.controls().isEmpty)
        bench.answersBeats = false
        bench.pass(10_000)
        #expect(bench.controls().first?.epoch == 2)
    }

    @Test("after a restart goes on with what is in the database: same epoch, no bootstrap")
    func restart() {
        var bench = RegistryBench()
        let config = WorkManagerConfig(
            tenant: "men", generation: 3, scenario: "s",
            services: [
                ServicePlan(
                    id: "harvest", type: "harvest", frequency: Frequency(everySeconds: 60), after: [],
                    anchor: at(0).wall,
                    timeoutSeconds: 300, deadlineSeconds: 660, maxAttempts: 2,
                    providers: [ProviderChoice(provider: "alpha", service: "h")], merge: MergeRule(strategy: .first))
            ])
        bench.snapshot = Snapshot(
            providers: ["alpha": (ProviderSpec(baseURL: "http://sp"), 1)],
            scenarios: [
                "s": ScenarioSpec(services: [
                    "harvest": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 60))
                ])
            ],
            tenants: ["men": TenantSpec(scenarios: ["s"])],
            managers: [
                "men": StoredManager(epoch: 5, since: at(0).wall, fleet: "f1", boot: 1, ackSeq: 7, config: config)
            ])
        // Retained state comes before the database has answered.
        bench.catalog()
        bench.health(.pass)
        bench.presence(.fleetPresence("f1"))
        bench.presence(.gatewayPresence("g1"))
        bench.feed(.connected)
        bench.feed(.wake)
        bench.pass(2_000)
        #expect(bench.controls().isEmpty)
        #expect(!bench.requests.contains { if case .savePlan = $0 { true } else { false } })
        #expect(bench.beats.first.map { [$0.epoch, $0.ackSeq] } == [5, 7])
        bench.sent = []
        bench.journal(epoch: 5, 8, 1)
        #expect(bench.committed == [8])
    }

    @Test("wrong documents are refused whole, each field named; unknown methods too")
    func refusals() {
        var bench = RegistryBench.active()
        bench.apply([
            ["kind": "Tenant", "name": "x", "spec": ["scenarios": ["nowhere"]]],
            [
                "kind": "Scenario", "name": "y",
                "spec": [
                    "services": ["a": ["type": "t", "frequency": ["once": true], "providers": ["only": ["zeta"]]]]
                ],
            ],
        ])
        let response = bench.responses()[0]
        #expect(response.status == 422)
        #expect(
            response.error?.errors?.map(\.pointer) == [
                "/documents/0/spec/scenarios/0", "/documents/1/spec/services/a/providers/only/0",
            ])
        #expect(
            !bench.requests.contains { if case .apply(let documents, _) = $0 { documents.count == 2 } else { false } })
        bench.feed(
            .received(Message(.command, .request(ClientRequest(id: "z", client: "c", method: "explode", params: [:])))))
        #expect(bench.responses().last?.status == 400)
    }

    @Test("a withdrawn service is announced, and new work goes to another provider without a replacement")
    func withdrawn() {
        var bench = RegistryBench.active()
        bench.apply([["kind": "Provider", "name": "beta", "spec": ["base_url": "http://b"]]])
        func see(_ provider: ProviderID, available: Bool) {
            let service = ServiceDescription(id: "h", type: "harvest", version: "1", available: available)
            bench.feed(
                .received(
                    Message(
                        .providerCatalog(provider),
                        .catalog(Catalog(gateway: "g1", fetched: at(0).wall, stale: false, services: [service])))))
            bench.feed(
                .received(
                    Message(
                        .providerHealth(provider),
                        .health(Health(status: .pass, checked: at(0).wall, circuit: .closed, gateway: "g1", boot: 1)))))
        }
        see("beta", available: true)
        bench.pass(200)
        _ = bench.controls()
        see("alpha", available: false)
        bench.pass(200)
        let controls = bench.controls()
        #expect(controls.map(\.command) == [.reconfigure])
        #expect(controls.last?.config?.services[0].providers.map(\.provider) == ["beta"])
        let texts = bench.sent.compactMap { if case .event(let event) = $0.payload { event.text } else { nil } }
        #expect(texts.contains { $0.contains("h withdrawn: running jobs finish, new ones go elsewhere") })
    }

    @Test("a conformance report is stored for a registered provider only")
    func verification() {
        var bench = RegistryBench.active()
        func send(_ params: JSONValue) -> Int? {
            bench.feed(
                .received(
                    Message(
                        .command, .request(ClientRequest(id: "v", client: "c", method: "verification", params: params)))
                ))
            return bench.responses().last?.status
        }
        #expect(send(["provider": "nobody", "report": ["verdict": "pass"]]) == 404)
        #expect(send(["provider": "alpha", "report": [:]]) == 400)
        #expect(send(["provider": "alpha", "report": ["verdict": "fail", "rules": []]]) == 200)
        #expect(
            bench.requests.contains {
                if case .saveVerification("alpha", passed: false, _, _) = $0 { true } else { false }
            })
    }

    @Test("a suspended tenant's Work Manager is shut down, and comes back when it is resumed")
    func suspend() {
        var bench = RegistryBench.active()
        bench.apply([["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"], "suspended": true]]])
        bench.pass(200)
        let controls = bench.controls()
        #expect(controls.map(\.command) == [.shutdown])
        bench.acknowledge(controls[0])
        bench.pass(10_000)
        #expect(bench.controls().isEmpty)
        bench.apply([["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"]]]])
        bench.pass(200)
        #expect(bench.controls().map(\.epoch) == [2])
    }
}

@Suite("The fleet")
struct FleetTests {
    private func control(_ command: WMControl.Command, epoch: Int, boot: Int64 = 3, generation: Int = 1) -> Fleet.Event
    {
        .received(
            Message(
                .wmControl("men"),
                .wmControl(
                    WMControl(
                        id: "\(epoch)", command: command, epoch: epoch, fleet: "f1", boot: boot, generation: generation,
                        config: command == .shutdown
                            ? nil : Fixture.config(Fixture.plan("harvest"), generation: generation)))))
    }

    private func phases(_ effects: [Fleet.Effect]) -> [WMAck.Phase] {
        effects.compactMap {
            if case .publish(let message) = $0, case .wmAck(let ack) = message.payload { ack.phase } else { nil }
        }
    }

    private func submits(_ effects: [Fleet.Effect]) -> Int {
        effects.filter { if case .publish(let message) = $0 { message.topic.kind == .jobCommand } else { false } }.count
    }

    @Test("starts a Work Manager only when its subscriptions stand, and acknowledges then")
    func starts() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        var effects = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        #expect(phases(effects) == [.accepted])
        #expect(effects.contains(.subscribe("men")))
        #expect(submits(effects) == 0)
        effects = fleet.receive(.subscribed("men"), at: at(1))
        #expect(phases(effects) == [.done])
        #expect(submits(effects) == 1)
        #expect(
            phases(fleet.receive(control(.bootstrap, epoch: 1), at: at(2))) == [.done],
            "repeated: answered, not restarted")
        #expect(fleet.hosted == ["men": 1])
    }

    @Test("a connection lost before the subscriptions were confirmed leaves no Work Manager waiting for ever")
    func reconnectWhileStarting() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        let effects = fleet.receive(.connected, at: at(500))
        #expect(phases(effects) == [.done])
        #expect(submits(effects) == 1)
        // The late confirmation changes nothing.
        #expect(fleet.receive(.subscribed("men"), at: at(600)).isEmpty)
    }

    @Test("ignores commands for others, refuses those for an earlier process or epoch")
    func refuses() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        #expect(phases(fleet.receive(control(.bootstrap, epoch: 1, boot: 2), at: at(0))) == [.rejected])
        _ = fleet.receive(control(.bootstrap, epoch: 5), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        #expect(phases(fleet.receive(control(.bootstrap, epoch: 4), at: at(0))) == [.rejected])
        #expect(fleet.hosted == ["men": 5])
        var other = Fleet(id: "f2", boot: 3, release: "t", at: at(0))
        #expect(other.receive(control(.bootstrap, epoch: 1), at: at(0)).isEmpty)
    }

    @Test("a newer epoch ends the old Work Manager before the new one begins")
    func replaces() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        let effects = fleet.receive(control(.bootstrap, epoch: 2), at: at(10))
        let ended = effects.firstIndex { if case .report(.ended("men", 1, _)) = $0 { true } else { false } }
        let started = effects.firstIndex { if case .report(.started("men", 2, _, _)) = $0 { true } else { false } }
        #expect(ended != nil && started != nil && ended! < started!)
        #expect(fleet.hosted == ["men": 2])
    }

    @Test("a published epoch above its own ends a Work Manager")
    func fenced() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        let epoch = WMEpoch(epoch: 2, fleet: "f2", generation: 1, since: at(0).wall)
        #expect(
            fleet.receive(.received(Message(.wmEpoch("men"), .wmEpoch(epoch))), at: at(5)).contains(.unsubscribe("men"))
        )
        #expect(fleet.hosted.isEmpty)
    }

    @Test("says that it is there when an old will claims otherwise")
    func birth() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        let will = Presence(state: .lost, boot: 2, since: at(0).wall, release: "t", protocols: [1])
        let effects = fleet.receive(.received(Message(.fleetPresence("f1"), .presence(will))), at: at(0))
        #expect(effects == [.publish(Message(.fleetPresence("f1"), .presence(fleet.presence(.online))))])
    }
}
