import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Postgres
import Testing

/// A provider whose answers end the gateway that reads them.
@Suite("A provider that the gateway dies of", .serialized, .timeLimit(.minutes(3)))
struct PoisonedProviderTests {
    @Test("is quarantined after the second death, alone, with a reason; a changed document or an operator releases it")
    func quarantined() async throws {
        let (honest, poison) = (try HostileProvider(), try HostileProvider())
        defer {
            honest.stop()
            poison.stop()
        }
        var options = DevOptions()
        options.extent = .services
        options.binaryFolder = try Place.binaries
        options.extraArguments = ["sp-gateway": ["--crash-on", "poison"]]
        options.longestRestartDelay = .milliseconds(200)
        let deaths = Locked(0)
        options.onEvent = { event in
            if case .child(.died("sp-gateway", _, _)) = event { deaths.withLock { $0 += 1 } }
        }
        try await DevEnvironment.with(options) { environment in
            let file = environment.folder.file("poison.yaml")
            func apply(_ description: String) async throws {
                try Self.documents(honest.url, poison.url, description).write(
                    toFile: file, atomically: true, encoding: .utf8)
                let applied = try await oms(
                    "apply", "--yes", "-f", file, environment: environment.operatorVariables)
                try #require(applied.status == 0, "\(applied.errors)")
            }
            try await apply("first")
            let database = try await Database.open(environment.postgresConfiguration())
            let isQuarantined =
                "EXISTS (SELECT FROM report.why WHERE subject = 'provider/poison' AND code = 'quarantined')"
            try await database.wait(until: "SELECT \(isQuarantined)")
            #expect(deaths.withLock { $0 } == 2)
            let pid = await environment.pid(of: "sp-gateway")
            let runs = "FROM report.run WHERE tenant = 'good' AND state = 'succeeded'"
            let before = try await database.number("SELECT count(*) \(runs)")
            try await database.wait(until: "SELECT count(*) >= \(before + 5) \(runs)")
            #expect(await environment.pid(of: "sp-gateway") == pid, "the others are served by one process")
            let why = try await database.connection.query(
                "SELECT text, unblock FROM report.why WHERE subject = 'provider/poison'")
            #expect(why.rows.first?[0]?.contains("the gateway died twice while reading its answer") == true)
            #expect(why.rows.first?[1]?.contains("oms provider release") == true)
            // The operator's word: it is called again, and kills again.
            try await apply("second")
            try await database.wait(until: "SELECT NOT \(isQuarantined)")
            try await database.wait(until: "SELECT \(isQuarantined)")
            #expect(deaths.withLock { $0 } == 4)
            // The same word without a change.
            let versions = "SELECT max(version) FROM oms.document WHERE name = 'poison'"
            let version = try await database.number(versions)
            let released = try await oms("provider", "release", "poison", environment: environment.operatorVariables)
            #expect(released.status == 0 && released.output.contains("is called again"), "\(released.errors)")
            #expect(try await database.number(versions) == version + 1)
            try await database.wait(until: "SELECT NOT \(isQuarantined)")
            try await database.wait(until: "SELECT \(isQuarantined)")
            #expect(deaths.withLock { $0 } == 6)
            let honest = try await oms("provider", "release", "honest", environment: environment.operatorVariables)
            #expect(honest.status != 0 && honest.errors.contains("is not quarantined"), "\(honest.errors)")
            await database.close()
        }
    }

    private static func documents(_ honest: String, _ poison: String, _ description: String) -> String {
        """
        kind: Provider
        name: honest
        spec: {base_url: "\(honest)", poll_s: 1, max_running: 20}
        ---
        kind: Provider
        name: poison
        spec: {base_url: "\(poison)", description: "\(description)"}
        ---
        kind: Scenario
        name: good
        spec:
          services:
            count:
              type: count
              frequency: {every_s: 1}
              timeout_s: 5
              max_attempts: 1
              deadline_s: 15
              parameters: {duration_ms: 100}
              providers: {use: one, only: [honest]}
        ---
        kind: Tenant
        name: good
        spec: {scenarios: [good]}
        """
    }
}
