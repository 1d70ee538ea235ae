import Foundation
import HostileProvider
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

@Suite("One provider's faults are not another's", .serialized)
struct IsolationTests {
    /// Milliseconds from the command to the provider's acceptance, one job after the other.
    private func acceptance(_ gateway: GatewayHarness, at provider: ProviderID, jobs: Int) async throws -> [Int64] {
        var times: [Int64] = []
        for _ in 0..<jobs {
            let job = newJob()
            let began = MonotonicClock.microseconds
            await gateway.submit(job, at: provider, duration: 1)
            _ = try await gateway.wait("acceptance") { seen in
                seen.state(job).flatMap { $0 != .submitting && $0 != .pending ? true : nil }
            }
            times.append((MonotonicClock.microseconds - began) / 100)
        }
        return times.sorted()
    }

    private func p99(_ times: [Int64]) -> Double { Double(times[times.count * 99 / 100]) / 10 }

    /// The 99th percentile, milliseconds. What else the machine does can only make it worse, so up to three rounds are
    /// measured and the best counts; neighbours that were in the way would be so in each.
    private func best(_ gateway: GatewayHarness, jobs: Int, below limit: Double) async throws -> Double {
        var best = Double.infinity
        for _ in 0..<3 where best >= limit {
            best = min(best, p99(try await acceptance(gateway, at: "good", jobs: jobs)))
        }
        return best
    }

    @Test("p99 of a good provider beside 200 slow ones", .timeLimit(.minutes(2)))
    func slowNeighbours() async throws {
        let good = try HostileProvider()
        let slow = try HostileProvider(
            [FaultRule(Set(Route.allCases), .slowHeaders(milliseconds: 1_000))], host: "0.0.0.0")
        var timing = GatewayHarness.quick
        timing.callMilliseconds = 10_000
        timing.statusCallMilliseconds = 5_000
        let gateway = GatewayHarness(timing: timing)
        await gateway.attach("good", good.url, maxRunning: 1000)
        let alone = p99(try await acceptance(gateway, at: "good", jobs: 200))
        let limit = max(10 * alone, 100)
        for number in 0..<200 {
            // Distinct hosts: libcurl's limit of connections is per host name.
            await gateway.attach(
                ProviderID("slow-\(number)") ?? "slow",
                slow.url.replacing("127.0.0.1", with: "127.0.\(number / 100).\(number % 100 + 2)"))
            await gateway.submit(newJob(), at: ProviderID("slow-\(number)") ?? "slow", deadlineSeconds: 60)
        }
        let beside = try await best(gateway, jobs: 200, below: limit)
        print("isolation: p99 of an acceptance alone \(alone) ms, beside 200 slow providers \(beside) ms")
        #expect(slow.log.requests.count >= 400, "the neighbours were not even asked")
        #expect(beside < limit)
        await gateway.stop()
    }

    @Test("p99 of a good provider beside one of each hostile kind", .timeLimit(.minutes(2)))
    func hostileNeighbours() async throws {
        let faults: [Fault] = [
            .slowBody(milliseconds: 1_000), .tinyChunks, .hugeBody(bytes: 64 << 20), .deepJSON(depth: 400_000),
            .endlessHeaders, .gzipBomb, .closeAfterExecuting, .close, .late(milliseconds: 60_000), .truncated, .garbage,
            .answer(429), .answer(500, executes: true), .answer(302), .body(String(repeating: "[", count: 1_000_000)),
        ]
        let good = try HostileProvider()
        let gateway = GatewayHarness()
        await gateway.attach("good", good.url, maxRunning: 1000)
        let alone = p99(try await acceptance(gateway, at: "good", jobs: 200))
        let limit = max(10 * alone, 100)
        var hostile: [HostileProvider] = []
        for (number, fault) in faults.enumerated() {
            let provider = try HostileProvider([FaultRule(Set(Route.allCases), fault)])
            hostile.append(provider)
            let id = ProviderID("hostile-\(number)") ?? "hostile"
            await gateway.attach(id, provider.url)
            for _ in 0..<10 { await gateway.submit(newJob(), at: id, deadlineSeconds: 60) }
        }
        let beside = try await best(gateway, jobs: 300, below: limit)
        print("isolation: p99 of an acceptance alone \(alone) ms, beside 15 hostile kinds \(beside) ms")
        #expect(hostile.allSatisfy { $0.log.requests.count >= 2 })
        #expect(hostile.allSatisfy { $0.log.doubled == [] })
        #expect(beside < limit)
        await gateway.stop()
    }

    @Test("one sweep for all jobs: requests per finished job in steady state")
    func sweepInsteadOfPolls() async throws {
        let provider = try HostileProvider()
        let gateway = GatewayHarness(
            timing: {
                var timing = GatewayHarness.quick
                timing.quietMilliseconds = 30_000
                timing.probeMilliseconds = 5_000
                return timing
            }())
        await gateway.attach("sp", provider.url, maxRunning: 1_000)
        let jobs = (0..<1_000).map { _ in newJob() }
        for (number, job) in jobs.enumerated() { await gateway.submit(job, duration: 1_000 + number * 3) }
        for job in jobs {
            let end = try await gateway.end(of: job, seconds: 60)
            #expect(end.state == .succeeded, "\(end.error?.detail ?? "")")
        }
        let log = provider.log
        let perJob = Double(log.requests.count) / Double(jobs.count)
        print(
            "sweep: \(log.requests.count) requests for \(jobs.count) jobs, \(log.count(.list)) sweeps: \(perJob) each")
        #expect(perJob < 2)
        #expect(log.doubled == [] && jobs.allSatisfy { log.executions(of: $0) == 1 })
        await gateway.stop()
    }
}
