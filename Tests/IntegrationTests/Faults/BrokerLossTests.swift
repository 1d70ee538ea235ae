import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// The broker keeps nothing: after its death everybody says everything again.
@Suite("Broker loss", .serialized, .timeLimit(.minutes(3)))
struct BrokerLossTests {
    @Test("kill -9 of the broker: the full retained state is on MQTT again")
    func comesBackEmpty() async throws {
        try await SmallWorld.with(fleets: 2, gateways: 2, registries: 2, providers: 2) { world in
            let recorder = await BusRecorder.start(world.environment.bus(.monitor))
            let tenants = (1...20).map { "tenant-\($0)" }
            try await world.environment.apply(SmallWorld.flow(tenants, world))
            // Every tenant's every service has a result.
            try await world.database.wait(until: "SELECT count(*) = 80 FROM report.result", seconds: 90)
            let expected = Set(recorder.found.retained.keys)
            let kinds = expected.compactMap { Topic($0)?.kind }.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            for kind in TopicKind.allCases where kind.row.retain { #expect(kinds[kind] ?? 0 > 0, "no \(kind) at all") }
            #expect(kinds[.wmEpoch] == 20 && kinds[.serviceResult] == 80)

            let connections = recorder.found.connections
            #expect(await world.environment.kill("mosquitto", SIGKILL))
            let killed = MonotonicClock.milliseconds
            let isBack = try await Attempts.until(deadline: .seconds(60)) {
                let found = recorder.found
                return found.connections > connections && expected.isSubset(of: found.retained.keys) ? true : nil
            }
            let missing = expected.subtracting(recorder.found.retained.keys)
            #expect(isBack == true, "still missing after 60 s: \(missing.sorted().prefix(5))")
            // By the arrival of the last one, not by when this test looked.
            let last = expected.compactMap { recorder.found.retained[$0] }.max() ?? 0
            let first = expected.compactMap { recorder.found.retained[$0] }.min() ?? 0
            print(
                "broker loss: \(expected.count) retained topics back within \(last - killed) ms of kill -9, "
                    + "the first after \(first - killed) ms")
            #expect(recorder.found.violations == [])
            _ = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            await recorder.stop()
        }
    }
}
