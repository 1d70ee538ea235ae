import Foundation
import Mosquitto
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// Somebody with the broker's administrator's rights deletes retained messages while everybody is connected.
@Suite("Taken state", .serialized, .timeLimit(.minutes(2)))
struct TakenStateTests {
    @Test("its owner says it again within seconds, and no Work Manager ends")
    func saidAgain() async throws {
        try await SmallWorld.with(providers: 1) { world in
            try await world.environment.apply(SmallWorld.flow(["acme"], world))
            try await world.database.wait(until: "SELECT count(*) > 0 FROM report.result", seconds: 60)
            let taken: [(role: Role, topics: [Topic])] = [
                (.registry, [.wmEpoch("acme"), .registryPresence("registry-1")]),
                (.fleet, [.wmState("acme"), .fleetPresence("fleet-1")]),
                (.gateway, [.gatewayPresence("gateway-1"), .providerHealth("sp-1"), .providerCatalog("sp-1")]),
            ]
            for (role, topics) in taken {
                let watcher = try await BusConnection.open(world.environment.bus(.monitor), kinds: [], topics: topics)
                let thief = try await BusConnection.open(world.environment.bus(role), kinds: [])
                // What stood there comes first.
                try await Task.sleep(for: .milliseconds(300))
                for topic in topics {
                    try await thief.send(Message(topic, .removed), id: "x")
                    let isBack = try await Self.isSaidAgain(topic, watcher)
                    #expect(isBack, "\(topic.name)")
                }
                await thief.close()
                await watcher.close()
            }
            #expect(try await world.database.number("SELECT max(epoch) FROM oms.epoch") == 1, "nobody was replaced")
            _ = try await world.checkStory(after: SmallWorld.flow(["acme"], world, isOver: true))
        }
    }

    /// Within two seconds of its removal; what is said now and then comes every ten.
    private static func isSaidAgain(_ topic: Topic, _ watcher: BusConnection) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                var isGone = false
                for await case .message(let message, _) in watcher.events where message.topic == topic {
                    if message.payload == .removed {
                        isGone = true
                    } else if isGone {
                        return true
                    }
                }
                return false
            }
            group.addTask {
                try await Task.sleep(for: .seconds(2))
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }
}
