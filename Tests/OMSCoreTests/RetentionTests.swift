import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// History of 90 days: a first look after 5 minutes, one every hour, a batch a second while there is more.
@Suite("Pruning of history")
struct RetentionTests {
    @Test("the first look comes some minutes after the start, the next ones hourly, and ask for what is older")
    func hourly() {
        var bench = RegistryBench.active()
        bench.pass(290_000)
        #expect(bench.prunings.isEmpty)
        bench.pass(20_000)
        #expect(bench.prunings.count == 1)
        let pruning = bench.prunings[0]
        #expect(pruning.limit == 5_000 && pruning.keepMilliseconds == 90 * 86_400_000)
        let age = at(bench.now).wall.milliseconds - pruning.before.milliseconds - pruning.keepMilliseconds
        #expect((0...20_000).contains(age), "\(age)")
        bench.pass(3_500_000)
        #expect(bench.prunings.count == 1)
        bench.pass(200_000)
        #expect(bench.prunings.count == 2)
        #expect(bench.events("history.pruned") == 0, "nothing went, nothing is told")
    }

    @Test("while there is more, a batch follows the other with a pause, and one line tells of them all")
    func batches() throws {
        var bench = RegistryBench.active()
        let before = Timestamp(milliseconds: 1_600_000_000_000)
        bench.prunedAnswers = [
            Pruned(before: before, counts: [.ticks: 7, .jobs: 345, .epochs: 0]),
            Pruned(before: before, counts: [.jobs: 12_000, .runs: 3_000], hasMore: true),
        ]
        while bench.prunings.isEmpty { bench.pass(100) }
        #expect(bench.events("history.pruned") == 0)
        bench.pass(800)
        #expect(bench.prunings.count == 1, "journals first")
        bench.pass(400)
        #expect(bench.prunings.count == 2)
        let text = try #require(bench.texts("history.pruned").first)
        #expect(text == "pruned 3,000 runs, 12,345 jobs, 7 ticks older than \(before)")
        bench.pass(600_000)
        #expect(bench.prunings.count == 2 && bench.events("history.pruned") == 1)
    }

    @Test("one batch at a time, however long it takes")
    func oneAtATime() {
        var bench = RegistryBench.active()
        bench.holdsPrunings = true
        bench.pass(3 * 3_600_000)
        #expect(bench.prunings.count == 1)
        bench.release()
        bench.pass(3_700_000)
        #expect(bench.prunings.count == 2)
    }

    @Test("a failure is told once per change, tried again with less, and forgotten when it is over")
    func failure() {
        var bench = RegistryBench.active()
        let (slow, full) = (Problem(.internal, "too slow"), Problem(.internal, "disk full"))
        bench.failingPrunings = [full, slow, slow]
        bench.pass(300_500)
        #expect(bench.prunings.count == 1)
        bench.pass(300_000)
        #expect(bench.prunings.map(\.limit) == [5_000, 1_250])
        #expect(bench.texts("history.not-pruned").count == 1)
        bench.pass(300_000)
        #expect(bench.texts("history.not-pruned").count == 2)
        #expect(bench.texts("history.not-pruned").last?.contains("disk full") == true)
        bench.pass(300_000)
        #expect(bench.prunings.map(\.limit) == [5_000, 1_250, 312, 100])
        #expect(bench.events("history.prunes") == 1)
        bench.pass(3_700_000)
        #expect(bench.prunings.last?.limit == 200, "and grows again")
    }

    @Test("a registry that stands by prunes nothing, and one that becomes active begins anew")
    func standby() throws {
        var bench = RegistryBench.active()
        bench.holdsPrunings = true
        bench.pass(301_000)
        let held = try #require(bench.held.first)
        bench.feed(.stored(ticket: held.ticket, .failed(Problem(.standby, "another is active", status: 503))))
        (bench.held, bench.holdsPrunings, bench.holdsAll) = ([], false, true)
        bench.requests = []
        bench.pass(7_200_000)
        #expect(bench.prunings.isEmpty)
        bench.releaseAll()
        bench.requests = []
        bench.pass(310_000)
        #expect(bench.prunings.count == 1)
    }

    @Test("0 days: nothing is ever pruned")
    func never() {
        var bench = RegistryBench()
        bench.registry = Registry(
            id: "r1", boot: 9, release: "t", heartbeatSeconds: 1, retention: .days(0), at: at(0))
        bench.start()
        bench.pass(2 * 86_400_000)
        #expect(bench.prunings.isEmpty)
        #expect(Retention.days(2).keepMilliseconds == 2 * JobMemory.keepMilliseconds)
    }
}

extension RegistryBench {
    var prunings: [Pruning] { requests.compactMap { if case .prune(let pruning) = $0 { pruning } else { nil } } }

    func texts(_ kind: String) -> [String] {
        sent.compactMap { if case .event(let event) = $0.payload, event.kind == kind { event.text } else { nil } }
    }
}
