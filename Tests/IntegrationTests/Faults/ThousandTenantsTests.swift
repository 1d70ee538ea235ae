import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// One fleet process with a thousand Work Managers dies.
@Suite("Thousand tenants", .serialized, .timeLimit(.minutes(5)))
struct ThousandTenantsTests {
    @Test("kill -9 of a fleet with 1,000 tenants: all Work Managers are active again within 30 s")
    func fleetDies() async throws {
        try await SmallWorld.with { world in
            let frequency = "frequency: {every_s: 86400, jitter_s: 80000}"
            try await world.environment.apply(
                Documents.providers(world.providers)
                    + Documents.scenario("rare", [Documents.service("rare", frequency, 20, "stop", "sp-1")]))
            for first in stride(from: 1, through: 1_000, by: 250) {
                try await world.environment.apply(
                    (first..<(first + 250)).map { Documents.tenant("tenant-\($0)", "rare") }.joined())
            }
            let active = "SELECT count(*) = 1000 FROM report.tenant_status WHERE manager_state = 'active'"
            try await world.database.wait(until: active, seconds: 90)
            let epochs = try await world.database.number("SELECT sum(epoch) FROM report.tenant_status")

            #expect(await world.environment.kill("wm-fleet", SIGKILL))
            let killed = MonotonicClock.milliseconds
            try await world.database.wait(
                until: "(\(active)) AND (SELECT sum(epoch) FROM report.tenant_status) = \(epochs + 1_000)", seconds: 90)
            let took = MonotonicClock.milliseconds - killed
            print("thousand tenants: all active again \(took) ms after kill -9 of the fleet")
            #expect(took < 30_000)
            #expect(
                try await world.database.number("SELECT count(*) FROM oms.epoch WHERE ended_at IS NULL") == 1_000)
        }
    }
}
