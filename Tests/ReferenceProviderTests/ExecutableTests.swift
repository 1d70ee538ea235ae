import Foundation
import OMSModel
import OMSRuntime
import Testing

@testable import ReferenceProvider

/// The executable: signals, exit codes, sudden death.
@Suite struct ExecutableTests {
    private static func directory() throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "reference-sp-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path + "/store", withIntermediateDirectories: true)
        return path
    }

    private static func arguments(_ directory: String, _ more: [String] = []) -> [String] {
        [
            "--port", "0", "--name", "alpha", "--data-root", TestProvider.exampleData, "--store-root",
            directory + "/store",
            "--state", directory + "/state.db",
        ] + more
    }

    @Test func aKilledProviderRunsItsJobAgainAndEndsItOnce() throws {
        let directory = try Self.directory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let request = harvest("men-random.csv.gz", pace: 100)
        do {
            let first = try ProviderProcess(Self.arguments(directory))
            let client = try HTTPTestClient(port: first.port, of: first)
            #expect(try client.post("/jobs/", request).status == 201)
            var job = try client.get("/jobs/\(request.id)").decode(ProviderJob.self)
            let deadline = MonotonicClock.milliseconds + 10_000
            while job.progress ?? 0 == 0, MonotonicClock.milliseconds < deadline {
                job = try client.get("/jobs/\(request.id)").decode(ProviderJob.self)
            }
            #expect(job.state == .running)
            #expect(first.end(by: SIGKILL) == nil)
        }
        // In this process the end can be waited for.
        let store = directory + "/store"
        let second = try TestProvider {
            $0.stateFile = directory + "/state.db"
            $0.storeRoot = store
        }
        let end = try second.end(of: request.id)
        #expect(end.state == .succeeded)
        #expect(end.attempt == 2)
        #expect(end.output("inserted") == 10_000)  // the killed attempt left nothing behind
        #expect(try second.client().get("/jobs/").decode(JobList.self).statistics.counts["succeeded"] == 1)
    }

    @Test func sigtermEndsItWithStatusZeroAndKeepsUnfinishedJobs() throws {
        let directory = try Self.directory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let provider = try ProviderProcess(Self.arguments(directory, ["--grace", "0"]))
        let client = try HTTPTestClient(port: provider.port, of: provider)
        let request = harvest("men-random.csv.gz", pace: 1000)
        #expect(try client.post("/jobs/", request).status == 201)
        let began = MonotonicClock.milliseconds
        #expect(provider.end(by: SIGTERM) == 0)
        #expect(MonotonicClock.milliseconds - began < 8000)
        let state = try JobStore(path: directory + "/state.db").job(request.id)?.state
        #expect(state == .running || state == .queued)
    }

    @Test func startsThatFailSayWhyAndWhatToDo() throws {
        let directory = try Self.directory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let running = try ProviderProcess(Self.arguments(directory))
        let taken = try ProviderProcess.run(
            ["--port", "\(running.port)"] + Self.arguments(directory).dropFirst(2))
        #expect(taken.status == 1)
        #expect(taken.errors.hasPrefix("reference-sp: --port \(running.port) is in use on 127.0.0.1; stop"))
        #expect(taken.errors.split(separator: "\n").count == 1)
        let usage = try ProviderProcess.run(["--name", "alpha"])
        #expect(usage.status == 64)
        #expect(usage.errors.contains("--data-root"))
    }
}
