import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Postgres
import Testing

/// The whole system with one honest and many hostile providers: minute after minute, nothing grows, nobody is hurt.
@Suite("Hostile soak", .serialized, .timeLimit(.minutes(20)))
struct HostileSoakTests {
    /// `OMS_TESTS=all OMS_SOAK_SECONDS=600 swift test --filter HostileSoakTests` for the long one.
    static let seconds = ProcessInfo.processInfo.environment["OMS_SOAK_SECONDS"].flatMap { Int($0) } ?? 25

    private static let hostile: [(name: String, lies: Set<Lie>, rules: [FaultRule])] = [
        ("slow-body", [], [FaultRule([.list, .job, .submit], .slowBody(milliseconds: 1_000))]),
        ("slow-headers", [], [FaultRule(Set(Route.allCases), .slowHeaders(milliseconds: 1_000))]),
        ("tiny-chunks", [], [FaultRule(Set(Route.allCases), .tinyChunks)]),
        ("huge", [], [FaultRule([.list, .job, .submit], .hugeBody(bytes: 8 << 20))]),
        ("deep", [], [FaultRule([.list, .job], .deepJSON(depth: 50_000))]),
        ("endless", [], [FaultRule([.list, .status], .endlessHeaders)]),
        ("garbage", [], [FaultRule([.status, .submit], .garbage)]),
        ("closes", [], [FaultRule([.submit], .closeAfterExecuting)]),
        ("truncates", [], [FaultRule([.list, .submit], .truncated)]),
        ("errors", [], [FaultRule([.submit], .answer(500, executes: true))]),
        ("full", [], [FaultRule([.submit], .answer(429, headers: ["Retry-After": "1"]))]),
        ("forgets", [.forgetsAtOnce], []), ("falls", [.stateFalls, .terminalChanges], []),
        ("types", [.wrongTypes], []), ("ids", [.wrongID], []), ("clock", [.clockAhead, .updatedFarFuture], []),
        ("catalogs", [.catalogChanges, .ignoresETag], []), ("restarts", [.alwaysRestarted], []),
    ]

    @Test("no job is executed twice, the honest provider is not slowed down, the gateway does not grow")
    func soak() async throws {
        var options = DevOptions()
        options.extent = .services
        options.binaryFolder = try Place.binaries
        let honest = try HostileProvider()
        let hostile = try Self.hostile.map { (name: $0.name, provider: try HostileProvider(lies: $0.lies, $0.rules)) }
        defer {
            honest.stop()
            for entry in hostile { entry.provider.stop() }
        }
        try await DevEnvironment.with(options) { environment in
            let file = environment.folder.file("hostile.yaml")
            try Self.documents(honest: honest.url, hostile: hostile.map { ($0.name, $0.provider.url) })
                .write(toFile: file, atomically: true, encoding: .utf8)
            let applied = try await oms("apply", "-f", file, environment: environment.operatorVariables)
            try #require(applied.status == 0, "\(applied.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            try await database.wait(
                until: "SELECT count(*) >= 5 FROM report.run WHERE tenant = 'good' AND state = 'succeeded'")

            let pid = try #require(await environment.pid(of: "sp-gateway"))
            var memory: [Int] = []
            let end = MonotonicClock.milliseconds + Int64(Self.seconds) * 1000
            while MonotonicClock.milliseconds < end {
                try await database.connection.query("SELECT pg_sleep(1)")
                memory.append(try residentKiB(pid))
            }
            #expect(await environment.pid(of: "sp-gateway") == pid, "the gateway died")

            // The honest provider's tenant sees nothing of it.
            let good = "FROM report.run WHERE tenant = 'good' AND state <> 'running'"
            #expect(try await database.number("SELECT count(*) \(good) AND state <> 'succeeded'") == 0)
            let slowest = try await database.number(
                "SELECT (1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY run_s))::int \(good)")
            #expect(slowest < 3_000, "99 % of the honest provider's runs: \(slowest) ms")
            for entry in hostile + [(name: "honest", provider: honest)] {
                #expect(entry.provider.log.doubled == [], "\(entry.name) executed twice")
            }
            // Each fault that a provider keeps showing has a name.
            let nameless = try await database.connection.query(
                """
                SELECT string_agg(provider, ',') FROM report.provider_status
                WHERE provider IN ('slow-headers', 'deep', 'endless', 'garbage', 'types') AND error IS NULL
                """)
            #expect(nameless.rows.first?[0] == nil, "no error shown for \(nameless.rows.first?[0] ?? "")")

            let third = memory.count / 3
            let early = memory[third..<(2 * third)].reduce(0, +) / max(1, third)
            let late = memory[(2 * third)...].reduce(0, +) / max(1, memory.count - 2 * third)
            let jobs = try await database.number("SELECT count(*) FROM report.job")
            print(
                """
                hostile soak of \(Self.seconds) s: \(jobs) jobs; gateway resident \(memory.first ?? 0) KiB at first, \
                \(early) KiB in the middle third, \(late) KiB in the last, \(memory.max() ?? 0) at most; \
                honest provider's runs 99 % within \(slowest) ms
                """)
            if Self.seconds >= 300 { #expect(late < early + 4_096, "it grows") }
            await database.close()
        }
    }

    private func residentKiB(_ pid: Int32) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        return text.firstMatch(of: /VmRSS:\s+(\d+) kB/).flatMap { Int($0.output.1) } ?? 0
    }

    private static func documents(honest: String, hostile: [(name: String, url: String)]) -> String {
        func provider(_ name: String, _ url: String) -> String {
            "kind: Provider\nname: \(name)\nspec: {base_url: \"\(url)\", poll_s: 1, max_running: 20}\n---\n"
        }
        func service(_ name: String, _ provider: String) -> String {
            """
                \(name):
                  type: count
                  frequency: {every_s: 1}
                  timeout_s: 5
                  max_attempts: 1
                  deadline_s: 15
                  parameters: {duration_ms: 200}
                  providers: {use: one, only: [\(provider)]}

            """
        }
        var text = provider("honest", honest) + hostile.map { provider($0.name, $0.url) }.joined()
        text += "kind: Scenario\nname: good\nspec:\n  services:\n" + service("count", "honest") + "---\n"
        text += "kind: Tenant\nname: good\nspec: {scenarios: [good]}\n---\n"
        // A scenario each: one that cannot be satisfied must not keep the others from running.
        for (name, _) in hostile {
            text += "kind: Scenario\nname: \(name)\nspec:\n  services:\n" + service("count", name) + "---\n"
            text += "kind: Tenant\nname: t-\(name)\nspec: {scenarios: [\(name)]}\n---\n"
        }
        return text
    }
}
