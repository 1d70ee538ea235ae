import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What the simulation found (docs/simulation.md), each in its shortest form.
@Suite("Findings of the simulation")
struct SimulationFindingsTests {
    @Test("an intent that was not written is written before the next try")
    func intentAgain() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        bench.fail(try bench.taken(), .notSent, .ledger)
        bench.records = []
        bench.pass(2_000)
        #expect(bench.take() != nil)
        #expect(bench.records.contains { if case .intent(let job) = $0 { job.request.id == jobID(1) } else { false } })
    }

    @Test("a piece of journal of which a part was committed already does not block the rest")
    func partlyCommitted() throws {
        var bench = RegistryBench.active()
        bench.holdsCommits = true
        // Entries 1 to 3 were committed by a request whose answer was lost, so the database answers 3 to 1...5.
        bench.journal(1, 5)
        bench.feed(.stored(ticket: try #require(bench.held.last).ticket, .committed(3)))
        bench.journal(4, 2)
        guard case .commit(_, let rest) = try #require(bench.held.last).request else { return }
        #expect(rest.firstSeq == 4)
        #expect(bench.held.count == 2)
    }
}
