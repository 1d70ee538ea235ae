import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// An upgrade as an operator does it: every service anew, one after the other.
@Suite("Rolling restart", .serialized, .timeLimit(.minutes(4)))
struct RollingRestartTests {
    private let tenants = (1...4).map { "tenant-\($0)" }

    @Test("SIGTERM of every service in turn with jobs flowing: nothing lost, nothing doubled, nothing failed")
    func restartEach() async throws {
        try await SmallWorld.with(fleets: 2, gateways: 2, registries: 2, providers: 2) { world in
            let environment = world.environment
            let recorder = await BusRecorder.start(environment.bus(.monitor))
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            for victim in [
                "oms-registry-2", "oms-registry", "sp-gateway", "sp-gateway-2", "wm-fleet", "wm-fleet-2", "mosquitto",
            ] {
                let before = await environment.pid(of: victim)
                try await world.database.wait(until: "SELECT count(*) > 0 FROM report.backlog")
                let done = try await world.database.number(SmallWorld.succeeding)
                #expect(await environment.kill(victim, SIGTERM))
                // Each tenant has work done again before the next one goes.
                try await world.database.wait(
                    until: """
                        SELECT count(*) >= \(done + 16) AND (SELECT count(DISTINCT tenant) = 4 FROM report.job
                          WHERE state = 'succeeded' AND finished_at > now() - interval '5 s')
                        FROM report.job WHERE state = 'succeeded'
                        """)
                #expect(await environment.pid(of: victim) != before, "\(victim) was not started again")
            }
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            #expect(counts.first { $0.0 == "jobs failed" }?.1 == 0)
            #expect(recorder.found.violations == [])
            print("rolling restart: \(counts)")
            await recorder.stop()
        }
    }
}
