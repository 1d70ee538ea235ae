import CSystem
import Foundation
import Glibc
import OMSDev
import OMSRuntime
import Testing

/// The whole program, killed.
@Suite(.serialized, .timeLimit(.minutes(2))) struct KillTests {
    struct Run: Sendable {
        var arguments: [String]
        /// At least so many must run before.
        var processes: Int
    }

    static let example = #filePath.replacing("Tests/IntegrationTests/KillTests.swift", with: "examples/open-bandit")

    /// kill -9 of the supervisor: the kernel and PostgreSQL's own rules must end everything.
    @Test(arguments: [
        Run(arguments: ["--servers-only"], processes: 8),
        Run(arguments: ["--demo", "--example", example], processes: 14),
    ])
    func killingTheSupervisorLeavesNoProcessBehind(run: Run) async throws {
        let path = "/tmp/oms-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let logs = try DataFolder(nil)
        defer {
            try? FileManager.default.removeItem(atPath: path)
            logs.unlock()
            logs.remove()
        }
        let loop = EventLoop(name: "supervisor")
        let supervisor = ProcessSupervisor(loop: loop)
        var spec = ChildSpec(
            name: "oms", executable: try Executables.own("oms"), arguments: ["dev", "--data", path] + run.arguments,
            logFile: logs.log("oms"))
        spec.restart = .never
        try await supervisor.start(spec)
        let isReady = try await Attempts.until(deadline: .seconds(60)) {
            (DataFolder.read(path + "/oms-dev.json") ?? "").contains("\"state\" : \"ready\"") ? true : nil
        }
        #expect(isReady == true, "\(DataFolder.read(spec.logFile) ?? "")")

        let children = try Self.pids(ofProcessesNaming: path)
        // PostgreSQL's workers name no folder.
        let workers = Self.descendants(of: children)
        let watched = (children.union(workers)).compactMap { pid -> (pid: Int32, descriptor: Int32)? in
            let descriptor = oms_pidfd_open(pid)
            return descriptor >= 0 ? (pid, descriptor) : nil
        }
        #expect(watched.count >= run.processes)
        await supervisor.kill("oms", SIGKILL)
        let deadline = MonotonicClock.milliseconds + 5_000
        for (pid, descriptor) in watched {
            var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = poll(&polled, 1, Int32(max(0, deadline - MonotonicClock.milliseconds)))
            #expect(count == 1, "process \(pid) survived")
            close(descriptor)
        }
        await supervisor.stopAll()
        loop.shutdown()
    }

    // MARK: Helpers

    private static func allPIDs() -> [Int32] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
    }

    private static func pids(ofProcessesNaming path: String) throws -> Set<Int32> {
        Set(allPIDs().filter { (DataFolder.read("/proc/\($0)/cmdline") ?? "").contains(path) })
    }

    private static func descendants(of parents: Set<Int32>) -> Set<Int32> {
        Set(
            allPIDs().filter { pid in
                let fields =
                    (DataFolder.read("/proc/\(pid)/stat") ?? "").split(separator: ")").last?.split(separator: " ") ?? []
                return fields.count > 1 && Int32(fields[1]).map(parents.contains) == true
            })
    }
}
