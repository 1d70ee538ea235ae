import Foundation
import OMSDev
import OMSModel
import OMSRuntime
import Postgres
import Testing

/// The gateway dies at each of its crash points, again and again, with jobs flowing.
@Suite("Crash points", .serialized, .timeLimit(.minutes(10)))
struct CrashPointTests {
    /// `OMS_TESTS=all OMS_CRASHES=34 swift test --filter CrashPointTests` gives a hundred and two deaths; the default is quick.
    static let crashesEach = ProcessInfo.processInfo.environment["OMS_CRASHES"].flatMap { Int($0) } ?? 4

    @Test(
        "kill -9 of the gateway at its crash points: no job lost, none executed twice",
        arguments: ["before-send", "after-send", "before-outcome"])
    func crash(place: String) async throws {
        let folder = try Example.fast(everySeconds: 2, paceMilliseconds: 10)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = folder.path
        options.binaryFolder = try Place.binaries
        // Each process lives for two submits.
        options.extraArguments = ["sp-gateway": ["--crash-point", "\(place):2"]]
        options.longestRestartDelay = .milliseconds(200)
        let deaths = Locked(0)
        options.onEvent = { event in
            if case .child(.died("sp-gateway", _, _)) = event { deaths.withLock { $0 += 1 } }
        }
        try await DevEnvironment.with(options) { environment in
            let applied = try await oms(
                "apply", "-f", folder.appending(path: "oms.yaml").path, environment: environment.operatorVariables)
            try #require(applied.status == 0, "\(applied.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            var finished = 0
            while deaths.withLock({ $0 }) < Self.crashesEach {
                finished += 4
                try await database.wait(
                    until: "SELECT count(*) >= \(finished) FROM report.job WHERE finished_at IS NOT NULL")
            }
            try await database.wait(
                until:
                    "SELECT min(created_at) > now() - interval '60 s' OR count(*) = 0 FROM report.job WHERE finished_at IS NULL"
            )
            try await Example.checkExecutions(environment, database)
            print(
                "\(place): \(deaths.withLock { $0 }) deaths, \(try await database.number("SELECT count(*) FROM report.job")) jobs"
            )
            #expect(deaths.withLock { $0 } >= Self.crashesEach)
            await database.close()
        }
    }
}
