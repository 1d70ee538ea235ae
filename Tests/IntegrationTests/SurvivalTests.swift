import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// kill -9 of each service in turn while the example runs again and again: the work goes on and no job is lost.
@Suite("Survival", .serialized, .timeLimit(.minutes(5)))
struct SurvivalTests {
    @Test("kill -9 of every service, twice: every tick fired once, every job executed once and recorded once")
    func killEach() async throws {
        // Longer than one round takes on a busy machine: at its end there must be a moment without work.
        let folder = try Example.fast(everySeconds: 5, paceMilliseconds: 60)
        defer { try? FileManager.default.removeItem(at: folder) }
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = folder.path
        options.binaryFolder = try Place.binaries
        try await DevEnvironment.with(options) { environment in
            let applied = try await oms(
                "apply", "-f", folder.appending(path: "oms.yaml").path,
                environment: environment.operatorVariables)
            try #require(applied.status == 0, "\(applied.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            try await database.wait(until: "SELECT count(*) >= 8 FROM report.run WHERE state = 'succeeded'")

            for victim in ["wm-fleet", "sp-gateway", "oms-registry", "sp-gateway", "wm-fleet", "oms-registry"] {
                let before = await environment.pid(of: victim)
                // In the middle of work, not between two rounds.
                try await database.wait(until: "SELECT count(*) > 0 FROM report.backlog")
                #expect(await environment.kill(victim, SIGKILL))
                let done = try await database.number("SELECT count(*) FROM report.run WHERE state = 'succeeded'")
                try await database.wait(
                    until: "SELECT count(*) >= \(done + 8) FROM report.run WHERE state = 'succeeded'")
                #expect(await environment.pid(of: victim) != before, "\(victim) was not started again")
            }
            // Everything that there is now has an end; that new work begins meanwhile is no matter.
            let moment = try await database.connection.query("SELECT now()::text AS at").rows.first?["at"] ?? ""
            try await database.wait(
                until: "SELECT count(*) = 0 FROM report.job WHERE finished_at IS NULL AND created_at < '\(moment)'")

            // Every tick between the first and the last has its one row, and it was fired.
            let holes = try await database.number(
                """
                SELECT count(*) FROM (SELECT due - lag(due) OVER (PARTITION BY tenant, service ORDER BY due) AS gap
                  FROM report.tick WHERE service LIKE 'harvest-%') t WHERE gap <> interval '5 seconds'
                """)
            #expect(holes == 0)
            #expect(try await database.number("SELECT count(*) FROM report.tick WHERE outcome = 'superseded'") == 0)
            // Nothing failed, nothing was tried twice, nothing was refused by the database.
            #expect(
                try await database.number(
                    """
                    SELECT count(*) FROM report.job
                    WHERE attempt > 1 OR (finished_at IS NOT NULL AND state <> 'succeeded')
                    """) == 0)
            #expect(try await database.number("SELECT count(*) FROM report.quarantine") == 0)
            #expect(
                try await database.number("SELECT count(*) FROM report.run WHERE state NOT IN ('succeeded', 'running')")
                    == 0)
            try await Example.checkExecutions(environment, database)
            try await checkReadme(environment)
            await database.close()
        }
    }

    /// The SQL of the README, as its user would run it.
    private func checkReadme(_ environment: DevEnvironment) async throws {
        let readme = try String(contentsOfFile: Place.root + "/README.md", encoding: .utf8)
        let queries = readme.matches(of: /```sql\n(?s:(.*?))```/).map { String($0.output.1) }
        #expect(queries.count == 3)
        let reporter = try await Database.open(environment.reporterConfiguration())
        for query in queries {
            #expect(try await reporter.connection.query(query).rows.isEmpty == false, "\(query)")
        }
        await reporter.close()
    }
}

/// The example in a hurry, and what must hold after it.
enum Example {
    static func fast(everySeconds: Int, paceMilliseconds: Int) throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-fast-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: Place.example, toPath: folder.path)
        let file = folder.appending(path: "oms.yaml")
        let text = try String(contentsOf: file, encoding: .utf8)
            .replacing("every_s: 20", with: "every_s: \(everySeconds)")
            .replacing("pace_ms: 120", with: "pace_ms: \(paceMilliseconds)")
        try text.write(to: file, atomically: true, encoding: .utf8)
        return folder
    }

    /// By the providers' own logs: each job on its first attempt, once, and the same jobs as in PostgreSQL.
    static func checkExecutions(_ environment: DevEnvironment, _ database: Database) async throws {
        let recorded = try await database.number("SELECT count(*) FROM report.job WHERE state = 'succeeded'")
        #expect(try await database.number("SELECT count(*) FROM report.job WHERE attempt > 1") == 0)
        #expect(
            try await database.number(
                "SELECT count(*) FROM report.job WHERE finished_at IS NOT NULL AND state <> 'succeeded'") == 0)
        var executed = 0
        for provider in ["alpha", "beta", "gamma"] {
            let log = try String(contentsOfFile: environment.folder.log("reference-sp-\(provider)"), encoding: .utf8)
            let started = log.matches(of: /msg="job started" job=([0-9a-f-]+)/).map { String($0.output.1) }
            #expect(Set(started).count == started.count, "\(provider) executed a job twice")
            executed += started.count
        }
        // A few may have begun since the first question.
        #expect(executed >= recorded && executed <= recorded + 12, "\(executed) executed, \(recorded) recorded")
    }
}

extension DevEnvironment {
    /// What makes the `oms` command work on this environment.
    var operatorVariables: [String: String] {
        let endpoint = bus(.admin)
        return providerAddresses.merging([
            "OMS_MQTT_HOST": endpoint.host, "OMS_MQTT_PORT": "\(endpoint.port)", "OMS_MQTT_USER": endpoint.user,
            "OMS_MQTT_PASSWORD_FILE": passwordFile(.admin),
        ]) { _, new in new }
    }
}

/// One PostgreSQL session for the questions of a test.
struct Database {
    let connection: PostgresConnection

    static func open(_ configuration: PostgresConfiguration) async throws -> Database {
        let connection = PostgresConnection(thread: PinnedThread(name: "test-postgres"))
        try await connection.connect(configuration)
        return Database(connection: connection)
    }

    func number(_ sql: String) async throws -> Int {
        Int(try await connection.query(sql).rows.first?[0].flatMap { Int($0) } ?? -1)
    }

    /// Waits inside PostgreSQL, so that the test neither sleeps nor spins.
    /// - Parameter showing: what to ask and tell if it does not come.
    func wait(until condition: String, seconds: Int = 60, showing question: String? = nil) async throws {
        let deadline = MonotonicClock.milliseconds + Int64(seconds) * 1000
        while try await connection.query("SELECT (\(condition))::int AS ok").rows.first?[0] != "1" {
            guard MonotonicClock.milliseconds < deadline else {
                let rows = question == nil ? [] : try await connection.query(question ?? "").rows.map { "\($0)" }
                Issue.record("not within \(seconds) s: \(condition) \(rows.joined(separator: "; "))")
                throw DevError("not within \(seconds) s: \(condition)")
            }
            try await connection.query("SELECT pg_sleep(0.05)")
        }
    }

    func close() async {
        await connection.close()
        connection.thread.shutdown()
    }
}
