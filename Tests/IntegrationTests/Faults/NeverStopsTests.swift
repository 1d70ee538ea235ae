import Foundation
import HostileProvider
import OMSDev
import OMSModel
import Postgres
import Testing

/// A provider with one place says `stopping` for ever (docs/operate/operations.md, "A job that never ends").
@Suite("A provider that never stops", .serialized, .timeLimit(.minutes(4)))
struct NeverStopsTests {
    @Test("ticks are skipped, everybody hears who is in the way, and oms job give-up ends it: drain, place and row")
    func givesUp() async throws {
        let provider = try HostileProvider(lies: [.neverStops, .ignoresTimeout])
        defer { provider.stop() }
        try await SmallWorld.with(providers: 0) { world in
            let (environment, database) = (world.environment, world.database)
            try await environment.apply(Self.documents(provider.url, "men", "every_s: 2", 600_000, deadline: 3))
            try await database.wait(until: "SELECT count(*) = 1 FROM report.job WHERE state = 'stopping'")
            let rows = try await database.connection.query(
                "SELECT job::text AS job FROM report.job WHERE tenant = 'men'")
            let id = try #require(rows.rows.first?["job"])
            let job = try #require(JobID(id))

            // 1. The run is over, the job is not: no second execution.
            try await database.wait(
                until: """
                    SELECT count(*) >= 2 FROM report.tick WHERE tenant = 'men' AND outcome = 'skipped'
                      AND reason LIKE '%job \(id) at sp-1 is stopping%oms job give-up%'
                    """)
            #expect(try await database.number("SELECT count(*) FROM report.job WHERE tenant = 'men'") == 1)
            // 2. Who is in the way of whom.
            try await environment.apply(Self.documents(provider.url, "women", "every_s: 1", 100, deadline: 120))
            try await database.wait(
                until: """
                    SELECT count(*) = 1 FROM report.why WHERE tenant = 'women' AND code = 'submitting'
                      AND text LIKE '%1 of 1 places are taken%job \(id) of tenant men (stopping)%'
                    """)
            try await database.wait(
                until:
                    "SELECT count(*) = 1 FROM report.why WHERE tenant = 'men' AND code = 'job-holds' AND text LIKE '%\(id)%'"
            )
            // 3. What is not stuck is not given up.
            let neighbour = try await database.connection.query(
                "SELECT job::text AS job FROM report.job WHERE tenant = 'women' AND finished_at IS NULL LIMIT 1")
            let refused = try await environment.tell(
                ["job", "give-up", neighbour.rows.first?["job"] ?? "", "--evidence", "impatience"])
            #expect(refused.status != 0 && refused.errors.contains("nothing to give up"), "\(refused.errors)")
            // 4. A drain waits for it, and says for what.
            _ = try await environment.tell(["suspend", "men"])
            try await database.wait(
                until: """
                    SELECT count(*) = 1 FROM report.why WHERE tenant = 'men' AND code = 'waits-for-jobs'
                      AND text LIKE '%\(id) of stuck at sp-1%'
                    """)
            // 5. Given up, with the registry and the gateway dying over it.
            let began = try await environment.tell(["job", "give-up", id, "--evidence", "its machine was switched off"])
            #expect(began.status == 0, "\(began.errors)")
            #expect(await environment.kill("oms-registry", SIGKILL))
            #expect(await environment.kill("sp-gateway", SIGKILL))
            try await database.wait(
                until: """
                    SELECT count(*) = 1 FROM report.job WHERE job = '\(id)' AND state = 'lost' AND error_type = 'given-up'
                      AND error LIKE '%its machine was switched off%'
                    """)
            try await database.wait(
                until:
                    "SELECT count(*) = 1 FROM report.operation WHERE tenant = 'men' AND kind = 'suspend' AND phase = 'done'"
            )
            try await database.wait(
                until: "SELECT count(*) >= 2 FROM report.run WHERE tenant = 'women' AND state = 'succeeded'")
            let stops = provider.log.stops(of: job)
            // 6. Twice is once.
            let again = try await environment.tell(["job", "give-up", id, "--evidence", "again"])
            #expect(again.status == 0 && again.output.contains("is given up"), "\(again.output) \(again.errors)")
            let shown = try await environment.tell(["get", "given-up"])
            #expect(shown.output.contains("its machine was switched off") && !shown.output.contains("again"))
            // 7. It ends there after all: told, and no second end.
            provider.endStopping()
            try await database.wait(
                until: "SELECT seen_state = 'stopped' FROM report.given_up WHERE job = '\(id)'",
                showing: "SELECT * FROM report.given_up")
            #expect(
                try await database.number(
                    "SELECT count(*) FROM report.quarantined_job WHERE job = '\(id)' AND resolved_at IS NOT NULL") == 1)
            #expect(
                try await database.number("SELECT count(*) FROM report.job WHERE job = '\(id)' AND state = 'lost'") == 1
            )
            #expect(provider.log.stops(of: job) == stops, "it is stopped no more")
            #expect(provider.log.executions(of: job) == 1)
            #expect(try await database.number("SELECT count(*) FROM report.quarantine") == 0)
        }
    }

    private static func documents(
        _ url: String, _ tenant: String, _ frequency: String, _ milliseconds: Int, deadline: Int
    ) -> String {
        "kind: Provider\nname: sp-1\nspec: {base_url: \"\(url)\", poll_s: 1, max_running: 1}\n---\n"
            + Documents.scenario(
                tenant,
                [
                    "    \(tenant == "men" ? "stuck" : "quick"): {type: count, frequency: {\(frequency)}, timeout_s: 1, "
                        + "deadline_s: \(deadline), max_attempts: 1, parameters: {duration_ms: \(milliseconds)}, "
                        + "providers: {use: one, only: [sp-1]}}\n"
                ]) + Documents.tenant(tenant, tenant)
    }
}
