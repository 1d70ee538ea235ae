import Foundation
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// `oms replace` and `oms offboard` wait as long as they are told to, and say which of the two it was.
@Suite("oms replace --wait --timeout", .serialized, .timeLimit(.minutes(3)))
struct ReplaceWaitTests {
    @Test("exit code 3 and a sentence after the time-out, 0 at the end; the operation goes on either way")
    func timeouts() async throws {
        try await SmallWorld.with(providers: 1) { world in
            let environment = world.environment
            let tenants = ["tenant-1", "tenant-2", "tenant-3"]
            try await environment.apply(documents(world, tenants))
            try await world.database.wait(
                until: "SELECT count(DISTINCT tenant) = 3 FROM report.job WHERE state = 'running'")

            // Its job runs for eight seconds and is waited for.
            let (late, lateTook) = try await timed(
                environment, ["replace", "tenant-1", "--wait", "--timeout", "1500ms"])
            #expect(late.status == 3, "\(late.errors)")
            #expect(late.errors.contains("oms replace: not ended within 1500ms; it goes on"), "\(late.errors)")
            #expect(late.output.contains("replace, draining"), "\(late.output)")
            #expect((1_500...4_500).contains(lateTook), "took \(lateTook) ms")
            #expect(try await world.database.number(Self.open("tenant-1")) == 1)
            let (removal, removalTook) = try await timed(
                environment, ["offboard", "tenant-2", "--yes", "--wait", "--timeout", "2s"])
            #expect(removal.status == 3, "\(removal.errors)")
            #expect(removal.errors.contains("oms offboard: not ended within 2s; it goes on"), "\(removal.errors)")
            #expect((2_000...5_000).contains(removalTook), "took \(removalTook) ms")

            // Both come to their end all the same.
            try await world.database.wait(until: "(\(Self.open("tenant-1"))) = 0 AND (\(Self.open("tenant-2"))) = 0")
            #expect(try await world.database.number(Self.epoch("tenant-1")) == 2)
            try await world.database.wait(until: "NOT EXISTS (SELECT FROM oms.document WHERE name = 'tenant-2')")

            // Time enough.
            let (inTime, inTimeTook) = try await timed(
                environment, ["replace", "tenant-1", "--wait", "--timeout", "25s"])
            #expect(inTime.status == 0, "\(inTime.errors)")
            #expect(try await world.database.number(Self.epoch("tenant-1")) == 3)
            let (removed, _) = try await timed(
                environment, ["offboard", "tenant-3", "--yes", "--wait", "--timeout", "25s"])
            #expect(removed.status == 0, "\(removed.errors)")

            // Declared again: it goes on where it was, with a new epoch.
            try await environment.apply(documents(world, ["tenant-3"]))
            try await world.database.wait(
                until: """
                    SELECT epoch = 2 AND manager_state = 'active' AND last_answer > now() - interval '5 s'
                    FROM report.tenant_status WHERE tenant = 'tenant-3'
                    """, seconds: 30)

            for wrong in [["--wait", "--timeout", "5"], ["--wait", "--timeout", "0s"], ["--timeout", "5s"]] {
                let refused = try await environment.tell(["replace", "tenant-1"] + wrong)
                #expect(refused.status == 64 && refused.errors.contains("timeout"), "\(wrong): \(refused.errors)")
            }
            #expect(try await world.database.number(Self.epoch("tenant-1")) == 3, "nothing was begun by those")
            print("replace --wait: gave up after \(lateTook) ms of 1500, ended after \(inTimeTook) ms")
            _ = try await world.checkStory(after: documents(world, ["tenant-1", "tenant-3"], isOver: true))
        }
    }

    private static func open(_ tenant: String) -> String {
        "SELECT count(*) FROM report.operation WHERE tenant = '\(tenant)' AND ended_at IS NULL"
    }

    private static func epoch(_ tenant: String) -> String {
        "SELECT epoch FROM report.tenant_status WHERE tenant = '\(tenant)'"
    }

    private func timed(_ environment: DevEnvironment, _ arguments: [String]) async throws -> (Finished, Int64) {
        let began = MonotonicClock.milliseconds
        let finished = try await environment.tell(arguments)
        return (finished, MonotonicClock.milliseconds - began)
    }

    private func documents(_ world: SmallWorld, _ tenants: [String], isOver: Bool = false) -> String {
        Documents.providers(world.providers)
            + Documents.scenario(
                "slow",
                [
                    Documents.service(
                        "slow", "frequency: {\(isOver ? "on_demand: true" : "every_s: 1")}", 8_000, "wait", "sp-1")
                ])
            + tenants.map { Documents.tenant($0, "slow") }.joined()
    }
}
