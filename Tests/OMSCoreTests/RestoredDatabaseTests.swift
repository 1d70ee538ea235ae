import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A database that was restored from a backup, under fleets and gateways that know more")
struct RestoredDatabaseTests {
    private func opened(_ bench: RegistryBench) -> [Int] {
        bench.requests.compactMap { if case .openEpoch(_, let expected, _, _, _, _) = $0 { expected } else { nil } }
    }

    private func reasons(_ bench: RegistryBench) -> [ManagerOperation] {
        bench.requests.compactMap { if case .beginOperation(let operation) = $0 { operation } else { nil } }
    }

    private func status(epoch: Int = 1, ackSeq: Int) -> Registry.Event {
        var status = RegistryBench.status(99, epoch: epoch, generation: 1)
        status.ackSeq = ackSeq
        return .received(Message(.wmStatus("men"), .wmStatus(status)))
    }

    @Test("a tenant that the database has never started has a past: the gateways say so before the first epoch")
    func forgottenTenant() {
        var bench = RegistryBench()
        bench.begun = ["men": 4]
        bench.start()
        #expect(opened(bench) == [5])
        let seals = bench.sent.compactMap {
            if case .gatewayControl(let control) = $0.payload { control.seals?.first?.epoch } else { nil }
        }
        #expect(seals == [1, 5], "the higher number is sealed too before it is opened")
        #expect(bench.controls().map(\.epoch) == [5])
    }

    @Test(
        "an epoch that cannot be is not believed and does not use up the numbers; an operator is told, once",
        arguments: [10_002, Int.max, Int.max - 1])
    func implausible(epoch: Int) {
        var bench = RegistryBench.active()
        for _ in 0..<3 {
            bench.feed(status(epoch: epoch, ackSeq: 0))
            bench.pass(1_000)
        }
        bench.begun = ["men": epoch]
        bench.presence(.gatewayPresence("g1"), boot: 2)
        bench.pass(5_000)
        #expect(opened(bench) == [1] && bench.registry.tenants["men"]?.floor == 0)
        let told = bench.sent.compactMap { if case .event(let event) = $0.payload { event } else { nil } }
            .filter { $0.kind == "epoch.implausible" }
        #expect(told.count == 1 && told.first?.text.contains("\(epoch)") == true)
    }

    @Test("the least number there is, as the epoch of a seal, ends nothing")
    func leastEpoch() {
        var bench = RegistryBench.active()
        let ack = GatewayAck(
            id: "x", command: .seal, boot: 1, sealed: [Seal(tenant: "men", epoch: .min, begun: .min)])
        bench.feed(.received(Message(.gatewayAck("g1"), .gatewayAck(ack))))
        bench.pass(5_000)
        #expect(opened(bench) == [1])
    }

    @Test("the first epoch of a new tenant is the first, after a seal")
    func newTenant() {
        var bench = RegistryBench()
        bench.obedientGateways = [:]
        bench.start()
        bench.pass(2_000)
        #expect(opened(bench).isEmpty, "no gateway has said that it knows none")
        bench.obedientGateways = ["g1": 1]
        bench.pass(5_000)
        #expect(opened(bench) == [1])
    }

    @Test(
        "a gateway that knows a later epoch: the one in the database is ended by force, the next number is above both")
    func laterEpoch() {
        var bench = RegistryBench.active()
        bench.begun = ["men": 7]
        bench.presence(.gatewayPresence("g1"), boot: 2)
        bench.pass(2_000)
        let operation = reasons(bench).last
        #expect(operation?.kind == .replace && operation?.isForced == true && operation?.initiator == "registry")
        #expect(operation?.reason.contains("restored") == true)
        #expect(bench.closings.map(\.epoch) == [1])
        #expect(opened(bench) == [1, 8])
        #expect(bench.controls().last?.epoch == 8)
    }

    @Test(
        "a Work Manager that was told of more than is committed cannot tell it again: another epoch, with its jobs' list"
    )
    func lostJournal() {
        var bench = RegistryBench.active()
        bench.journal(1, 3)
        bench.feed(status(ackSeq: 3))
        bench.pass(2_000)
        #expect(opened(bench) == [1], "what it was told is what is committed")
        bench.feed(status(ackSeq: 9))
        bench.pass(2_000)
        #expect(opened(bench) == [1, 3])
        let lists = bench.sent.flatMap { message -> [Int?] in
            if case .gatewayControl(let control) = message.payload { control.seals?.map(\.list) ?? [] } else { [] }
        }
        #expect(lists == [1])
        #expect(bench.closings.map(\.isGraceful) == [false])
    }

    @Test("a Work Manager of a later epoch is heard: the same")
    func laterWorkManager() {
        var bench = RegistryBench.active()
        bench.feed(status(epoch: 3, ackSeq: 0))
        bench.pass(2_000)
        #expect(opened(bench) == [1, 4])
    }

    @Test("a registry that may not be the active one any more draws no conclusion: it knows less than the others too")
    func stale() {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        bench.now += 60_000
        bench.sent = []
        bench.requests = []
        bench.feed(status(epoch: 3, ackSeq: 0))
        bench.pass(2_000)
        #expect(reasons(bench).isEmpty)
        let texts = bench.sent.compactMap { if case .event(let event) = $0.payload { event.text } else { nil } }
        #expect(!texts.contains { $0.contains("restored") }, "\(texts)")
    }

    @Test("with proof: strict nobody knows whether the later one lives: an operator must say")
    func strict() {
        var bench = RegistryBench.active()
        bench.apply([["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"], "proof": "strict"]]])
        bench.pass(500)
        bench.feed(status(epoch: 3, ackSeq: 0))
        bench.pass(20_000)
        #expect(opened(bench) == [1])
        #expect(bench.registry.tenants["men"]?.reason?.code == "waits-for-proof")
        #expect(bench.command("replace", ["tenant": "men"])?.status == 200)
        bench.pass(5_000)
        #expect(bench.command("operation.force", ["tenant": "men", "evidence": "its machine is off"])?.status == 200)
        bench.pass(2_000)
        #expect(opened(bench) == [1, 4])
    }

    @Test("a drain that ended before the backup was put back does not count as told")
    func oldDrain() {
        var bench = RegistryBench.active()
        bench.journal(1, 3)
        for (lastSeq, list) in [(3, nil), (40, 2)] as [(Int, Int?)] {
            bench.sent = []
            let epoch = bench.registry.tenants["men"]?.epoch ?? 0
            _ = bench.command("replace", ["tenant": "men"])
            let drain = bench.controls().first { $0.command == .drain }
            if let drain { bench.acknowledge(drain, .done, lastSeq: lastSeq) }
            bench.pass(500)
            let lists = bench.sent.flatMap { message -> [Int?] in
                if case .gatewayControl(let control) = message.payload { control.seals?.map(\.list) ?? [] } else { [] }
            }
            #expect(lists == [list], "epoch \(epoch), last number \(lastSeq)")
            if let start = bench.controls().last { bench.acknowledge(start) }
        }
    }

    @Test(
        "an operation whose commit was done and whose answer was lost is found by the next one, not in its way for ever"
    )
    func lostOperation() {
        var bench = RegistryBench.active()
        let lost = ManagerOperation(
            id: "o", tenant: "men", kind: .move, phase: .draining, reason: "r", initiator: "registry",
            startedAt: at(0).wall,
            deadline: at(60_000).wall, epoch: 1, isForced: false)
        bench.openOperation = lost
        let answer = bench.command("replace", ["tenant": "men"])
        #expect(answer?.status == 409 && answer?.error?.detail?.contains("operation o (move, draining)") == true)
        #expect(bench.controls().map(\.command) == [.drain], "it goes on")
        #expect(bench.registry.tenants["men"]?.operation?.id == "o")
    }

    @Test("a Work Manager of a tenant that nobody registered is told of once, one of an off-boarded tenant is not")
    func stranger() {
        var bench = RegistryBench.active()
        let entry = JournalEntry(reason: ReasonRecord(subject: "s", since: at(0).wall, cleared: true))
        let journal = Payload.journal(Journal(epoch: 3, firstSeq: 1, entries: [entry]))
        for _ in 0..<3 { bench.feed(.received(Message(.wmJournal("nobody"), journal))) }
        let events = bench.sent.compactMap { if case .event(let event) = $0.payload { event } else { nil } }
        #expect(events.filter { $0.kind == "tenant.unknown" }.map(\.tenant) == ["nobody"])
        bench.registry.removed("men")
        bench.feed(.wake)
        bench.sent = []
        bench.feed(.received(Message(.wmJournal("men"), journal)))
        #expect(bench.sent.isEmpty)
    }

    @Test(
        "a provider that another gateway speaks of is taken from it before it is given to the one in the database, or to any",
        arguments: [true, false])
    func movedProvider(isAttached: Bool) {
        var bench = RegistryBench()
        bench.obedientGateways = ["g1": 1]
        let known = Presence(state: .online, boot: 1, since: at(0).wall, release: "t", protocols: [1])
        bench.snapshot.nodes = [StoredNode(role: .gateway, node: "g1", presence: known, isDraining: false)]
        if isAttached { bench.snapshot.attachments = ["alpha": "g1"] }
        bench.snapshot.providers = ["alpha": (ProviderSpec(baseURL: "http://sp"), 1)]
        // What is retained may come before the database has answered, or after.
        if isAttached { bench.feed(.wake) }
        bench.feed(.connected)
        bench.presence(.gatewayPresence("g2"))
        let elsewhere = Health(status: .pass, checked: at(0).wall, circuit: .closed, gateway: "g2", boot: 1)
        bench.feed(.received(Message(.providerHealth("alpha"), .health(elsewhere))))
        bench.presence(.gatewayPresence("g1"))
        if !isAttached { bench.feed(.wake) }
        bench.pass(5_000)
        func controls(_ node: NodeID) -> [GatewayControl] {
            bench.sent.compactMap {
                if $0.topic == .gatewayControl(node), case .gatewayControl(let control) = $0.payload {
                    control
                } else {
                    nil
                }
            }
        }
        #expect(controls("g1").allSatisfy { $0.command != .attach })
        let detach = controls("g2").last
        #expect(detach?.command == .detach && detach?.version == nil, "its catalogue and health stay")
        let ack = GatewayAck(id: detach?.id ?? "", command: .detach, provider: "alpha", boot: 1)
        bench.feed(.received(Message(.gatewayAck("g2"), .gatewayAck(ack))))
        #expect(controls("g1").last?.command == .attach && controls("g1").last?.moved == true)
    }
}

@Suite("What a gateway keeps for a database that was restored")
struct RestoredGatewayTests {
    private static let run = RunID(time: at(0).wall, of: "run")
    private static let labels = RunLabels.labels(run: run, service: "nightly", attempt: 1, upstream: [])

    @Test("the last epoch that has begun, from its commands and from wm/epoch, on its disk and in its seals")
    func begun() throws {
        var bench = GatewayBench(ledger: LedgerContents(fences: ["men": 2], begun: ["men": 1]))
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2)])
        #expect(bench.acks.last?.sealed == [Seal(tenant: "men", epoch: 2, begun: 1)])
        bench.command(.submit, jobID(1), epoch: 2, labels: Self.labels, isAnnounced: false)
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running, runID: "\(Self.run)")))
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 1)])
        #expect(bench.acks.last?.sealed == [Seal(tenant: "men", epoch: 2, begun: 2)])
        bench.feed(
            .received(
                Message(.wmEpoch("men"), .wmEpoch(WMEpoch(epoch: 5, fleet: "f1", generation: 1, since: at(0).wall)))))
        #expect(bench.records.contains(.begun("men", 5)))
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 6)])
        #expect(bench.acks.last?.sealed == [Seal(tenant: "men", epoch: 6, begun: 5)])
    }

    @Test("a job that a sweep ended is named with the epoch that asked for it: the sweep's may never have been stored")
    func afterSweep() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1), labels: Self.labels)
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running, runID: "\(Self.run)")))
        bench.control(.sweep, sweep: Sweep(tenant: "men", epoch: 3, jobs: [], keep: []))
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 3, list: 1)])
        #expect(bench.acks.last?.left?.map(\.epoch) == [1])
    }

    @Test("a provider that comes from another gateway may have what this one has not sent: asked before it is expired")
    func unsentElsewhere() throws {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(1), labels: Self.labels)
        bench.command(.submit, jobID(2), deadline: 5_000, labels: Self.labels)
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running, runID: "\(Self.run)")))
        bench.feed(
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(GatewayControl(id: "d", command: .detach, provider: "alpha")))))
        bench.pass(10_000)
        bench.calls = []
        bench.feed(GatewayBench.attach(maxRunning: 4, moved: true))
        bench.command(.submit, jobID(2), deadline: 5_000, labels: Self.labels)
        bench.pass(100)
        #expect(
            bench.calls.contains { if case .stop(jobID(2), _) = $0.kind { true } else { false } }, "none after its end")
        #expect(bench.events.last { $0.job == jobID(2) }?.state != .expired)
    }
}
