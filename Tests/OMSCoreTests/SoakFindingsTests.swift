import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What the soak with real processes has found (Tests/IntegrationTests/SoakTests.swift), each as the shortest history
/// that shows it.
@Suite("Findings of the soak")
struct SoakFindingsTests {
    @Test("the fleet of the next epoch is lost before it began: the tenant moves on, although an operation was open")
    func lostWhileStarting() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        _ = bench.command("replace", ["tenant": "men"])
        bench.acknowledge(bench.controls()[0], lastSeq: 0)
        bench.pass(500)
        #expect(bench.controls().map(\.fleet) == ["f2"])
        bench.presence(.fleetPresence("f2"), .lost, boot: 7)
        bench.pass(60_000)
        #expect(bench.closings.map(\.epoch) == [1, 2])
        #expect(bench.closings.map(\.isGraceful) == [true, false])
        let last = bench.controls().last
        #expect(last?.command == .bootstrap && last?.epoch == 3 && last?.fleet == "f1")
    }

    @Test("a fleet that does not answer does not get the next epoch while another one is there")
    func silentFleet() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        // As many tenants on each, so that the name would decide for the silent one.
        bench.apply(
            ["women", "kids", "pets"].map { ["kind": "Tenant", "name": .string($0), "spec": ["scenarios": ["s"]]] })
        bench.pass(500)
        #expect(bench.controls().map(\.fleet).sorted() == ["f1", "f2", "f2"])
        bench.answersBeats = false
        bench.pass(70_000)
        let next = bench.controls().filter { $0.command == .bootstrap && $0.epoch == 2 }
        #expect(next.first?.fleet == "f2")
    }

    @Test("the process of the next epoch dies before it began: no receipt says that it drained")
    func diesWhileStarting() {
        var bench = RegistryBench.active()
        _ = bench.command("replace", ["tenant": "men"])
        bench.acknowledge(bench.controls()[0], lastSeq: 0)
        bench.pass(500)
        #expect(bench.controls().map(\.epoch) == [2])
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(2_000)
        #expect(bench.closings.map(\.epoch) == [1], "epoch 2 left nothing that a drain could have ended")
        #expect(bench.controls().last?.epoch == 3)
    }

    @Test("off-boarded while a new epoch is being written: it is not started, and the tenant goes")
    func offboardWhileOpening() {
        var bench = RegistryBench.active()
        bench.holdsEpochs = true
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(500)
        #expect(bench.held.count == 1)
        _ = bench.command("offboard", ["tenant": "men"])
        bench.release()
        bench.pass(5_000)
        #expect(bench.controls().isEmpty)
        #expect(bench.closings.map(\.epoch) == [2])
        #expect(bench.registry.tenants["men"] == nil)
    }

    @Test("the end of an operation is told when it is stored: whoever hears it may begin the next one")
    func doneWhenStored() {
        var bench = RegistryBench.active()
        _ = bench.command("replace", ["tenant": "men"])
        bench.acknowledge(bench.controls()[0], lastSeq: 0)
        bench.pass(500)
        bench.holdsOperations = true
        bench.acknowledge(bench.controls()[0])
        func told() -> Bool {
            bench.sent.contains {
                if case .event(let event) = $0.payload { event.kind == "operation.done" } else { false }
            }
        }
        #expect(!told())
        bench.release()
        #expect(told())
        #expect(bench.command("replace", ["tenant": "men"])?.status == 200)
    }

    @Test("a thousand Work Managers become active at once: each one's state reaches the database")
    func thousandStates() {
        var bench = RegistryBench.active()
        let tenants = (1...1_000).map { "t\($0)" }
        bench.apply(tenants.map { ["kind": "Tenant", "name": .string($0), "spec": ["scenarios": ["s"]]] })
        bench.holdsObservations = true
        bench.pass(500)
        for control in bench.sent.compactMap({ ControlOfTenant($0) }) where control.control.command == .bootstrap {
            bench.acknowledge(control.control, of: control.tenant)
        }
        // The database is slow, and all have answered heartbeats meanwhile.
        bench.pass(2_000)
        bench.release()
        bench.pass(2_000)
        var states: [TenantID: String] = [:]
        for case .observe(let observations) in bench.requests {
            for case .managerState(let tenant, let state, _) in observations { states[tenant] = state }
        }
        let active = tenants.compactMap { TenantID($0) }.count { states[$0] == "active" }
        #expect(active == 1_000)
    }

    private struct ControlOfTenant {
        var tenant: TenantID
        var control: WMControl

        init?(_ message: Message) {
            guard case .wmControl(let tenant) = message.topic, case .wmControl(let control) = message.payload else {
                return nil
            }
            (self.tenant, self.control) = (tenant, control)
        }
    }
}
