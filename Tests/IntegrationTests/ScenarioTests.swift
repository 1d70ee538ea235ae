import Foundation
import OMSDev
import OMSModel
import OMSRuntime
import Postgres
import Testing

/// The example when one of its providers goes and comes back, as an operator sees it.
@Suite("Scenarios", .serialized, .timeLimit(.minutes(3)))
struct ScenarioTests {
    @Test("a lost provider moves the tenants to `degraded` and back while their Work Managers run; `oms why` tells it")
    func degraded() async throws {
        let folder = try Example.fast(everySeconds: 3, paceMilliseconds: 10)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = folder.path
        options.binaryFolder = try Place.binaries
        options.extraArguments["oms-registry"] = ["--unwell-seconds", "3", "--fail-back-seconds", "2"]
        try await DevEnvironment.with(options) { environment in
            let variables = environment.operatorVariables
            let applied = try await oms(
                "apply", "-f", folder.appending(path: "oms.yaml").path, environment: variables)
            try #require(applied.status == 0, "\(applied.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            func scenario(_ name: String) -> String {
                "SELECT count(*) = 2 FROM report.tenant_status WHERE scenario = '\(name)' AND manager_state = 'active'"
            }
            try await database.wait(until: scenario("open-bandit"))
            try await database.wait(
                until: "SELECT count(*) >= 2 FROM report.result WHERE service = 'recommend' AND state = 'succeeded'")

            // 1. Gone: both tenants go on with the lesser scenario.
            await environment.supervisor.stop("reference-sp-gamma")
            try await database.wait(until: scenario("degraded"))
            let explanation = try await database.connection.query(
                "SELECT explanation FROM report.tenant_status WHERE tenant = 'men'")
            let text = explanation.rows.first?["explanation"] ?? ""
            #expect(text.contains("gamma is not usable") && text.contains("scenario degraded"), "\(text)")
            var why = try await oms("why", environment: variables).output
            #expect(why.contains("provider/gamma") && why.contains("unreachable"), "\(why)")
            let merged = "FROM report.run r WHERE service = 'recommend' AND providers_used = 'beta'"
            try await database.wait(until: "SELECT count(*) >= 2 \(merged)")

            // 2. Back: the preferred scenario again, after a while without a fault.
            let port = try #require(URL(string: environment.providerAddresses["GAMMA_URL"] ?? "")?.port)
            try await environment.startProvider("gamma", port: port)
            try await database.wait(until: scenario("open-bandit"))
            try await database.wait(until: "SELECT count(*) = 0 FROM report.why WHERE subject = 'provider/gamma'")
            why = try await oms("why", environment: variables).output
            #expect(!why.contains("provider/gamma"), "\(why)")

            // 3. No Work Manager was replaced for it.
            #expect(try await database.number("SELECT max(epoch) FROM report.manager_history") == 1)
            #expect(try await database.number("SELECT count(*) FROM report.operation") == 0)
            await database.close()
        }
    }

    @Test("a roll-out goes through its waves on real results, and one whose runs fail is taken back")
    func rollout() async throws {
        let folder = try Example.fast(everySeconds: 2, paceMilliseconds: 5)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = folder.path
        options.binaryFolder = try Place.binaries
        try await DevEnvironment.with(options) { environment in
            let variables = environment.operatorVariables
            let file = folder.appending(path: "oms.yaml").path
            #expect(try await oms("apply", "-f", file, environment: variables).status == 0)
            let database = try await Database.open(environment.postgresConfiguration())
            try await database.wait(until: "SELECT count(*) >= 8 FROM report.run WHERE state = 'succeeded'")
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let parts = text.split(separator: "\n---\n").map(String.init)
            let scenario = try #require(parts.first { $0.contains("name: open-bandit\n") })
            let rollouts = "SELECT phase, wave, reason, wave_started FROM report.rollout ORDER BY started_at"
            func start(_ scenario: String) async throws -> Finished {
                let path = folder.appending(path: "rollout.yaml").path
                try scenario.write(toFile: path, atomically: true, encoding: .utf8)
                return try await oms(
                    "rollout", "start", "-f", path, "--waves", "100", "--soak", "2", "--min-runs", "4",
                    environment: variables)
            }
            let good = try await start(scenario.replacing("timeout_s: 30", with: "timeout_s: 29"))
            #expect(good.status == 0, "\(good.errors)")
            try await database.wait(
                until: "SELECT count(*) = 1 FROM report.rollout WHERE phase = 'done'", showing: rollouts)
            try await database.wait(
                until: "SELECT max(version) = 2 FROM report.audit WHERE kind = 'Scenario' AND name = 'open-bandit'")
            let bad = try await start(
                scenario.replacing("timeout_s: 30", with: "timeout_s: 29")
                    .replacing("-bts.csv.gz", with: "-missing.csv.gz"))
            #expect(bad.status == 0, "\(bad.errors)")
            try await database.wait(
                until: "SELECT count(*) = 1 FROM report.rollout WHERE phase = 'aborted'", showing: rollouts)
            let listed = try await oms("get", "rollouts", environment: variables)
            #expect(listed.output.contains("runs failed"), "\(listed.output)\(listed.errors)")
            // Back to what was good.
            try await database.wait(
                until: """
                    SELECT count(*) >= 2 FROM report.run WHERE service = 'harvest-bts' AND state = 'succeeded'
                      AND started_at > (SELECT max(ended_at) FROM report.rollout)
                    """)
            await database.close()
        }
    }

    @Test(
        "plan shows the price, apply asks before it replaces, rollback goes back, explain tells where values come from")
    func planAndRollback() async throws {
        let folder = try Example.fast(everySeconds: 3, paceMilliseconds: 10)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = folder.path
        options.binaryFolder = try Place.binaries
        try await DevEnvironment.with(options) { environment in
            let variables = environment.operatorVariables
            let file = folder.appending(path: "oms.yaml").path
            let first = try await oms("plan", "-f", file, environment: variables)
            #expect(first.output.contains("2 ") && first.status == 0, "\(first.output)\(first.errors)")
            #expect(try await oms("apply", "-f", file, environment: variables).status == 0)
            let database = try await Database.open(environment.postgresConfiguration())
            try await database.wait(
                until: "SELECT count(*) = 2 FROM report.tenant_status WHERE manager_state = 'active'")

            // Another place for the harvested rows: what runs must end first.
            let text = try String(contentsOfFile: file, encoding: .utf8)
                .replacing(
                    "{uri: \"sqlite:///{tenant}.db\"}\n      # A pause",
                    with: "{uri: \"sqlite:///{tenant}2.db\"}\n      # A pause")
            let changed = folder.appending(path: "changed.yaml").path
            try text.write(toFile: changed, atomically: true, encoding: .utf8)
            let plan = try await oms("plan", "-f", changed, environment: variables)
            #expect(plan.output.contains("2 replaced") && plan.output.contains("output_source"), "\(plan.output)")
            let refused = try await oms("apply", "-f", changed, environment: variables)
            #expect(refused.status != 0 && refused.errors.contains("--yes"), "\(refused.errors)")
            let done = try await oms("apply", "-f", changed, "--yes", environment: variables)
            #expect(done.status == 0, "\(done.errors)")
            try await database.wait(
                until: "SELECT count(*) = 2 FROM report.tenant_status WHERE epoch = 2 AND manager_state = 'active'")
            try await database.wait(until: "SELECT count(*) = 2 FROM report.operation WHERE phase = 'done'")
            #expect(try await database.number("SELECT count(*) FROM report.drain_receipt WHERE graceful") == 2)

            let back = try await oms("rollback", "Scenario", "open-bandit", "--yes", environment: variables)
            #expect(back.output.contains("scenario/open-bandit changed"), "\(back.output)\(back.errors)")
            try await database.wait(
                until: "SELECT count(*) = 2 FROM report.tenant_status WHERE epoch = 3 AND manager_state = 'active'")
            let explained = try await oms(
                "explain", "men", "--service", "recommend", "-o", "json", environment: variables)
            #expect(explained.output.contains("\"origin\" : \"default\"") && explained.output.contains("\"scenario\""))

            // One service at rest, its reason told, and back.
            #expect(try await oms("suspend", "men/service/recommend", environment: variables).status == 0)
            try await database.wait(
                until:
                    "SELECT count(*) = 1 FROM report.why WHERE tenant = 'men' AND subject = 'service/recommend' AND code = 'suspended' AND unblock IS NOT NULL"
            )
            #expect(try await oms("resume", "men/service/recommend", environment: variables).status == 0)
            try await database.wait(
                until: "SELECT count(*) = 0 FROM report.why WHERE tenant = 'men' AND code = 'suspended'")

            // Gone for good, with a receipt.
            #expect(try await oms("offboard", "women", environment: variables).status != 0)
            let gone = try await oms("offboard", "women", "--yes", "--wait", environment: variables)
            #expect(gone.status == 0, "\(gone.errors)")
            #expect(try await database.number("SELECT count(*) FROM report.tenant_status WHERE tenant = 'women'") == 0)
            #expect(
                try await database.number(
                    "SELECT count(*) FROM report.drain_receipt WHERE tenant = 'women' AND graceful") == 3)
            await database.close()
        }
    }
}
