import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// The database is put back to what it was some time ago, while fleets and gateways run on.
@Suite("Restored backup", .serialized, .timeLimit(.minutes(4)))
struct RestoredBackupTests {
    private let tenants = (1...3).map { "tenant-\($0)" }

    /// `pg_dump` and `pg_restore` as in docs/operate/compose.md.
    private func postgres(_ environment: DevEnvironment, _ program: String, _ arguments: [String]) async throws {
        let words = environment.postgresConfiguration().parameters
        let variables = [
            "PGHOST": words["host"] ?? "", "PGPORT": words["port"] ?? "", "PGUSER": words["user"] ?? "",
            "PGDATABASE": words["dbname"] ?? "", "PGPASSWORD": words["password"] ?? "",
        ]
        let finished = try await run(environment.postgresProgram(program), arguments, environment: variables)
        #expect(finished.status == 0, "\(finished.errors)")
    }

    @Test(
        "epochs go on above the highest that ever began, every job gets its row back, a tenant younger than the backup too"
    )
    func restored() async throws {
        try await SmallWorld.with(providers: 2) { world in
            let environment = world.environment
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            let dump = environment.folder.file("backup.dump")
            try await postgres(environment, "pg_dump", ["-Fc", "-f", dump])

            // 1. What the backup does not know: a later epoch, a tenant, and jobs of all.
            try await environment.insist(["replace", "tenant-1", "--wait"])
            try await environment.apply(SmallWorld.flow(tenants + ["young"], world))
            let before = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(before + 20)")

            // 2. The documented steps; fleet and gateway stay.
            await environment.supervisor.stop("oms-registry")
            try await postgres(environment, "pg_restore", ["-d", "oms", "--clean", "--if-exists", dump])
            let executed = Set(world.providers.flatMap { $0.log.executions.keys })
            let rows = try await world.database.number(
                "SELECT count(*) FROM report.job WHERE job::text = ANY('{\(executed.joined(separator: ","))}')")
            #expect(executed.count - rows >= 20, "\(rows) of \(executed.count) jobs are in the backup")
            let back = MonotonicClock.milliseconds
            try await environment.startAndWait(environment.registry(), kind: .registryPresence)
            try await world.database.wait(
                until: """
                    SELECT count(*) FILTER (WHERE tenant = 'tenant-1' AND epoch > 2 OR tenant <> 'tenant-1' AND epoch > 1) = 3
                    FROM report.tenant_status WHERE manager_state = 'active' AND last_answer > now() - interval '5 s'
                    """, seconds: 60, showing: "SELECT tenant, epoch, manager_state, reason FROM report.tenant_status")
            let took = MonotonicClock.milliseconds - back
            let log = DataFolder.read(environment.folder.log("oms-registry")) ?? ""
            #expect(log.contains("restored from a backup"), "an operator reads of it")
            #expect(log.contains("no tenant 'young' is registered"), "and of the one that is missing")

            // 3. Everything is as if nothing had happened; the forgotten tenant is declared again and goes on counting.
            let counts = try await world.checkStory(
                after: SmallWorld.flow(tenants + ["young"], world, isOver: true), forgotten: ["young"])
            #expect(
                try await world.database.number("SELECT epoch FROM report.tenant_status WHERE tenant = 'young'") > 1)
            print(
                "restored backup: \(executed.count - rows) executed jobs were in no row, all Work Managers active \(took) ms "
                    + "after the registry's start; \(counts)")
        }
    }
}
