import Foundation
import Logging
import OMSModel
import OMSRuntime
import SQLite
import Testing

@testable import ReferenceProvider

/// What a stop and a timeout do to work that does not look at its control.
@Suite struct GraceTests {
    /// A service whose work is the test's.
    private struct TestService: Service {
        let work: @Sendable (JobContext) throws -> Void

        var description: ServiceDescription {
            ServiceDescription(
                id: "harvest", type: "harvest", version: "1", available: true,
                defaults: ServiceConfig(timeoutSeconds: 600))
        }

        func check(_ config: ServiceConfig, _ reader: inout ConfigReader) {}

        func run(_ job: JobContext) throws -> JobResult {
            try work(job)
            return JobResult(outputs: ["ran": ["value": true]])
        }
    }

    private final class Bench {
        let engine: JobEngine
        let directory: URL

        init(_ work: @escaping @Sendable (JobContext) throws -> Void) throws {
            directory = FileManager.default.temporaryDirectory.appending(path: "grace-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            engine = try JobEngine(
                statePath: directory.appending(path: "state.db").path,
                services: ServiceCatalogue([TestService(work: work)]), limits: .init(maxRunning: 1, maxQueued: 10),
                roots: DataRoots(data: directory.path, store: directory.path), downloads: Downloads(allowedPrivate: []),
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            engine.start()
        }

        deinit {
            _ = engine.drain(graceMilliseconds: 0)
            try? FileManager.default.removeItem(at: directory)
        }

        func submit(timeoutSeconds: Int? = nil) throws -> JobID {
            var request = harvest("a.csv")
            request.config = ServiceConfig(timeoutSeconds: timeoutSeconds)
            _ = try engine.submit(request, hash: "h")
            return request.id
        }

        func wait(for id: JobID, until condition: (ProviderJob) -> Bool) throws -> ProviderJob {
            let job = try engine.monitor.wait(until: MonotonicClock.milliseconds + 15_000) { state in
                try state.store.job(id).flatMap { condition($0) ? $0 : nil }
            }
            return try #require(job, "job \(id) did not get there within 15 s")
        }
    }

    /// One statement that never ends by itself and reports to nobody.
    private static func endlessStatement(_ job: JobContext) throws {
        let database = try SQLiteDatabase(path: ":memory:")
        let control = job.control
        database.interrupt { control.pending != nil }
        try database.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    }

    @Test func aStopEndsARunningStatement() throws {
        let bench = try Bench(Self.endlessStatement)
        let id = try bench.submit()
        _ = try bench.wait(for: id) { $0.state == .running }
        let (job, accepted) = try bench.engine.stop(id, JobAction(action: "stop", graceSeconds: 600, reason: "test"))
        #expect(accepted)
        #expect(job.state == .stopping)
        let end = try bench.wait(for: id) { $0.state.isTerminal }
        #expect(end.state == .stopped)  // not failed, although the statement reported an error
        #expect(end.message == "stopped: test")
    }

    @Test func aTimeoutEndsARunningStatement() throws {
        let bench = try Bench(Self.endlessStatement)
        let id = try bench.submit(timeoutSeconds: 1)
        let end = try bench.wait(for: id) { $0.state.isTerminal }
        #expect(end.error?.slug == "timeout")
    }

    @Test func workThatOutlastsItsGraceStaysStoppingAndSaysSo() throws {
        let release = Monitor(false)
        let bench = try Bench { _ in
            _ = release.wait(until: MonotonicClock.milliseconds + 30_000) { $0 ? () : nil }
        }
        let id = try bench.submit()
        _ = try bench.wait(for: id) { $0.state == .running }
        _ = try bench.engine.stop(id, JobAction(action: "stop", graceSeconds: 1))
        let overdue = try bench.wait(for: id) { $0.message?.contains("grace_s = 1 has passed") == true }
        #expect(overdue.state == .stopping)
        #expect(overdue.revision == 4)  // queued, running, stopping, overdue
        release.change { $0 = true }
        let end = try bench.wait(for: id) { $0.state.isTerminal }
        #expect(end.state == .succeeded)  // it reached its end after all, which is the truth
        #expect(end.outputs?["ran"] == ["value": true])
    }
}
