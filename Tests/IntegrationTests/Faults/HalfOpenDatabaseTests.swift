import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// Two registries; the active one's link to PostgreSQL, or the process itself, stands still, and nobody closes anything.
@Suite("Half-open link to PostgreSQL", .serialized, .timeLimit(.minutes(4)))
struct HalfOpenDatabaseTests {
    private static let session = 6
    private let tenants = ["tenant-1", "tenant-2", "tenant-3"]

    @Test("the standby takes over when PostgreSQL has ended the silent session; the stale one gives no orders")
    func frozen() async throws {
        try await withTwoRegistries { world, proxy, recorder in
            let environment = world.environment
            #expect(try await holder(world) == "oms-registry registry-1")

            // 1. The active one's link freezes, both ways and without a word to either side.
            proxy.set("database", .stall(toServer: true, toClient: true))
            let byLink = try await takeover(by: "registry-2", world)
            let log = environment.folder.log("oms-registry")
            let doubts = try await Attempts.until(deadline: .seconds(20)) {
                (DataFolder.read(log) ?? "").contains("registry.in-doubt") ? true : nil
            }
            #expect(doubts == true, "the stale registry went on giving orders")
            for tenant in tenants { try await environment.insist(["replace", tenant, "--wait"]) }
            proxy.set("database", .none)
            try await standsBy(log)

            // 2. The active one itself is stopped; its socket stays as it is.
            let name = "oms-registry-2"
            let pid = try #require(await environment.pid(of: name))
            #expect(await environment.kill(name, SIGSTOP))
            let byStop = try await takeover(by: "registry-1", world)
            for tenant in tenants { try await environment.insist(["replace", tenant, "--wait"]) }
            let epochs = try await world.database.number("SELECT sum(epoch) FROM report.tenant_status")
            #expect(await environment.kill(name, SIGCONT))
            try await standsBy(environment.folder.log(name))
            #expect(await environment.pid(of: name) == pid)

            let done = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(done + 10)")
            #expect(try await world.database.number("SELECT sum(epoch) FROM report.tenant_status") == epochs)
            #expect(recorder.found.violations == [])
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print(
                "half-open database, session of \(Self.session) s: the standby was active \(byLink) ms after the link "
                    + "froze, \(byStop) ms after SIGSTOP; \(counts)")
        }
    }

    @Test("the stale one gets the lock again after another was active and died: it knows what happened meanwhile")
    func activeAgain() async throws {
        try await withTwoRegistries { world, proxy, recorder in
            let environment = world.environment
            proxy.set("database", .stall(toServer: true, toClient: true))
            _ = try await takeover(by: "registry-2", world)
            for tenant in tenants { try await environment.insist(["replace", tenant, "--wait"]) }
            await environment.supervisor.setRestart(.never, of: "oms-registry-2")
            #expect(await environment.kill("oms-registry-2", SIGKILL))
            proxy.set("database", .none)

            let back = try await Attempts.until(deadline: .seconds(30)) {
                try await holder(world) == "oms-registry registry-1" ? true : nil
            }
            #expect(back == true, "nobody is active")
            for tenant in tenants { try await environment.insist(["replace", tenant, "--wait"]) }
            #expect(try await world.database.number("SELECT min(epoch) FROM report.tenant_status") == 3)
            let done = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(done + 10)")
            #expect(recorder.found.violations == [])
            _ = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            #expect(try await world.database.number("SELECT max(epoch) FROM report.tenant_status") == 3)
        }
    }

    /// Work flows; the first registry's link to PostgreSQL leads over the proxy.
    private func withTwoRegistries(
        _ body: (SmallWorld, FaultProxy, BusRecorder) async throws -> Void
    ) async throws {
        let proxy = FaultProxy()
        let arguments = ["--pg-session-seconds", "\(Self.session)"]
        try await SmallWorld.with(
            registries: 2, providers: 2,
            { options in
                for name in ["oms-registry", "oms-registry-2"] { options.extraArguments[name] = arguments }
            },
            beforeServices: { environment in
                let link = try proxy.link("database", to: environment.postgresPort)
                environment.lead("oms-registry", over: DevEnvironment.Detour(postgres: link))
            }
        ) { world in
            let recorder = await BusRecorder.start(world.environment.bus(.monitor))
            try await world.environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 6")
            try await body(world, proxy, recorder)
            await recorder.stop()
        }
    }

    /// Whose session holds the lock of the active registry.
    private func holder(_ world: SmallWorld) async throws -> String? {
        try await world.database.connection.query(
            """
            SELECT a.application_name AS name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE 'oms-registry%'
            """
        ).rows.first?["name"]
    }

    /// - Returns: milliseconds until the other one had the lock.
    private func takeover(by id: String, _ world: SmallWorld) async throws -> Int64 {
        let began = MonotonicClock.milliseconds
        let other = "oms-registry \(id)"
        let isTaken = try await Attempts.until(deadline: .seconds(30)) {
            try await holder(world) == other ? true : nil
        }
        let took = MonotonicClock.milliseconds - began
        #expect(isTaken == true, "\(id) did not take over")
        // Not before the session's end, or the lock would not be worth anything.
        #expect(
            (Int64(Self.session) * 600...Int64(Self.session) * 1000 + 5_000).contains(took),
            "\(id) took over after \(took) ms")
        return took
    }

    private func standsBy(_ log: String) async throws {
        let steppedDown = try await Attempts.until(deadline: .seconds(30)) {
            (DataFolder.read(log) ?? "").contains("is not the active one any more") ? true : nil
        }
        #expect(steppedDown == true, "the stale registry did not step down")
    }
}
