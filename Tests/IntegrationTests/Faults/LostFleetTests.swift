import Foundation
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// A fleet that is neither dead nor alive.
@Suite("Lost fleet", .serialized, .timeLimit(.minutes(4)))
struct LostFleetTests {
    private let tenants = (1...6).map { "tenant-\($0)" }

    @Test("a paused fleet's tenants move by force, and after the pause its Work Managers end without having acted")
    func pausedPastPatience() async throws {
        try await SmallWorld.with(fleets: 2, providers: 2) { world in
            let environment = world.environment
            try await environment.apply(SmallWorld.flow(tenants, world, replaceAfter: 3))
            try await world.database.wait(
                until: "SELECT count(DISTINCT tenant) = 6 FROM report.job WHERE state = 'succeeded'")
            let moved = try await world.database.number(
                "SELECT count(*) FROM report.tenant_status WHERE fleet = 'fleet-1'")
            #expect(moved > 0, "no tenant was placed on the first fleet")

            let paused = MonotonicClock.milliseconds
            #expect(await environment.kill("wm-fleet", SIGSTOP))
            try await world.database.wait(
                until: """
                    SELECT count(*) = 6 FROM report.tenant_status
                    WHERE fleet = 'fleet-2' AND manager_state = 'active' AND last_answer > now() - interval '3 s'
                    """, seconds: 90)
            let took = MonotonicClock.milliseconds - paused
            let done = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(done + 20)")

            // The receipts do not claim what nobody saw.
            let forced = try await world.database.number(
                "SELECT count(DISTINCT tenant) FROM report.drain_receipt WHERE NOT graceful")
            #expect(forced == moved, "\(forced) receipts by force for \(moved) tenants")

            #expect(await environment.kill("wm-fleet", SIGCONT))
            let log = environment.folder.log("wm-fleet")
            let ended = try await Attempts.until(deadline: .seconds(30)) {
                (DataFolder.read(log) ?? "").matches(of: /msg="work manager ended"/).count >= moved ? true : nil
            }
            #expect(ended == true, "old Work Managers still run on the paused fleet")
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(done + 40)")
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print("lost fleet: \(moved) tenants moved by force within \(took) ms of the pause; \(counts)")
        }
    }
}
