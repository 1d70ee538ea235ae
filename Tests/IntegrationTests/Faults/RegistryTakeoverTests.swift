import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// Two registries, one active.
@Suite("Registry takeover", .serialized, .timeLimit(.minutes(4)))
struct RegistryTakeoverTests {
    private let tenants = ["tenant-1", "tenant-2", "tenant-3"]

    @Test("a second registry that cannot reach its database does not answer in the active one's place")
    func withoutDatabase() async throws {
        let proxy = FaultProxy()
        try await SmallWorld.with(
            registries: 2,
            beforeServices: { environment in
                let link = try proxy.link("database", to: environment.postgresPort)
                proxy.set("database", .stall(toServer: true, toClient: true))
                environment.lead("oms-registry-2", over: DevEnvironment.Detour(postgres: link))
            }
        ) { world in
            let environment = world.environment
            let began = MonotonicClock.milliseconds
            for _ in 0..<10 {
                let finished = try await environment.tell(["status"])
                #expect(finished.status == 0, "\(finished.errors)")
            }
            print("ten answers beside a registry without a database: \(MonotonicClock.milliseconds - began) ms")
            // Alone it is the one to say what is wrong, and soon.
            await environment.supervisor.stop("oms-registry")
            let alone = try await environment.tell(["status"])
            #expect(alone.status != 0 && alone.errors.contains("database"), "\(alone.errors)")
        }
    }

    @Test("kill -9 of the active one, then a stale one that wakes up: one answers, epochs only rise")
    func takeover() async throws {
        try await SmallWorld.with(fleets: 2, registries: 2, providers: 2) { world in
            let environment = world.environment
            let recorder = await BusRecorder.start(environment.bus(.monitor))
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 6")
            #expect(try await answers(environment) == ["registry-1"])

            // 1. kill -9 of the active one, which does not come back.
            let killed = WallClock.milliseconds
            await environment.supervisor.setRestart(.never, of: "oms-registry")
            #expect(await environment.kill("oms-registry", SIGKILL))
            let byDeath = try await online("registry-2", since: killed, environment)
            #expect(byDeath < 10_000, "the standby took over after \(byDeath) ms")
            #expect(try await answers(environment) == ["registry-2"])
            let done = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(done + 6)")
            try await environment.startAndWait(environment.registry(), kind: .registryPresence, [.standby])
            // It has tried for the lock in vain, so that its next try is a matter of its own time.
            let words = "registry registry-1 stands by"
            let first = environment.folder.log("oms-registry")
            let standsBy = try await Attempts.until(deadline: .seconds(20)) {
                (DataFolder.read(first) ?? "").contains(words) ? true : nil
            }
            #expect(standsBy == true)

            // 2. The active one is paused, and PostgreSQL loses its session.
            #expect(await environment.kill("oms-registry-2", SIGSTOP))
            let paused = WallClock.milliseconds
            let terminated = try await world.database.number(
                """
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'oms-registry registry-2'
                """)
            #expect(terminated == 1)
            let byLoss = try await online("registry-1", since: paused, environment)
            #expect(byLoss < 10_000, "the standby took over after \(byLoss) ms")
            for tenant in tenants {
                let replaced = try await environment.tell(["replace", tenant, "--wait"])
                #expect(replaced.status == 0, "\(replaced.errors)")
            }
            let epochs = try await world.database.number("SELECT sum(epoch) FROM report.tenant_status")

            // 3. The stale one wakes up: whatever it believed, it says and writes nothing.
            #expect(await environment.kill("oms-registry-2", SIGCONT))
            let log = environment.folder.log("oms-registry-2")
            let steppedDown = try await Attempts.until(deadline: .seconds(20)) {
                (DataFolder.read(log) ?? "").contains("is not the active one any more") ? true : nil
            }
            #expect(steppedDown == true, "the stale registry did not step down")
            #expect(try await answers(environment) == ["registry-1"])
            let later = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(later + 10)")
            #expect(try await world.database.number("SELECT sum(epoch) FROM report.tenant_status") == epochs)
            #expect(recorder.found.violations == [])
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print("registry takeover: \(byDeath) ms after kill -9, \(byLoss) ms after a lost session; \(counts)")
            await recorder.stop()
        }
    }

    /// Who answers a question within two seconds.
    private func answers(_ environment: DevEnvironment) async throws -> [String] {
        let bus = try await BusConnection.open(environment.bus(.admin), kinds: [], responses: true)
        let id = BusConnection.uniqueID("q").text
        try await bus.send(
            Message(.query, .request(ClientRequest(id: id, client: bus.clientID, method: "status", params: [:]))),
            id: id)
        let found = await withTaskGroup(of: [String].self) { group in
            group.addTask {
                var sources: [String] = []
                for await case .message(let message, let header) in bus.events {
                    guard case .response(let response) = message.payload, response.id == id else { continue }
                    sources.append((header?.source ?? "").replacing("oms/", with: ""))
                }
                return sources
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(2))  // nobody says when there is nothing more to come
                await bus.close()
                return []
            }
            var all: [String] = []
            for await part in group {
                all += part
                group.cancelAll()
            }
            return all
        }
        return found
    }

    /// Waits for the word of that registry, said after `since` (wall clock), that it is the active one.
    /// - Returns: how long after `since` it was said.
    private func online(_ id: String, since: Int64, _ environment: DevEnvironment) async throws -> Int64 {
        let watch = try await BusConnection.open(environment.bus(.monitor), kinds: [.registryPresence])
        let said = await withTaskGroup(of: Int64?.self) { group in
            group.addTask {
                for await case .message(let message, let header) in watch.events {
                    if message.topic.name == "oms/\(id)/presence", case .presence(let presence) = message.payload,
                        presence.state == .online, let time = header?.time.milliseconds, time >= since
                    {
                        return time
                    }
                }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(20))
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        await watch.close()
        guard let said else { throw DevError("\(id) did not become the active registry within 20 s") }
        return said - since
    }
}
