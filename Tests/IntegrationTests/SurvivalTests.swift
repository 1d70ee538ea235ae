import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import SQLite
import Testing

/// kill -9 of each service in turn while the example runs again and again: the work goes on and no job is lost.
@Suite("Survival", .serialized, .timeLimit(.minutes(5)))
struct SurvivalTests {
    @Test("kill -9 of every service, twice: every tick fired once, every job executed once and recorded once")
    func killEach() async throws {
        let folder = try fastExample()
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
            try await database.wait(until: "SELECT count(*) = 0 FROM report.backlog")

            // Every tick between the first and the last has its one row, and it was fired.
            let holes = try await database.number(
                """
                SELECT count(*) FROM (SELECT due - lag(due) OVER (PARTITION BY tenant, service ORDER BY due) AS gap
                  FROM report.tick WHERE service LIKE 'harvest-%') t WHERE gap <> interval '3 seconds'
                """)
            #expect(holes == 0)
            #expect(try await database.number("SELECT count(*) FROM report.tick WHERE outcome = 'superseded'") == 0)
            // Nothing failed, nothing was tried twice, nothing was refused by the database.
            #expect(
                try await database.number("SELECT count(*) FROM report.job WHERE attempt > 1 OR state <> 'succeeded'")
                    == 0)
            #expect(try await database.number("SELECT count(*) FROM report.quarantine") == 0)
            #expect(
                try await database.number("SELECT count(*) FROM report.run WHERE state NOT IN ('succeeded', 'running')")
                    == 0)
            // By the providers' own records: each job once, on its first attempt, and the same jobs as in PostgreSQL.
            let recorded = try await database.number("SELECT count(*) FROM report.job WHERE state = 'succeeded'")
            var executed = 0
            for provider in ["alpha", "beta", "gamma"] {
                let log = try String(contentsOfFile: environment.folder.log("reference-sp-\(provider)"), encoding: .utf8)
                let started = log.matches(of: /msg="job started" job=([0-9a-f-]+)/).map { String($0.output.1) }
                #expect(Set(started).count == started.count, "\(provider) executed a job twice")
                executed += started.count
            }
            #expect(executed >= recorded && executed <= recorded + 8, "\(executed) executed, \(recorded) recorded")
            await database.close()
        }
    }

    /// The example with a round every 3 s.
    private func fastExample() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-fast-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: Place.example, toPath: folder.path)
        let file = folder.appending(path: "oms.yaml")
        let text = try String(contentsOf: file, encoding: .utf8)
            .replacing("every_s: 20", with: "every_s: 3").replacing("pace_ms: 120", with: "pace_ms: 60")
        try text.write(to: file, atomically: true, encoding: .utf8)
        return folder
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
    func wait(until condition: String, seconds: Int = 60) async throws {
        let deadline = MonotonicClock.milliseconds + Int64(seconds) * 1000
        while try await connection.query("SELECT (\(condition))::int AS ok").rows.first?[0] != "1" {
            guard MonotonicClock.milliseconds < deadline else {
                Issue.record("not within \(seconds) s: \(condition)")
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
