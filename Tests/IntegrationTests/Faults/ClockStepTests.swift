import Foundation
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// The wall clock of all our processes jumps by an hour, forth and back, as after a wrong NTP answer or a restored
/// machine. The monotonic clock runs on.
@Suite("Clock steps", .serialized, .timeLimit(.minutes(4)))
struct ClockStepTests {
    private let tenants = ["tenant-1", "tenant-2"]

    @Test("an hour forth, back and forth again: no job lost or doubled, nobody is taken for lost")
    func steps() async throws {
        let clock = try SteppedClock()
        defer { clock.remove() }
        try await SmallWorld.with(
            providers: 2,
            { options in
                for name in ["oms-registry", "sp-gateway", "wm-fleet"] {
                    options.extraEnvironment[name] = clock.variables
                }
            }
        ) { world in
            let environment = world.environment
            let recorder = await BusRecorder.start(environment.bus(.monitor))
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 8")

            for round in 1...2 {
                // Forth: what was due in between is superseded, the next ticks fire.
                try clock.set(3_600)
                try await world.database.wait(
                    until: "(\(Self.firedLater(than: "50 min"))) >= \(round * 8)", seconds: 30)
                try await replaceAll(environment)
                // Back: every tick until then has been fired, so the schedules wait; what runs ends, and who asks is served.
                try clock.set(0)
                for tenant in tenants {
                    try await environment.insist(["run", tenant, "stopped"])
                }
                try await world.database.wait(
                    until: """
                        NOT EXISTS (SELECT FROM oms.run WHERE finished_at IS NULL)
                          AND (SELECT count(*) FROM oms.tick WHERE manual) >= \(tenants.count * round)
                        """)
                try await replaceAll(environment)
            }
            try clock.set(3_600)
            try await world.database.wait(until: "(\(Self.firedLater(than: "50 min"))) >= 24", seconds: 30)

            #expect(recorder.found.violations == [])
            // Four replacements that we asked for, and none by the clock.
            #expect(try await world.database.number("SELECT min(epoch) FROM report.tenant_status") == 5)
            #expect(try await world.database.number("SELECT max(epoch) FROM report.tenant_status") == 5)
            #expect(try await world.database.number("SELECT count(*) FROM report.operation WHERE forced") == 0)
            for name in ["oms-registry", "sp-gateway", "wm-fleet"] {
                #expect(await environment.supervisor.restarts(of: name) == 0)
            }
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print("clock steps of an hour, five of them: \(counts)")
            await recorder.stop()
        }
    }

    private func replaceAll(_ environment: DevEnvironment) async throws {
        for tenant in tenants {
            let replaced = try await environment.tell(["replace", tenant, "--wait"])
            try #require(replaced.status == 0, "\(replaced.errors)")
        }
    }

    /// By PostgreSQL's clock, which does not jump.
    private static func firedLater(than span: String) -> String {
        "SELECT count(*) FROM oms.tick WHERE outcome = 'fired' AND due > now() + interval '\(span)'"
    }
}
