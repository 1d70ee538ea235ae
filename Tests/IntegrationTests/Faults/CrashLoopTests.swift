import Foundation
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// One tenant whose Work Manager ends the process that hosts it, again and again.
@Suite("Crash loop", .serialized, .timeLimit(.minutes(3)))
struct CrashLoopTests {
    @Test("the tenant is paused with a reason, the others go on")
    func paused() async throws {
        let crashes = Locked(0)
        try await SmallWorld.with(
            providers: 1,
            { options in
                options.extraArguments = ["wm-fleet": ["--crash-on", "tenant-2"]]
                options.onEvent = { event in
                    if case .child(.died("wm-fleet", _, _)) = event { crashes.withLock { $0 += 1 } }
                }
            }
        ) { world in
            let tenants = (1...4).map { "tenant-\($0)" }
            try await world.environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(
                until: "SELECT count(*) = 1 FROM report.why WHERE tenant = 'tenant-2' AND code = 'crash-loop'")
            let before = crashes.withLock { $0 }
            #expect(before == 3, "paused after \(before) crashes")
            let done = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(
                until: """
                    SELECT count(*) >= \(done + 30) AND count(DISTINCT tenant) = 3 FROM report.job
                    WHERE state = 'succeeded'
                    """)
            #expect(crashes.withLock { $0 } == before, "the fleet died although the tenant is paused")
            #expect(try await world.database.number("SELECT count(*) FROM report.job WHERE tenant = 'tenant-2'") == 0)
            print("crash loop: paused after \(before) crashes, \(done) jobs of the others until then")
        }
    }
}
