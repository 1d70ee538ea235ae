import Foundation
import Glibc
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Postgres
import Testing

/// PostgreSQL's disk is full: it refuses what needs space, or ends. Nothing that it refused may be lost or set aside.
@Suite("Full disk of PostgreSQL", .serialized, .timeLimit(.minutes(4)))
struct FullDatabaseTests {
    private let tenants = ["tenant-1", "tenant-2", "tenant-3"]

    @Test(
        "schedules and jobs go on, and their history is whole when there is space again",
        .enabled(if: FullDisk.possible.contains(.tmpfs), "no tmpfs may be mounted here"))
    func full() async throws {
        try await SmallWorld.with(providers: 2) { world in
            let environment = world.environment
            let folder = environment.folder.file("postgres/data")
            await world.database.connection.close()
            try await move(folder, environment)
            defer { FullDisk.unmount(folder) }
            var database = try await Database.openPatiently(environment.postgresConfiguration())
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            await database.close()

            try FullDisk.fill(folder)
            let log = environment.folder.log("oms-registry")
            let server = environment.folder.log("postgres")
            let refused = try await Attempts.until(deadline: .seconds(40)) {
                (DataFolder.read(server) ?? "").contains("No space left on device") ? true : nil
            }
            #expect(refused == true, "PostgreSQL had space enough")
            let before = executed(world)
            // The length of it is what is tested.
            try await Task.sleep(for: .seconds(12))
            let after = executed(world)
            #expect(after - before > 10, "\(after - before) jobs in 12 s without a database")
            let pid = await environment.pid(of: "oms-registry")
            #expect(await environment.supervisor.restarts(of: "oms-registry") == 0 && pid != nil)

            unlink("\(folder)/filler")
            let freed = MonotonicClock.milliseconds
            database = try await Database.openPatiently(environment.postgresConfiguration())
            try await database.wait(until: "(\(SmallWorld.succeeding)) >= \(after)", seconds: 60)
            let took = MonotonicClock.milliseconds - freed
            #expect(try await database.number("SELECT count(*) FROM report.quarantine") == 0)
            #expect(!(DataFolder.read(log) ?? "").contains("journal entry quarantined"))
            #expect(try await database.number("SELECT max(epoch) FROM report.tenant_status") == 1)
            func lines(_ file: String, _ words: String) -> Int {
                (DataFolder.read(file) ?? "").components(separatedBy: words).count - 1
            }
            // The one about the full disk, and one more if it was away altogether.
            #expect(lines(log, "database refused") <= 2, "told for each attempt")
            print(
                "full disk of PostgreSQL: \(lines(server, "PANIC")) times PANIC, \(lines(server, "ERROR")) errors; the "
                    + "registry's log has \(lines(log, "database refused")) refusals, "
                    + "\(lines(log, "database not usable")) losses")
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true), database)
            print(
                "full disk of PostgreSQL: \(after - before) jobs in 12 s meanwhile, all in the database \(took) ms after "
                    + "there was space again; \(counts)")
            await database.close()
        }
    }

    private func executed(_ world: SmallWorld) -> Int { world.providers.reduce(0) { $0 + $1.log.executions.count } }

    /// Puts the database on a small disk of its own.
    private func move(_ folder: String, _ environment: DevEnvironment) async throws {
        await environment.supervisor.stop("postgres")
        let old = folder + ".old"
        guard rename(folder, old) == 0, mkdir(folder, 0o700) == 0, FullDisk.mount(folder, kilobytes: 98_304) else {
            throw DevError("cannot move \(folder): errno \(errno)")
        }
        let copied = try await run("/bin/cp", ["-a", old + "/.", folder])
        guard copied.status == 0 else { throw DevError("cannot copy \(old): \(copied.errors)") }
        try await environment.supervisor.start(environment.postgresSpec())
    }
}
