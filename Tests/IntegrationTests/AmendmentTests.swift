import Foundation
import HostileProvider
import OMSDev
import Postgres
import Testing

/// A partial result goes out in time; the late branch amends it, in PostgreSQL and on MQTT.
@Suite("Amendments", .serialized, .timeLimit(.minutes(5)))
struct AmendmentTests {
    @Test("a late provider's result makes a second revision of the same run")
    func late() async throws {
        var options = DevOptions()
        options.extent = .services
        options.binaryFolder = try Place.binaries
        let fast = try HostileProvider()
        let slow = try HostileProvider(lies: [], [FaultRule([.submit], .late(milliseconds: 5_000))])
        defer {
            fast.stop()
            slow.stop()
        }
        try await DevEnvironment.with(options) { environment in
            let file = environment.folder.file("amend.yaml")
            try """
            {kind: Provider, name: fast, spec: {base_url: "\(fast.url)", poll_s: 1}}
            ---
            {kind: Provider, name: slow, spec: {base_url: "\(slow.url)", poll_s: 1}}
            ---
            kind: Scenario
            name: s
            spec:
              services:
                count:
                  type: count
                  frequency: {once: true}
                  parameters: {duration_ms: 50}
                  providers: {use: all, at_least: 2}
                  merge: {strategy: mean, output: rows, deliver_after_s: 2}
            ---
            {kind: Tenant, name: t, spec: {scenarios: [s]}}
            """.write(toFile: file, atomically: true, encoding: .utf8)
            let applied = try await oms("apply", "-f", file, environment: environment.operatorVariables)
            try #require(applied.status == 0, "\(applied.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            let contributions = """
                SELECT string_agg(provider || ' ' || outcome, ', ' ORDER BY provider) FROM report.contribution
                """
            try await database.wait(until: "SELECT count(*) = 1 FROM report.result WHERE revision = 1")
            let first = try await database.connection.query(contributions).rows.first?[0]
            #expect(first == "fast used, slow late")
            try await database.wait(until: "SELECT count(*) = 1 FROM report.result WHERE revision = 2")
            let second = try await database.connection.query(contributions).rows.first?[0]
            #expect(second == "fast used, slow used")
            #expect(try await database.number("SELECT count(*) FROM report.run WHERE state = 'succeeded'") == 1)
            let shown = try await oms("result", "t", "count", environment: environment.operatorVariables)
            #expect(shown.output.contains("revision 2"), "\(shown.output)\(shown.errors)")
            await database.close()
        }
    }

    @Test("first-wins stops the slow one; failover leaves a provider that takes nothing")
    func policies() async throws {
        var options = DevOptions()
        options.extent = .services
        options.binaryFolder = try Place.binaries
        let fast = try HostileProvider()
        let full = try HostileProvider(
            lies: [], [FaultRule([.submit], .answer(429, headers: ["Retry-After": "1"]))])
        let slow = try HostileProvider(lies: [], [FaultRule([.submit], .late(milliseconds: 4_000))])
        defer { for provider in [fast, full, slow] { provider.stop() } }
        try await DevEnvironment.with(options) { environment in
            let file = environment.folder.file("policies.yaml")
            try """
            {kind: Provider, name: fast, spec: {base_url: "\(fast.url)", poll_s: 1}}
            ---
            {kind: Provider, name: full, spec: {base_url: "\(full.url)", poll_s: 1}}
            ---
            {kind: Provider, name: slow, spec: {base_url: "\(slow.url)", poll_s: 1}}
            ---
            kind: Scenario
            name: s
            spec:
              services:
                race:
                  type: count
                  frequency: {once: true}
                  parameters: {duration_ms: 50}
                  providers: {use: first-wins, only: [slow, fast], at_least: 2}
                over:
                  type: count
                  frequency: {once: true}
                  parameters: {duration_ms: 50}
                  timeouts: {queue_s: 2}
                  providers: {use: failover, only: [full, fast]}
            """.write(toFile: file, atomically: true, encoding: .utf8)
            let applied = try await oms("apply", "-f", file, environment: environment.operatorVariables)
            try #require(applied.status == 0, "\(applied.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            // All must be known before the plan is made, or failover would begin with the other one.
            try await database.wait(
                until: "SELECT count(*) = 3 FROM report.provider_status WHERE status = 'pass' AND service_types <> ''")
            try "{kind: Tenant, name: t, spec: {scenarios: [s]}}"
                .write(toFile: file, atomically: true, encoding: .utf8)
            let tenant = try await oms("apply", "-f", file, environment: environment.operatorVariables)
            try #require(tenant.status == 0, "\(tenant.errors)")
            try await database.wait(until: "SELECT count(*) = 2 FROM report.run WHERE state = 'succeeded'")
            // Every job ends, the stopped ones too.
            try await database.wait(until: "SELECT count(*) = 0 FROM report.job WHERE finished_at IS NULL")
            let rows = try await database.connection.query(
                "SELECT service || ': ' || string_agg(provider || ' ' || outcome, ', ' ORDER BY provider) "
                    + "FROM report.contribution GROUP BY service ORDER BY service"
            ).rows.map { $0[0] ?? "" }
            #expect(rows == ["over: fast used, full failed", "race: fast used, slow unused"])
            let errors = try await database.connection.query(
                "SELECT error_type FROM report.job WHERE provider = 'full'"
            ).rows.map { $0[0] ?? "" }
            #expect(errors == ["queue-timeout"])
            #expect(full.log.doubled == [] && fast.log.doubled == [] && slow.log.doubled == [])
            await database.close()
        }
    }
}
