import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// Whoever cannot write down what it is about to do does not do it, says why, and goes on when it can.
@Suite("Full disk", .serialized, .timeLimit(.minutes(4)))
struct FullDiskTests {
    private let tenants = ["tenant-1", "tenant-2"]

    @Test(
        "the gateway's ledger is full: nothing is submitted, and nothing lost or doubled", arguments: FullDisk.possible)
    func ledger(on disk: FullDisk) async throws {
        let mounted = Locked<String?>(nil)
        defer { if let folder = mounted.withLock({ $0 }) { disk.release(folder) } }
        try await SmallWorld.with(
            providers: 2,
            beforeServices: { environment in
                let folder = environment.folder.file("ledger-gateway-1")
                try disk.prepare(folder)
                mounted.withLock { $0 = folder }
            }
        ) { world in
            let environment = world.environment
            let folder = environment.folder.file("ledger-gateway-1")
            defer { disk.release(folder) }
            let log = environment.folder.log("sp-gateway")
            func lines(_ words: String) -> Int { (DataFolder.read(log) ?? "").components(separatedBy: words).count - 1 }
            func submits() -> Int { world.providers.reduce(0) { $0 + $1.log.submits.values.reduce(0, +) } }
            try await environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")

            let pid = try #require(await environment.pid(of: "sp-gateway"))
            try await disk.fill(folder, "ledger.sqlite-wal", of: pid)
            let noticed = try await Attempts.until(deadline: .seconds(20)) {
                lines("ledger not written") > 0 ? true : nil
            }
            #expect(noticed == true, "the gateway did not notice that its ledger is full")
            // What had been written down before may still be on its way.
            try await Task.sleep(for: .milliseconds(500))
            let before = submits()
            // Who looks at a job sees why it waits. And an epoch that the gateway cannot refuse durably does not end.
            try await world.database.wait(
                until:
                    "SELECT count(*) > 3 FROM oms.job WHERE finished_at IS NULL AND error::text LIKE '%ledger cannot be written%'"
            )
            try await environment.insist(["replace", "tenant-1", "--deadline", "2"])
            try await world.database.wait(
                until: "SELECT count(*) = 1 FROM report.why WHERE tenant = 'tenant-1' AND code = 'waits-for-seal'")
            #expect(submits() == before, "submitted without an intent on disk")
            #expect(try await world.database.number("SELECT max(epoch) FROM report.tenant_status") == 1)
            #expect(await environment.pid(of: "sp-gateway") == pid)

            try await disk.free(folder, of: pid)
            let freed = MonotonicClock.milliseconds
            try await world.database.wait(
                until: "SELECT count(*) = 1 FROM report.tenant_status WHERE tenant = 'tenant-1' AND epoch = 2")
            let succeeded = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(succeeded + 10)")
            let took = MonotonicClock.milliseconds - freed
            #expect(lines("ledger not written") == 1 && lines("ledger written again") == 1, "one line per change")
            #expect(await environment.pid(of: "sp-gateway") == pid)
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true))
            print("full disk (\(disk)): ten more jobs \(took) ms after there was space again; \(counts)")
        }
    }

    @Test(
        "a fleet that finds its disk full at its start says so and ends; it is not killed by a signal",
        .enabled(if: FullDisk.possible.contains(.tmpfs), "no tmpfs may be mounted here"))
    func fleetFolder() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-full-\(UUID().uuidString)").path
        try FullDisk.tmpfs.prepare(folder)
        defer {
            FullDisk.unmount(folder)
            try? FileManager.default.removeItem(atPath: folder)
        }
        try FullDisk.fill(folder)
        let finished = try await run(
            Place.binaries + "/wm-fleet", ["--id", "fleet-1", "--state-dir", folder], deadline: 20)
        #expect(finished.status == 1)
        #expect(finished.errors.contains("No space left on device"), "\(finished.errors)")
    }
}
