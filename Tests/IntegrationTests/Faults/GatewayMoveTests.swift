import Foundation
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// A gateway that goes for good: its providers move to the other one.
@Suite("Gateway move", .serialized, .timeLimit(.minutes(5)))
struct GatewayMoveTests {
    private let tenants = ["tenant-1", "tenant-2", "tenant-3"]

    /// `OMS_GATEWAY_KILL=1` also waits out the hold time of a gateway that said no goodbye (45 s).
    static let signals: [Int32] =
        ProcessInfo.processInfo.environment["OMS_GATEWAY_KILL"] == nil ? [SIGTERM] : [SIGTERM, SIGKILL]

    @Test("providers of a gateway that is gone move, and their jobs finish there", arguments: signals)
    func move(signal: Int32) async throws {
        try await SmallWorld.with(gateways: 2, providers: 2) { world in
            let environment = world.environment
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            let there = "SELECT count(*) FROM report.provider_status WHERE gateway = 'gateway-1'"
            try #require(try await world.database.number(there) == 1, "each gateway should have one provider")

            // In the middle of work at both providers.
            try await world.database.wait(until: "SELECT count(DISTINCT provider) = 2 FROM report.backlog")
            await environment.supervisor.setRestart(.never, of: "sp-gateway")
            #expect(await environment.kill("sp-gateway", signal))
            let gone = MonotonicClock.milliseconds
            try await world.database.wait(until: "(\(there)) = 0", seconds: 90)
            let took = MonotonicClock.milliseconds - gone
            try await world.database.wait(
                until: """
                    SELECT count(*) = 2 FROM (SELECT provider FROM report.job
                      WHERE state = 'succeeded' AND created_at > now() - interval '5 s' GROUP BY provider) p
                    """, seconds: 60)
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print("gateway move after signal \(signal): \(took) ms; \(counts)")
        }
    }
}
