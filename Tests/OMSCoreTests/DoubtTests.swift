import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// A session of 15 s: a question every 5 s, doubt after 12 s without an answer.
@Suite("A registry whose session is not proven")
struct DoubtTests {
    @Test("asks every third of the session's time also when there is nothing to do, and is never in doubt")
    func idle() {
        var bench = RegistryBench()
        bench.feed(.wake)
        bench.feed(.connected)
        bench.requests = []
        bench.pass(60_000)
        #expect((11...13).contains(bench.proofs), "\(bench.proofs) in a minute")
        #expect(!bench.registry.isInDoubt && bench.events("registry.in-doubt") == 0)
        // One that writes every second has its proofs from that.
        var busy = RegistryBench.active()
        busy.requests = []
        busy.pass(60_000)
        #expect(busy.proofs == 0 && !busy.registry.isInDoubt)
    }

    @Test("gives no orders in doubt, and all that were due when it is proven again")
    func silent() throws {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        bench.pass(11_000)
        #expect(!bench.registry.isInDoubt)
        bench.sent = []
        bench.pass(2_000)
        #expect(bench.registry.isInDoubt && bench.events("registry.in-doubt") == 1)
        // Its heartbeats order nothing; everything else would.
        bench.presence(.gatewayPresence("g1"), boot: 2)
        bench.feed(.connected)
        bench.pass(20_000)
        #expect(bench.events("registry.in-doubt") == 1)
        #expect(bench.beats.count > 10)
        #expect(bench.orders.isEmpty, "\(bench.orders)")
        bench.sent = []
        bench.releaseAll()
        bench.pass(4_000)
        #expect(!bench.registry.isInDoubt && bench.events("registry.proven") == 1)
        #expect(bench.orders.contains(.gatewayControl("g1")) && bench.orders.contains(.wmEpoch("men")))
    }

    @Test("after a pause of the process its first event finds it in doubt, whatever it is")
    func pause() {
        var bench = RegistryBench.active()
        bench.pass(1_000)
        bench.sent = []
        bench.holdsAll = true
        bench.now += 60_000
        bench.presence(.gatewayPresence("g1"), boot: 2)
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.feed(.wake)
        #expect(bench.registry.isInDoubt)
        #expect(bench.orders.isEmpty, "\(bench.orders)")
    }

    @Test("an answer to an old question proves nothing")
    func oldAnswer() {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        bench.pass(14_000)
        #expect(bench.registry.isInDoubt)
        bench.now += 20_000
        bench.releaseAll(keepsHolding: true)
        #expect(bench.registry.isInDoubt)
        #expect(bench.held.contains { $0.request == .prove }, "it asks again")
        bench.releaseAll()
        #expect(!bench.registry.isInDoubt)
    }

    @Test("the epoch of a removed tenant is taken from the broker when the registry is proven again")
    func removal() {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        bench.pass(14_000)
        let moment = at(bench.now)
        bench.registry.present = moment.monotonic
        bench.registry.removed("men")
        bench.sent = []
        bench.releaseAll()
        #expect(bench.sent.contains { $0.topic == .wmEpoch("men") && $0.payload == .removed })
    }

    @Test("a sweep that nobody could be asked for is not over by its time")
    func sweep() {
        var bench = RegistryBench.active()
        bench.sweptAs = nil
        bench.openJobs = []
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(200)
        let drain = bench.controls().last { $0.command == .drain }
        #expect(drain != nil)
        if let drain { bench.acknowledge(drain, lastSeq: 0) }
        bench.pass(3_000)
        #expect(bench.registry.tenants["men"]?.phase == .sweeping)
        bench.holdsAll = true
        bench.pass(90_000)
        #expect(bench.registry.tenants["men"]?.phase == .sweeping)
        bench.sweptAs = .stopped
        bench.releaseAll()
        bench.pass(5_000)
        #expect(bench.closings.count == 1)
    }
}

extension RegistryBench {
    var proofs: Int { requests.count { $0 == .prove } }

    /// Topics of what only the active registry may say.
    var orders: [Topic] {
        sent.map(\.topic).filter { [.wmControl, .gatewayControl, .wmEpoch].contains($0.kind) }
    }

    func events(_ kind: String) -> Int {
        sent.count { if case .event(let event) = $0.payload { event.kind == kind } else { false } }
    }
}
