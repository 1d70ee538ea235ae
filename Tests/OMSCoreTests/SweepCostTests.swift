import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What watching costs a provider: the real core against an honest provider, minute after minute.
@Suite("The cost of watching")
struct SweepCostTests {
    @Test("with 1,000 jobs running there are fewer than two requests for each finished job")
    func requestsPerJob() {
        var bench = GatewayBench(maxRunning: 1_000)
        var running: [JobID: Int64] = [:]
        var updated: [(at: Int64, job: ProviderJob)] = []
        var requests = 0
        var finished = 0
        var next = 0
        var generator = SplitMix64(seed: 5)
        let minutes: Int64 = 5
        while bench.now < minutes * 60_000 {
            // A thousand are always there; each takes half a minute to a minute and a half.
            while next - finished < 1_000 {
                next += 1
                bench.command(.submit, jobID(next), deadline: 10_000_000)
            }
            let calls = bench.calls
            bench.calls = []
            for call in calls {
                requests += 1
                switch call.kind {
                case .submit(let request):
                    running[request.id] = bench.now + Int64.random(in: 30_000...90_000, using: &generator)
                    bench.answer(call, 201, .job(bench.job(request.id, .running)))
                case .sweep(let since, _, _):
                    let jobs = updated.filter { at($0.at).wall >= since }.map(\.job)
                    bench.answer(
                        call, 200,
                        .jobs(JobList(statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: jobs)))
                case .status: bench.answer(call, 200, .status(GatewayBench.status()))
                case .services: bench.answer(call, 304, .empty)
                case .batch(let ids):
                    let jobs = ids.map { bench.job($0, .running) }
                    bench.answer(
                        call, 200,
                        .jobs(JobList(statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: jobs)))
                case .job(let id): bench.answer(call, 200, .job(bench.job(id, .running)))
                case .stop: Issue.record("nothing is to be stopped")
                }
            }
            for id in running.keys.sorted() where running[id].map({ $0 <= bench.now }) == true {
                updated.append((bench.now, bench.job(id, .succeeded, revision: 2)))
                running[id] = nil
                finished += 1
            }
            updated.removeAll { $0.at < bench.now - 30_000 }
            bench.events = []
            bench.now += 500
            bench.feed(.wake)
        }
        let perJob = Double(requests) / Double(finished)
        print(
            "requests per finished job with 1,000 running: \(perJob), \(finished) jobs in \(minutes) simulated minutes")
        #expect(finished > 3_000)
        #expect(perJob < 2)
    }
}
