import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Replacement of a Work Manager, as the registry leads it")
struct ReplacementTests {
    private static let job = JobID(time: at(0).wall, of: "j")

    @Test("drain, seal, close with a receipt, open: in this order, each step only after the answer to the one before")
    func graceful() {
        var bench = RegistryBench.active()
        bench.obedientGateways = [:]
        #expect(bench.command("replace", ["tenant": "men", "reason": "new release"])?.status == 200)
        bench.pass(100)
        let drain = bench.controls()
        #expect(drain.map(\.command) == [.drain] && drain[0].epoch == 1)
        bench.acknowledge(drain[0], .progress, remaining: 3)
        bench.pass(10_000)
        #expect(bench.controls().allSatisfy { $0.command == .drain }, "repeated until it is done")
        #expect(!bench.sent.contains { $0.topic.kind == .gatewayControl }, "no seal while it drains")
        bench.acknowledge(drain[0], .done, lastSeq: 7)
        bench.pass(500)
        #expect(bench.sent.contains { $0.topic.kind == .gatewayControl })
        #expect(bench.closings.isEmpty && bench.controls().isEmpty, "no epoch before the seal")
        bench.feed(.received(bench.sealAck("g1", epoch: 1)))
        bench.pass(500)
        #expect(bench.closings.isEmpty, "the seal of a lower epoch is none")
        bench.obedientGateways = ["g1": 1]
        bench.feed(.received(bench.sealAck("g1", epoch: 2)))
        #expect(bench.closings.map { [$0.isGraceful, $0.epoch == 1] } == [[true, true]])
        let start = bench.controls()
        #expect(start.map(\.command) == [.bootstrap] && start.map(\.epoch) == [2])
        bench.acknowledge(start[0])
        #expect(bench.phases == [.draining, .draining, .sealing, .sweeping, .sweeping, .closing, .starting, .done])
    }

    @Test("a second operation is refused while one is under way; an abort takes a drain back")
    func abort() {
        var bench = RegistryBench.active()
        #expect(bench.command("replace", ["tenant": "men"])?.status == 200)
        #expect(bench.command("replace", ["tenant": "men"])?.status == 409)
        #expect(bench.command("operation.abort", ["tenant": "men"])?.status == 200)
        let controls = bench.controls()
        #expect(controls.map(\.command) == [.drain, .resume])
        bench.pass(20_000)
        #expect(bench.controls().isEmpty, "it goes on as before")
        #expect(bench.phases.last == .aborted)
        // The `resume` was lost: the Work Manager says that it still drains.
        var status = RegistryBench.status(99, epoch: 1, generation: 1)
        status.state = .draining
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
        #expect(bench.controls().map(\.command) == [.resume])
        #expect(bench.command("operation.abort", ["tenant": "men"])?.status == 404)
    }

    @Test("silent: after replace_after the gateways sweep; what they end is in the receipt, adopted jobs are kept")
    func forced() {
        var bench = RegistryBench.active()
        let kept = JobID(time: at(0).wall, of: "k")
        bench.openJobs = [
            OpenJobRow(job: Self.job, provider: "alpha"),
            OpenJobRow(job: kept, provider: "alpha", onReplace: .adopt),
        ]
        bench.answersBeats = false
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(29_000)
        #expect(bench.closings.isEmpty)
        bench.pass(4_000)
        let closing = bench.closings[0]
        #expect(!closing.isGraceful)
        #expect(closing.swept.map(\.job) == [Self.job] && closing.swept.map(\.state) == [.stopped])
        #expect(closing.quarantined.isEmpty)
        #expect(bench.controls().last?.command == .bootstrap)
        let sweeps = bench.sent.compactMap {
            if case .gatewayControl(let control) = $0.payload { control.sweep } else { nil }
        }
        #expect(sweeps.map(\.keep) == [[kept]] && sweeps.map(\.epoch) == [2])
    }

    @Test("what no gateway can end is quarantined with a reason, and the next epoch begins all the same")
    func quarantine() {
        var bench = RegistryBench.active()
        bench.openJobs = [OpenJobRow(job: Self.job, provider: "alpha")]
        bench.sweptAs = .unknown
        bench.answersBeats = false
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(85_000)
        #expect(bench.closings.isEmpty)
        bench.pass(15_000)
        #expect(bench.closings.map { $0.quarantined.map(\.job) } == [[Self.job]])
        #expect(bench.controls().last?.command == .bootstrap)
    }

    @Test("proof: strict waits for the end of the process, or for an operator's word, and says so")
    func strict() {
        var bench = RegistryBench.active()
        bench.apply([["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"], "proof": "strict"]]])
        bench.answersBeats = false
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(120_000)
        #expect(bench.closings.isEmpty)
        #expect(bench.registry.tenants["men"]?.reason?.code == "waits-for-proof")
        #expect(bench.command("operation.force", ["tenant": "men"])?.status == 400, "without evidence: refused")
        #expect(bench.command("operation.force", ["tenant": "men", "evidence": "host is off"])?.status == 200)
        bench.pass(1_000)
        #expect(bench.closings.count == 1)
        #expect(bench.controls().last?.command == .bootstrap)
    }

    @Test("the process ends while it drains: that is the proof, and the sweep follows at once")
    func processEnds() {
        var bench = RegistryBench.active()
        _ = bench.command("replace", ["tenant": "men"])
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(4_000)
        #expect(bench.closings.map(\.isGraceful) == [false])
        #expect(bench.controls().last.map { [$0.boot] } == [2])
    }

    @Test("a lost gateway holds the seal up until its hold time has passed; a goodbye does not")
    func lostGateway() {
        var bench = RegistryBench.active()
        bench.obedientGateways["g2"] = 5
        bench.presence(.gatewayPresence("g2"), boot: 5)
        bench.presence(.gatewayPresence("g2"), .lost, boot: 5)
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(40_000)
        #expect(bench.controls().isEmpty, "it may still act for the old epoch")
        #expect(bench.registry.tenants["men"]?.reason?.code == "waits-for-seal")
        bench.pass(7_000)
        #expect(bench.controls().map(\.epoch) == [2])
        var other = RegistryBench.active()
        other.obedientGateways["g2"] = 5
        other.presence(.gatewayPresence("g2"), boot: 5)
        other.presence(.gatewayPresence("g2"), .offline, boot: 5)
        other.presence(.fleetPresence("f1"), boot: 2)
        other.pass(200)
        #expect(other.controls().map(\.epoch) == [2])
    }

    @Test("a gateway that comes back gets its providers only after it has sealed every epoch")
    func sealBeforeAttach() {
        var bench = RegistryBench.active()
        bench.obedientGateways = [:]
        bench.presence(.gatewayPresence("g1"), .lost)
        bench.presence(.gatewayPresence("g1"), boot: 2)
        bench.pass(4_000)
        #expect(!bench.gatewayCommands.contains(.attach))
        #expect(bench.gatewayCommands.contains(.seal))
        bench.feed(.received(bench.sealAck("g1", epoch: 1, boot: 2)))
        #expect(bench.gatewayCommands.last == .attach)
    }

    @Test("a registry that restarts goes on with the operation that it finds, whatever its phase")
    func restartInOperation() {
        for phase in [ManagerOperation.Phase.draining, .sealing, .sweeping, .closing] {
            var bench = RegistryBench()
            let operation = ManagerOperation(
                id: "x", tenant: "men", kind: .replace, phase: phase, reason: "r", initiator: "i",
                startedAt: at(0).wall, deadline: at(60_000).wall, epoch: 5, isForced: phase != .draining)
            bench.snapshot = Snapshot(
                providers: ["alpha": (ProviderSpec(baseURL: "http://sp"), 1)],
                scenarios: [
                    "s": ScenarioSpec(services: [
                        "harvest": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 60))
                    ])
                ],
                tenants: ["men": TenantSpec(scenarios: ["s"])],
                managers: [
                    "men": StoredManager(
                        epoch: 5, since: at(0).wall, fleet: "f1", boot: 1, ackSeq: 7,
                        config: Fixture.config(Fixture.plan("harvest")))
                ], operations: [operation])
            bench.presence(.fleetPresence("f1"))
            bench.presence(.gatewayPresence("g1"))
            bench.feed(.connected)
            bench.feed(.wake)
            bench.pass(5_000)
            if phase == .draining {
                let drain = bench.controls()
                #expect(drain.first?.command == .drain, "\(phase)")
                guard let first = drain.first else { continue }
                bench.acknowledge(first, lastSeq: 9)
                bench.pass(1_000)
            }
            #expect(bench.closings.map(\.epoch) == [5], "\(phase)")
            #expect(bench.controls().last.map { $0.epoch } == 6, "\(phase)")
        }
    }

    @Test("tenants of a fleet that is being emptied move one after the other, and none is placed there")
    func drainFleet() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        #expect(bench.command("fleet.drain", ["fleet": "nowhere"])?.status == 404)
        #expect(bench.command("fleet.drain", ["fleet": "f1"])?.status == 200)
        bench.pass(500)
        let drain = bench.controls()
        #expect(drain.map(\.command) == [.drain])
        bench.acknowledge(drain[0], lastSeq: 0)
        bench.pass(500)
        #expect(bench.controls().map(\.fleet) == ["f2"])
    }

    @Test("off-boarding drains, closes with a receipt, and removes the tenant")
    func offboard() {
        var bench = RegistryBench.active()
        _ = bench.command("offboard", ["tenant": "men"])
        let drain = bench.controls()
        bench.acknowledge(drain[0], lastSeq: 0)
        bench.pass(2_000)
        #expect(bench.closings.count == 1)
        #expect(bench.registry.tenants["men"] == nil)
        #expect(bench.sent.contains(Message(.wmEpoch("men"), .removed)))
        bench.pass(20_000)
        #expect(bench.controls().isEmpty)
    }

    @Test("a tenant that comes back after it was off-boarded goes on counting: its next epoch is a new one")
    func comesBack() throws {
        var bench = RegistryBench.active()
        let config = try #require(bench.registry.tenants["men"]?.config)
        _ = bench.command("offboard", ["tenant": "men"])
        let drain = bench.controls()
        let early = ClientRequest(
            id: "e", client: "cli", method: "apply", params: ["documents": .array(RegistryBench.documents)])
        bench.feed(.received(Message(.command, .request(early))))
        #expect(bench.responses().last?.status == 409, "not while it is being off-boarded")
        bench.acknowledge(drain[0], lastSeq: 0)
        bench.pass(2_000)
        #expect(bench.registry.tenants["men"] == nil)
        bench.past = [
            "men": StoredManager(
                epoch: 1, isEnded: true, since: at(0).wall, fleet: "f1", boot: 1, ackSeq: 0, config: config)
        ]
        bench.sent = []
        bench.apply()
        bench.pass(2_000)
        #expect(bench.controls().map(\.epoch) == [2])
        #expect(bench.registry.tenants["men"]?.generation ?? 0 >= config.generation)
    }

    @Test("suspending and off-boarding are final, a replacement is not; a sweep of a final drain keeps nothing")
    func final() throws {
        for (verb, isFinal) in [("offboard", true), ("suspend", true), ("replace", false)] {
            var bench = RegistryBench.active()
            bench.openJobs = [
                OpenJobRow(job: jobID(1), provider: "alpha", onReplace: .adopt),
                OpenJobRow(job: jobID(2), provider: "alpha", onReplace: .stop),
            ]
            _ = bench.command(verb, ["tenant": "men"])
            bench.pass(2_000)
            let drain = try #require(bench.controls().last { $0.command == .drain }, "\(verb)")
            #expect(drain.final == (isFinal ? true : nil), "\(verb)")
            // Its process ends while it drains: by force.
            bench.presence(.fleetPresence("f1"), boot: 2)
            bench.pass(2_000)
            let sweep = try #require(
                bench.sent.compactMap { message -> Sweep? in
                    if case .gatewayControl(let control) = message.payload { control.sweep } else { nil }
                }.first, "\(verb)")
            #expect(sweep.keep == (isFinal ? [] : [jobID(1)]), "\(verb)")
            #expect(sweep.jobs.map(\.job) == (isFinal ? [jobID(1), jobID(2)] : [jobID(2)]), "\(verb)")
            #expect(bench.closings.map(\.swept.count) == [isFinal ? 2 : 1], "\(verb)")
        }
    }

    @Test("a registry that is not the active one says nothing and forgets what it believed")
    func standby() {
        var bench = RegistryBench.active()
        bench.answersBeats = false
        let ticket = bench.registry.nextTicket
        bench.feed(.received(Message(.query, .request(ClientRequest(id: "1", client: "c", method: "x", params: [:])))))
        bench.feed(.stored(ticket: ticket - 1, .failed(Problem(.standby, "another is active"))))
        let drain = ClientRequest(id: "2", client: "c", method: "fleet.drain", params: ["fleet": "f1"])
        _ = bench.registry.receive(.received(Message(.command, .request(drain))), at: at(bench.now))
        let pending = bench.registry.pending.keys.max() ?? 0
        bench.feed(.stored(ticket: pending, .failed(Problem(.standby, "another is active"))))
        bench.sent = []
        bench.snapshot = Snapshot()
        #expect(bench.registry.isStandby && bench.registry.tenants.isEmpty)
        bench.feed(.received(Message(.query, .request(ClientRequest(id: "3", client: "c", method: "x", params: [:])))))
        #expect(bench.sent.isEmpty)
        bench.pass(1_100)
        #expect(!bench.registry.isStandby, "the lock is free: it takes over")
    }

    @Test("open jobs that differ from the rows are sent to the Work Manager, and only when both speak of one moment")
    func audit() {
        var bench = RegistryBench.active()
        bench.answersBeats = false
        var status = RegistryBench.status(1, epoch: 1, generation: 1)
        status.digest = "1-0000000000000001"
        bench.auditAnswer = AuditedJobs(epoch: 1, ackSeq: 3, digest: "0-0000000000000000")
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
        bench.pass(200)
        #expect(bench.controls().isEmpty, "facts were committed meanwhile")
        bench.auditAnswer = AuditedJobs(epoch: 1, ackSeq: 0, digest: "0-0000000000000000")
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
        bench.pass(200)
        #expect(bench.controls().map(\.command) == [.reconcile])
        bench.auditAnswer = AuditedJobs(epoch: 1, ackSeq: 0, digest: "1-0000000000000001")
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
        bench.pass(200)
        #expect(bench.controls().isEmpty)
    }

    @Test("what repairs do not change is repaired with every answer three times, then with the regular comparison")
    func repairs() {
        var bench = RegistryBench.active()
        bench.answersBeats = false
        var status = RegistryBench.status(1, epoch: 1, generation: 1)
        func repairs(in milliseconds: Int64, changing: Bool = false) -> Int {
            var count = 0
            for number in 0..<(milliseconds / 5_000) {
                status.digest = "1-000000000000000\(changing ? number % 10 : 1)"
                bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
                bench.pass(5_000)
                count += bench.controls().count { $0.command == .reconcile }
            }
            return count
        }
        bench.auditAnswer = AuditedJobs(epoch: 1, ackSeq: 0, digest: "0-0000000000000000")
        let quick = Registry.quickRepairs
        #expect(repairs(in: 60_000) == quick + 1, "the last of them says how it goes on")
        // The rest of a tenant's jobs comes and goes: that is no new beginning.
        #expect(repairs(in: 3_600_000, changing: true) <= 13)
        // A repair may have been lost: it is not given up for good.
        #expect(repairs(in: 1_200_000) >= 3)
        bench.auditAnswer?.digest = "1-0000000000000001"
        #expect(repairs(in: 600_000) <= 1)
        bench.auditAnswer?.digest = "0-0000000000000000"
        #expect(repairs(in: 400_000) >= quick, "they had agreed since")
    }
}

extension RegistryBench {
    func sealAck(
        _ node: NodeID, epoch: Int, boot: Int64 = 1, listed: Int? = 0, left: [LeftJob]? = nil
    ) -> Message {
        Message(
            .gatewayAck(node),
            .gatewayAck(
                GatewayAck(
                    id: "s", command: .seal, boot: boot, sealed: [Seal(tenant: "men", epoch: epoch, listed: listed)],
                    left: left)))
    }

    var gatewayCommands: [GatewayControl.Command] {
        sent.compactMap { if case .gatewayControl(let control) = $0.payload { control.command } else { nil } }
    }
}
