import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// Old history goes from a real PostgreSQL, while the system that made it works on.
@Suite("Retention", .serialized, .timeLimit(.minutes(4)))
struct RetentionTests {
    private static func days(_ options: inout DevOptions) {
        options.extraArguments["oms-registry"] = ["--retention-days", "2", "--retention-look-seconds", "1"]
    }

    @Test("of each table goes what is old, and stays what is open, newest or still needed")
    func everyTable() async throws {
        try await SmallWorld.with(Self.days) { world in
            let database = world.database
            try await database.free()
            try await database.connection.execute(script: OldHistory.sql)
            try await database.wait(until: "(SELECT count(*) FROM oms.rollout) = 0")
            try await database.wait(until: "(SELECT count(*) FROM oms.quarantine) = 1")
            let row = try #require(try await database.connection.query(OldHistory.left).rows.first)
            for (name, value) in OldHistory.expected.sorted(by: { $0.key < $1.key }) {
                #expect(row[name] == value, "\(name): \(row[name] ?? "none")")
            }

            // The open job ends late: with it all of its run may go.
            try await database.connection.query(
                "UPDATE oms.job SET state = 'lost', finished_at = ago(3) WHERE id = id('half-open-job2')")
            try await database.wait(until: "NOT EXISTS (SELECT FROM oms.run WHERE id = id('half-open'))")
            try await database.wait(until: "NOT EXISTS (SELECT FROM oms.tick WHERE run_id = id('half-open'))")
            #expect(try await database.number("SELECT count(*) FROM oms.job WHERE run_id = id('half-open')") == 0)
            #expect(try await database.number("SELECT count(*) FROM report.quarantined_job") == 0)

            // It is declared again: numbers go on, also of its document.
            try await world.environment.apply(SmallWorld.flow(["gone"], world))
            try await database.wait(
                until: "(\(SmallWorld.succeeding) AND tenant = 'gone' AND finished_at > ago(1)) > 3",
                showing: "SELECT t.*, (SELECT json_agg(w) FROM report.why w) FROM report.tenant_status t")
            #expect(try await database.number("SELECT max(epoch) FROM report.manager_history") == 4)
            #expect(try await database.number("SELECT version FROM oms.document WHERE name = 'gone'") == 4)

            let log = DataFolder.read(world.environment.folder.log("oms-registry")) ?? ""
            let told = log.split(separator: "\n").filter { $0.contains("history.pruned") }
            #expect(told.first?.contains("pruned 2 runs, 3 jobs, 9 job events, 3 ticks") == true, "\(told.first ?? "")")
            #expect((2...4).contains(told.count), "one line per pass in which something went: \(told)")
        }
    }

    @Test("the system works on: nothing is found again or done twice, not by a replacement and not by a recovery")
    func worksOn() async throws {
        try await SmallWorld.with(providers: 2, Self.days) { world in
            let (environment, database) = (world.environment, world.database)
            try await database.free()
            let all = SmallWorld.flow(["busy", "idle"], world)
            try await environment.apply(all)
            try await database.wait(until: "(\(SmallWorld.succeeding)) >= 30")
            #expect(try await environment.tell(["replace", "busy", "--wait"]).status == 0)
            #expect(try await environment.tell(["suspend", "idle"]).status == 0)
            try await database.wait(
                until: "NOT EXISTS (SELECT FROM oms.job WHERE tenant = 'idle' AND finished_at IS NULL)")
            let done = try await database.number(SmallWorld.succeeding)
            try await database.wait(until: "(\(SmallWorld.succeeding)) >= \(done + 20)")

            // Ten days pass for what has ended a while ago: the rows grow old, and so does the limit by which a gateway's
            // list, whose deadlines stay what they were, is judged.
            let kept = try await database.number("SELECT count(DISTINCT (tenant, service)) FROM oms.run")
            let aged = try await database.age()
            #expect(aged > 20)
            try await database.wait(
                until: "(SELECT count(*) FROM oms.run WHERE started_at < now() - interval '9 days') <= \(kept)")
            let old = try await database.number(
                "SELECT count(*) FROM oms.run WHERE started_at < now() - interval '9 days' AND tenant = 'idle'")
            #expect(old >= 4, "the newest of each service of a tenant that rests stay")

            // Reports are whole.
            for (what, sql) in Self.torn { #expect(try await database.number(sql) == 0, "\(what)") }
            for kind in ["jobs", "runs", "ticks", "results", "epochs", "receipts", "operations", "history", "why"] {
                let answer = try await environment.tell(["get", kind])
                #expect(answer.status == 0, "\(kind): \(answer.errors)")
            }
            let reporter = try await Database.open(environment.reporterConfiguration())
            #expect(try await reporter.number("SELECT count(*) FROM report.retention") == 1)
            #expect(try await reporter.number("SELECT count(*) FROM report.job_daily") > 0)
            await reporter.close()

            // What the gateway remembers of the jobs that went is not found again.
            #expect(try await environment.tell(["replace", "busy", "--wait"]).status == 0)
            // A registry that has just begun asks for lists from the first epoch on.
            #expect(await environment.kill("oms-registry", SIGKILL))
            #expect(await environment.kill("sp-gateway", SIGKILL))
            #expect(await environment.kill("wm-fleet", SIGKILL))
            try await environment.insist(["resume", "idle"])
            let later = try await database.number(SmallWorld.succeeding)
            try await database.wait(until: "(\(SmallWorld.succeeding)) >= \(later + 20)")
            try await database.wait(
                until:
                    "EXISTS (\(SmallWorld.succeeding) AND tenant = 'idle' AND finished_at > now() - interval '5 s' HAVING count(*) > 2)"
            )
            #expect(
                try await database.number(
                    "SELECT count(*) FROM report.job_event WHERE message LIKE 'found at gateway%'") == 0)
            let log = DataFolder.read(environment.folder.log("oms-registry")) ?? ""
            #expect(!log.contains("job.found") && log.contains("history.pruned"))
            for provider in world.providers { #expect(provider.log.doubled == []) }
            for (what, sql) in Self.torn { #expect(try await database.number(sql) == 0, "\(what)") }
            print("retention: \(aged) runs aged, \(kept) services kept their newest")
        }
    }

    private static let torn = [
        (
            "jobs without their run",
            "SELECT count(*) FROM oms.job j WHERE NOT EXISTS (SELECT FROM oms.run r WHERE r.id = j.run_id)"
        ),
        (
            "runs without jobs",
            "SELECT count(*) FROM oms.run r WHERE NOT EXISTS (SELECT FROM oms.job j WHERE j.run_id = r.id)"
        ),
        (
            "steps without their job",
            "SELECT count(*) FROM oms.job_event e WHERE NOT EXISTS (SELECT FROM oms.job j WHERE j.id = e.job_id)"
        ),
        (
            "contributions without their job",
            "SELECT count(*) FROM report.contribution c WHERE c.job IS NOT NULL AND NOT EXISTS (SELECT FROM report.job j WHERE j.job = c.job)"
        ),
    ]
}

extension Database {
    /// Lets the history be changed: here it is meant to.
    fileprivate func free() async throws {
        try await connection.execute(
            script: """
                DROP TRIGGER soak ON oms.job; DROP TRIGGER soak_gone ON oms.job; DROP TRIGGER soak ON oms.run;
                DROP TRIGGER soak ON oms.epoch; DROP TRIGGER soak ON oms.tick; DROP TRIGGER soak ON oms.drain_receipt;
                """)
    }

    /// - Returns: how many runs.
    fileprivate func age() async throws -> Int {
        let runs = try await connection.query(
            """
            WITH old AS (
              UPDATE oms.run r SET started_at = started_at - interval '10 days', finished_at = finished_at - interval '10 days',
                deadline = deadline - interval '10 days'
              WHERE finished_at < now() - interval '2 s'
                AND NOT EXISTS (SELECT FROM oms.job j WHERE j.run_id = r.id AND j.finished_at IS NULL)
              RETURNING id),
            job AS (
              UPDATE oms.job SET created_at = created_at - interval '10 days', started_at = started_at - interval '10 days',
                finished_at = finished_at - interval '10 days', deadline = deadline - interval '10 days'
              WHERE run_id IN (SELECT id FROM old)),
            tick AS (
              UPDATE oms.tick SET recorded_at = recorded_at - interval '10 days' WHERE run_id IN (SELECT id FROM old)),
            epoch AS (UPDATE oms.epoch SET ended_at = ended_at - interval '10 days' WHERE ended_at IS NOT NULL)
            UPDATE oms.retention SET before = now() + interval '1 hour'
            RETURNING (SELECT count(*) FROM old) AS runs
            """)
        return Int(runs.rows.first?.int("runs") ?? 0)
    }
}
