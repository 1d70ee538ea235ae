import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// The control plane is away; schedules and jobs go on, and the history is whole afterwards.
@Suite("Static stability", .serialized, .timeLimit(.minutes(30)))
struct StaticStabilityTests {
    /// `OMS_TESTS=all OMS_STATIC_SECONDS=600 swift test --filter StaticStability` for the long one.
    static let seconds = ProcessInfo.processInfo.environment["OMS_STATIC_SECONDS"].flatMap { Int($0) } ?? 20
    private let tenants = (1...4).map { "tenant-\($0)" }

    @Test("PostgreSQL away, alone and together with the registry", arguments: [[], ["oms-registry"]])
    func controlPlaneAway(also services: [String]) async throws {
        try await SmallWorld.with(providers: 2) { world in
            let environment = world.environment
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            await world.database.connection.close()

            let before = world.providers.reduce(0) { $0 + $1.log.executions.count }
            for name in services + ["postgres"] { await environment.supervisor.stop(name) }
            // The length of the outage is what is tested.
            try await Task.sleep(for: .seconds(Self.seconds))
            let after = world.providers.reduce(0) { $0 + $1.log.executions.count }
            // By the schedules 1 + 1/2 + 1/3 + 1/3 jobs a second and tenant; a slow machine may skip some.
            let due = Double(tenants.count * Self.seconds) * (1.0 + 0.5 + 0.33 + 0.33)
            #expect(
                Double(after - before) > 0.6 * due, "\(after - before) jobs in \(Self.seconds) s, \(Int(due)) were due")

            try await environment.supervisor.start(environment.postgresSpec())
            let database = try await Database.openPatiently(environment.postgresConfiguration())
            if services.contains("oms-registry") {
                try await environment.startAndWait(environment.registry(), kind: .registryPresence)
            }
            let back = MonotonicClock.milliseconds
            try await database.wait(until: "(\(SmallWorld.succeeding)) >= \(after)", seconds: 60)
            let caughtUp = MonotonicClock.milliseconds - back
            // Nothing was replaced, and no tick was missed.
            #expect(try await database.number("SELECT max(epoch) FROM report.tenant_status") == 1)
            #expect(try await database.number("SELECT count(*) FROM report.tick WHERE outcome = 'superseded'") == 0)
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true), database)
            print(
                "static stability (\((services + ["postgres"]).joined(separator: ", ")) away for \(Self.seconds) s): "
                    + "\(after - before) jobs meanwhile, in the database \(caughtUp) ms after its return; \(counts)")
            await database.close()
        }
    }
}
