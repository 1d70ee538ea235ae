import HostileProvider
import OMSCore
import OMSModel
import OMSProtocol
import Testing

/// A lasting lie and what must become of a job under it.
struct LieCase: Sendable, CustomTestStringConvertible {
    var lies: Set<Lie>
    var rules: [FaultRule] = []
    var ends: Set<JobState>
    /// A word of the fault in the health reports.
    var health: String?
    var duration = 300
    var name = ""

    var testDescription: String { name.isEmpty ? lies.map(\.rawValue).joined(separator: "+") : name }

    static let all: [LieCase] = [
        .init(lies: [.stateFalls], ends: [.succeeded], health: "revision"),
        .init(lies: [.terminalChanges], ends: [.succeeded, .failed]),
        .init(lies: [.forgetsAtOnce], ends: [.lost]),
        .init(lies: [.forgetsWhenEnded], ends: [.lost, .succeeded]),
        .init(lies: [.wrongTypes], ends: [.lost], health: "revision"),
        .init(lies: [.wrongID], ends: [.lost], health: "UUID"),
        .init(lies: [.nullMembers], ends: [.succeeded]),
        .init(lies: [.executesTwice], ends: [.succeeded]),
        .init(lies: [.clockBehind], ends: [.succeeded]),
        .init(lies: [.clockAhead], ends: [.succeeded]),
        .init(lies: [.updatedFarFuture], ends: [.succeeded]),
        .init(lies: [.updatedFarPast], ends: [.succeeded]),
        .init(lies: [.wrongOrder], ends: [.succeeded]),
        .init(lies: [.ignoresFilters, .ignoresSince], ends: [.succeeded]),
        .init(lies: [.wrongCounts, .wrongFigures], ends: [.succeeded]),
        .init(lies: [.catalogChanges, .ignoresETag], ends: [.succeeded]),
        .init(lies: [.alwaysRestarted], ends: [.succeeded]),
        .init(lies: [.plainErrors], ends: [.succeeded]),
        .init(
            lies: [], rules: [FaultRule([.list], .body(#"{"jobs":[]}"#))], ends: [.succeeded], health: "statistics",
            name: "a list without statistics"),
        .init(
            lies: [], rules: [FaultRule([.list], .hugeBody(bytes: 32 << 20))], ends: [.succeeded], health: "tooLarge",
            name: "a huge list"),
        .init(
            lies: [], rules: [FaultRule([.list, .job], .slowBody(milliseconds: 200))], ends: [.lost], health: "timeout",
            name: "nothing but slow answers"),
        .init(
            lies: [], rules: [FaultRule([.list, .job], .tinyChunks)], ends: [.succeeded], name: "chunks of one byte"),
        .init(
            lies: [], rules: [FaultRule([.services], .deepJSON(depth: 200_000))], ends: [.succeeded],
            health: "must be an object", name: "a deep catalogue"),
        .init(
            lies: [], rules: [FaultRule([.list, .job], .answer(429, headers: ["Retry-After": "1"]), times: 2)],
            ends: [.succeeded], name: "429 to questions"),
    ]
}

@Suite("Providers that lie")
struct HostileStateTests {
    @Test("every job has one end, is executed once, and the fault has a name", arguments: LieCase.all)
    func lie(_ row: LieCase) async throws {
        let provider = try HostileProvider(lies: row.lies, row.rules)
        var timing = GatewayHarness.quick
        timing.lostAfterMilliseconds = 3_000
        let gateway = GatewayHarness(timing: timing)
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job, duration: row.duration)
        let end = try await gateway.end(of: job)
        #expect(row.ends.contains(end.state), "\(end.state) \(end.error?.detail ?? "")")
        // What it says later changes nothing: ask until it had every chance to say it.
        let count = provider.log.requests.count
        let other = newJob()
        await gateway.submit(other, duration: row.duration)
        _ = try await gateway.end(of: other)
        #expect(provider.log.requests.count > count)
        #expect(gateway.seen.terminal(job).count == 1)
        #expect(provider.log.doubled == [])
        #expect(provider.log.executions(of: job) == 1)
        if let word = row.health {
            let said = Set(gateway.seen.health["sp"]?.compactMap { $0.error?.detail ?? $0.error?.title } ?? [])
            #expect(said.contains { $0.contains(word) }, "health said \(said)")
        }
        await gateway.stop()
    }

    @Test("a provider that loses its jobs at a restart: they are lost, once, and soon")
    func restartWithoutJobs() async throws {
        let provider = try HostileProvider(lies: [.losesJobsAtRestart])
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        let jobs = (0..<5).map { _ in newJob() }
        for job in jobs { await gateway.submit(job, duration: 60_000) }
        for job in jobs { _ = try await gateway.wait("running") { $0.state(job) == .running ? true : nil } }
        provider.restart()
        for job in jobs {
            #expect(try await gateway.end(of: job, seconds: 5).state == .lost)
            #expect(provider.log.executions(of: job) == 1)
        }
        await gateway.stop()
    }

    @Test("a provider that keeps its jobs over a restart loses none")
    func restartWithJobs() async throws {
        let provider = try HostileProvider()
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job, duration: 1_500)
        _ = try await gateway.wait("running") { $0.state(job) == .running ? true : nil }
        provider.restart()
        #expect(try await gateway.end(of: job).state == .succeeded)
        #expect(provider.log.submits(of: job) == 1)
        await gateway.stop()
    }
}
