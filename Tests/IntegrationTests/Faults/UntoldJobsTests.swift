import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// Work that was done and of which nobody who still lives has told the registry.
@Suite("Untold jobs", .serialized, .timeLimit(.minutes(4)))
struct UntoldJobsTests {
    private let tenants = (1...4).map { "tenant-\($0)" }

    @Test("the registry is away, then fleet and gateway are killed: every job that ran gets its row and its end")
    func allDie() async throws {
        try await SmallWorld.with(providers: 2) { world in
            let environment = world.environment
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            await environment.supervisor.stop("oms-registry")
            let rows = try await world.database.number("SELECT count(*) FROM report.job")
            // The length of the outage makes the work that is lost from the journals.
            try await Task.sleep(for: .seconds(12))
            for name in ["wm-fleet", "sp-gateway"] { #expect(await environment.kill(name, SIGKILL)) }
            let executed = Set(world.providers.flatMap { $0.log.executions.keys })
            try await Task.sleep(for: .seconds(1))
            let untold =
                executed.count
                - Int(
                    try await world.database.number(
                        "SELECT count(*) FROM report.job WHERE job::text = ANY('{\(executed.joined(separator: ","))}')")
                )
            #expect(untold > 20, "only \(untold) jobs of \(executed.count) were in no row")

            let back = MonotonicClock.milliseconds
            try await environment.startAndWait(environment.registry(), kind: .registryPresence)
            try await world.database.wait(
                until: """
                    SELECT count(*) = \(tenants.count) FROM report.tenant_status
                    WHERE manager_state = 'active' AND epoch = 2 AND last_answer > now() - interval '5 s'
                    """, seconds: 60)
            let took = MonotonicClock.milliseconds - back
            let found = try await world.database.number(
                "SELECT count(*) FROM report.job_event WHERE message LIKE 'found at gateway%'")
            #expect(found >= untold, "\(found) rows for \(untold) jobs")
            let log = DataFolder.read(environment.folder.log("oms-registry")) ?? ""
            #expect(log.contains("job.found") || log.contains("were in no journal"), "an operator reads of it")

            // They ended as their providers say, their runs have results, and their ticks are accounted for.
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print(
                "untold jobs: \(rows) rows before, \(untold) executed without a row, \(found) told by the gateway; all "
                    + "Work Managers active \(took) ms after the registry's return; \(counts)")
        }
    }
}
