import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The gateway blames a provider only for what it did")
struct GatewayHonestyTests {
    let id = jobID(1)

    private func running(_ bench: inout GatewayBench) throws {
        bench.command(.submit, id)
        let taken = bench.take()
        let call = try #require(taken)
        bench.answer(call, 201, .job(bench.job(id, .running, revision: 2)))
    }

    private func list(_ jobs: ProviderJob...) -> ProviderAnswer.Body {
        .jobs(JobList(statistics: JobStatistics(asOf: at(0).wall, counts: [:]), jobs: jobs))
    }

    @Test("an old page that another answer overtook is no broken promise")
    func overtaken() throws {
        var bench = GatewayBench()
        try running(&bench)
        bench.now = 2_000
        bench.feed(.wake)
        let sweep = try #require(bench.calls.first { if case .sweep = $0.kind { true } else { false } })
        bench.calls.removeAll { $0.id == sweep.id }
        bench.command(.stop, id)
        bench.now = 2_010
        bench.feed(.wake)
        let stop = try #require(bench.calls.first { if case .stop = $0.kind { true } else { false } })
        bench.now = 2_020
        bench.answer(stop, 202, .job(bench.job(id, .stopping, revision: 3)))
        bench.answer(sweep, 200, list(bench.job(id, .running, revision: 2)))
        #expect(bench.events.last?.state == .stopping)
        #expect(!bench.health.contains { $0.error?.slug == ProblemSlug.illegalTransition.rawValue })
    }

    @Test("one revision with two states is one, and the warning ends a minute after it was last seen")
    func twoStates() throws {
        var bench = GatewayBench()
        try running(&bench)
        bench.now = 2_000
        bench.feed(.wake)
        let sweep = try #require(bench.calls.first { if case .sweep = $0.kind { true } else { false } })
        bench.calls.removeAll { $0.id == sweep.id }
        bench.answer(sweep, 200, list(bench.job(id, .queued, revision: 2)))
        bench.answerRegular()
        #expect(bench.events.last?.state == .running)
        #expect(bench.health.last?.status == .warn)
        #expect(bench.health.last?.error?.slug == ProblemSlug.illegalTransition.rawValue)
        bench.pass(70_000)
        #expect(bench.health.last?.status == .pass)
    }

    /// Of a provider that keeps ended jobs for 120 s: its status is good, questions about jobs are `answered`.
    private static func pass(
        _ bench: inout GatewayBench, _ milliseconds: Int64, answered: (inout GatewayBench, ProviderCall) -> Void
    ) {
        var status = GatewayBench.status()
        status.retentionSeconds = 120
        let end = bench.now + milliseconds
        while bench.now < end {
            bench.now += 500
            bench.feed(.wake)
            let calls = bench.calls
            bench.calls = []
            for call in calls {
                switch call.kind {
                case .status: bench.answer(call, 200, .status(status))
                case .job, .stop: answered(&bench, call)
                case .submit: bench.fail(call, .maybeSent, .timeout)
                default: bench.answer(call, 304, .empty)
                }
            }
        }
    }

    @Test("what a provider does not know after it was silent longer than it keeps ended jobs: nobody can say")
    func silentTooLong() throws {
        for silence in [55_000, 130_000] as [Int64] {
            var bench = GatewayBench()
            bench.command(.submit, id, deadline: 50_000)
            bench.fail(try bench.taken(), .maybeSent, .timeout)
            Self.pass(&bench, silence) { $0.fail($1, .maybeSent, .timeout) }
            #expect(bench.gateway.jobs[id]?.state == .unknown)
            Self.pass(&bench, 100_000) { $0.answer($1, 404, .problem(Problem(.noSuchJob, "no"))) }
            #expect(bench.gateway.jobs[id]?.state == (silence > 115_000 ? .lost : .expired))
        }
    }
}
