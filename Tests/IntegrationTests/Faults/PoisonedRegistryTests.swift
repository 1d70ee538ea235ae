import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import Testing

/// A message whose handling ends the registry.
@Suite("A message that ends the registry", .serialized, .timeLimit(.minutes(2)))
struct PoisonedRegistryTests {
    @Test("it dies twice, sets the message aside, says so, and goes on with everything else")
    func poisoned() async throws {
        try await SmallWorld.with({ $0.extraArguments["oms-registry"] = ["--crash-on", "oms/query"] }) { world in
            let environment = world.environment
            let reader = try await BusConnection.open(environment.bus(.monitor), kinds: [])
            let log = environment.folder.log("oms-registry")
            for death in 1...2 {
                let request = ClientRequest(id: "q\(death)", client: reader.clientID, method: "why", params: [:])
                try await reader.send(Message(.query, .request(request)), id: request.id)
                let died = try await Attempts.until(deadline: .seconds(20)) {
                    await environment.supervisor.restarts(of: "oms-registry") >= death ? true : nil
                }
                #expect(died == true, "death \(death)")
                // The active one again.
                try await environment.insist(["get", "nodes"])
            }
            let request = ClientRequest(id: "q3", client: reader.clientID, method: "why", params: [:])
            try await reader.send(Message(.query, .request(request)), id: request.id)
            let told = try await Attempts.until(deadline: .seconds(10)) {
                let text = DataFolder.read(log) ?? ""
                return text.contains("is not handled") && text.contains("registry.set-aside") ? true : nil
            }
            #expect(told == true)
            try await environment.apply(SmallWorld.flow(["tenant-1"], world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 3")
            #expect(await environment.supervisor.restarts(of: "oms-registry") == 2)
            await reader.close()
        }
    }
}
