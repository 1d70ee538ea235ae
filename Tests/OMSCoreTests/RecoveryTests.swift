import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Jobs that no journal told of: the registry writes their rows before the next epoch begins")
struct RecoveryTests {
    private static let run = RunID(time: at(0).wall, of: "run")

    private func left(_ number: Int) -> LeftJob {
        LeftJob(
            job: jobID(number), tenant: "men", provider: "alpha", epoch: 1, run: Self.run, service: "harvest",
            attempt: 1, deadline: at(60_000).wall)
    }

    /// A Work Manager was killed; the gateway is asked to seal.
    private func killed(_ change: (inout RegistryBench) -> Void = { _ in }) -> RegistryBench {
        var bench = RegistryBench.active()
        _ = bench.controls()
        bench.sent = []
        bench.requests = []
        change(&bench)
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(3_000)
        return bench
    }

    private func seals(_ bench: RegistryBench) -> [Seal] {
        bench.sent.flatMap { message -> [Seal] in
            if case .gatewayControl(let control) = message.payload { control.seals ?? [] } else { [] }
        }
    }

    private func recoveries(_ bench: RegistryBench) -> [Recovery] {
        bench.requests.compactMap { if case .recover(let recovery) = $0 { recovery } else { nil } }
    }

    @Test("are asked for with the seal, written, and only then the epoch is closed and the next one opened")
    func order() throws {
        let bench = killed { $0.left = ["g1": [left(1), left(2)]] }
        #expect(seals(bench).first == Seal(tenant: "men", epoch: 2, list: 1))
        let recovery = try #require(recoveries(bench).first)
        #expect(recovery.jobs == [left(1), left(2)].sorted { $0.job < $1.job })
        #expect(recovery.plans.map(\.plan.id) == ["harvest"] && recovery.plans.map(\.tenant) == ["men"])
        let kinds = bench.requests.compactMap { request -> String? in
            switch request {
            case .recover: "recover"
            case .closeEpoch: "close"
            case .openEpoch: "open"
            default: nil
            }
        }
        #expect(kinds == ["recover", "close", "open"] || kinds == ["recover", "open"], "\(kinds)")
    }

    @Test("nothing to write: no transaction")
    func nothing() {
        let bench = killed()
        #expect(recoveries(bench).isEmpty)
        #expect(bench.requests.contains { if case .openEpoch = $0 { true } else { false } })
    }

    @Test("a list of which a part was lost does not count: it is asked for again")
    func partLost() {
        var bench = killed { $0.obedientGateways = [:] }
        bench.feed(.received(bench.sealAck("g1", epoch: 2, listed: 2, left: [left(1)])))
        bench.pass(300)
        #expect(recoveries(bench).isEmpty)
        #expect(!bench.requests.contains { if case .openEpoch = $0 { true } else { false } })
        bench.sent = []
        bench.pass(5_000)
        #expect(seals(bench).last == Seal(tenant: "men", epoch: 2, list: 1))
        // The same one again counts once, the lost one comes.
        bench.feed(.received(bench.sealAck("g1", epoch: 2, listed: 2, left: [left(1), left(2)])))
        #expect(recoveries(bench).map(\.jobs.count) == [2])
    }

    @Test("a list that came again after it was settled does not stand for a part of the next one that is lost")
    func cameAgain() {
        var bench = killed { $0.left = ["g1": [left(1), left(2)]] }
        #expect(bench.registry.tenants["men"]?.epoch == 2)
        bench.obedientGateways = [:]
        bench.requests = []
        bench.feed(.received(bench.sealAck("g1", epoch: 2, listed: 2, left: [left(1), left(2)])))
        #expect(bench.registry.gateways["g1"]?.left["men"] == nil)
        bench.presence(.fleetPresence("f1"), boot: 3)
        bench.pass(300)
        var newer = left(3)
        newer.epoch = 2
        bench.feed(.received(bench.sealAck("g1", epoch: 3, listed: 2, left: [newer])))
        bench.pass(300)
        #expect(recoveries(bench).isEmpty, "one of two is missing")
        #expect(!bench.requests.contains { if case .openEpoch = $0 { true } else { false } })
    }

    @Test("an answer without the list, from a gateway that has not heard of it, does not count")
    func unlisted() {
        var bench = killed { $0.obedientGateways = [:] }
        bench.feed(.received(bench.sealAck("g1", epoch: 2, listed: nil)))
        bench.pass(300)
        #expect(!bench.requests.contains { if case .openEpoch = $0 { true } else { false } })
    }

    @Test("what the database refuses is asked for again, and nothing begins before")
    func databaseAway() {
        var bench = killed {
            $0.left = ["g1": [left(1)]]
            $0.failingRecoveries = 1
        }
        #expect(!bench.requests.contains { if case .openEpoch = $0 { true } else { false } })
        bench.pass(10_000)
        #expect(recoveries(bench).count == 2)
        #expect(bench.requests.contains { if case .openEpoch = $0 { true } else { false } })
    }

    @Test("a Work Manager that drained to its end has told of everything: no list is asked for")
    func toldAll() {
        var bench = RegistryBench.active()
        bench.sent = []
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(100)
        let drain = bench.controls()[0]
        bench.acknowledge(drain, .done, lastSeq: 0)
        bench.pass(1_000)
        #expect(seals(bench).contains { $0.epoch == 2 } && seals(bench).allSatisfy { $0.list == nil || $0.epoch < 2 })
    }

    @Test("rows that are found while the Work Manager runs are compared with what it has, soon")
    func late() {
        var bench = RegistryBench.active()
        bench.pass(10_000)
        bench.presence(.gatewayPresence("g2"))
        bench.obedientGateways["g2"] = nil
        bench.registry.tenants["men"]?.lastAudit = bench.now
        var seal = bench.sealAck("g2", epoch: 1, listed: 0)
        bench.feed(.received(seal))
        #expect(recoveries(bench).isEmpty)
        // An older epoch's jobs at a gateway that was away while the present one began.
        bench.registry.tenants["men"]?.epoch = 2
        bench.registry.gateways["g2"]?.listed["men"] = 1
        seal = bench.sealAck("g2", epoch: 2, listed: 1, left: [left(7)])
        bench.feed(.received(seal))
        #expect(recoveries(bench).map { $0.jobs.map(\.job) } == [[jobID(7)]])
        #expect(bench.registry.tenants["men"]?.lastAudit == nil)
    }
}
