import Foundation
import OMSModel
import OMSRuntime
import Testing

@testable import ReferenceProvider

/// Status, restart, drain, retention, start-up errors.
@Suite struct LifecycleTests {
    @Test func statusTellsTodaysFigures() throws {
        let provider = try TestProvider()
        _ = try provider.run(harvest("men-items.csv"))
        _ = try provider.run(harvest("nothing.csv"))
        let stopped = harvest("men-random.csv.gz", pace: 1000)
        let client = try provider.client()
        #expect(try client.post("/jobs/", stopped).status == 201)
        _ = try provider.wait(for: stopped.id) { $0.state == .running }
        _ = try client.post("/jobs/\(stopped.id)", JobAction(action: "stop"))
        _ = try provider.end(of: stopped.id)
        let status = try client.get("/status").decode(ProviderStatus.self)
        #expect(status.status == .pass)
        #expect(status.version == "1")
        #expect(status.accepting)
        #expect(
            status.jobs
                == ProviderJobFigures(
                    queued: 0, running: 0, executedToday: 3, succeededToday: 1, failedToday: 1, stoppedToday: 1,
                    maxRunning: 4,
                    maxQueued: 200))
        #expect(status.time.milliseconds - status.startedAt.milliseconds >= 0)
    }

    @Test func aRestartLosesNoJobAndRunsInterruptedOnesAgain() throws {
        let provider = try TestProvider { $0.maxRunning = 1 }
        let client = try provider.client()
        let (running, queued) = (harvest("men-random.csv.gz", pace: 200), harvest("men-items.csv", table: "items"))
        #expect(try client.post("/jobs/", running).status == 201)
        #expect(try client.post("/jobs/", queued).status == 201)
        let before = try provider.wait(for: running.id) { ($0.progress ?? 0) > 0 }
        let started = try client.get("/status").decode(ProviderStatus.self).startedAt
        provider.stop(graceMilliseconds: 0)
        try provider.start()
        let after = try provider.end(of: running.id)
        #expect(after.state == .succeeded)
        #expect(after.attempt == 2)
        #expect(after.revision > before.revision)
        #expect(after.updated > before.updated)
        #expect(after.output("rows") == 10_000)
        let second = try provider.end(of: queued.id)
        #expect(second.state == .succeeded)
        #expect(second.attempt == 1)
        let status = try provider.client().get("/status").decode(ProviderStatus.self)
        #expect(status.startedAt > started)
        #expect(status.jobs?.executedToday == 2)
        #expect(try provider.client().post("/jobs/", running).status == 200)
    }

    @Test func drainingRefusesNewJobsAndLetsRunningOnesEnd() throws {
        let provider = try TestProvider { $0.maxRunning = 1 }
        let request = harvest("men-random.csv.gz", pace: 100)
        let client = try provider.client()
        #expect(try client.post("/jobs/", request).status == 201)
        _ = try provider.wait(for: request.id) { $0.state == .running }
        // What stop() does first; stop() itself blocks this thread until the end.
        provider.provider.engine.monitor.change { $0.isDraining = true }
        let refused = try client.post("/jobs/", harvest("men-items.csv"))
        #expect(refused.status == 503)
        #expect(try refused.decode(Problem.self).slug == "draining")
        #expect(try client.post("/jobs/", request).status == 200)
        let status = try client.get("/status").decode(ProviderStatus.self)
        #expect(!status.accepting)
        #expect(status.status == .warn)
        provider.stop(graceMilliseconds: 20_000)
        let store = try JobStore(path: provider.options.stateFile)
        #expect(try store.job(request.id)?.state == .succeeded)
    }

    @Test func endedJobsAreForgottenAfterTheRetention() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString).db")
        defer { try? FileManager.default.removeItem(at: directory) }
        let store = try JobStore(path: directory.path)
        let start = Timestamp(milliseconds: 1_000_000)
        let requests = (0..<4).map { _ in harvest("a.csv") }
        for (index, request) in requests.enumerated() {
            try store.insert(request, hash: "h", now: start)
            if index < 3 {
                try store.start(request.id, now: start)
                try store.finish(request.id, .stopped("x"), now: start.advanced(bySeconds: index))
            }
        }
        #expect(try store.purge(finishedBefore: start.advanced(bySeconds: 2), limit: 1, now: start) == 1)
        #expect(try store.purge(finishedBefore: start.advanced(bySeconds: 2), limit: 10, now: start) == 1)
        #expect(try store.page(JobQuery()).jobs.map(\.id) == [requests[2].id, requests[3].id])
    }

    @Test func theFeedNeverGoesBackwardsWhenTheClockDoes() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString).db").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let request = harvest("a.csv")
        do {
            let store = try JobStore(path: path)
            try store.insert(request, hash: "h", now: Timestamp(milliseconds: 5000))
            try store.start(request.id, now: Timestamp(milliseconds: 4000))
            #expect(try store.job(request.id)?.updated == Timestamp(milliseconds: 5001))
        }
        let store = try JobStore(path: path)
        try store.report(request.id, progress: 50, message: nil, now: Timestamp(milliseconds: 4500))
        let job = try #require(try store.job(request.id))
        #expect(job.updated == Timestamp(milliseconds: 5002))
        #expect(job.revision == 3)
    }

    @Test func aTerminalJobNeverChangesAgain() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString).db").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try JobStore(path: path)
        let request = harvest("a.csv")
        let now = Timestamp(milliseconds: 1)
        try store.insert(request, hash: "h", now: now)
        try store.finish(request.id, .stopped("x"), now: now)
        let end = try store.job(request.id)
        #expect(throws: Problem.self) { try store.report(request.id, progress: 1, message: nil, now: now) }
        #expect(throws: Problem.self) { try store.finish(request.id, .stopped("y"), now: now) }
        #expect(try store.job(request.id) == end)
    }

    @Test func startUpErrorsNameTheFlagAndTheRemedy() throws {
        let running = try TestProvider()
        func failure(_ configure: (inout ReferenceProviderOptions) -> Void) -> String {
            do {
                _ = try TestProvider(configure)
                return "started"
            } catch {
                return "\(error)"
            }
        }
        let port = running.provider.port
        #expect(failure { $0.port = port }.hasPrefix("--port \(port) is in use"))
        #expect(
            failure { $0.dataRoot = "/nowhere" }
                == "--data-root '/nowhere' is not a directory; create it or name another")
        #expect(failure { $0.storeRoot = "/nowhere" }.hasPrefix("--store-root '/nowhere'"))
        #expect(failure { $0.stateFile = "/nowhere/state.db" }.hasPrefix("--state '/nowhere/state.db'"))
        #expect(failure { $0.stateFile = TestProvider.exampleData + "/README.md" }.contains("not a database"))
        #expect(failure { $0.services = ["harvest", "magic"] }.contains("'magic'"))
        #expect(failure { $0.recommendMethod = "magic" }.contains("wilson"))
        #expect(failure { $0.name = "A B" }.hasPrefix("--name"))
        #expect(failure { $0.tokenFile = "/nowhere" }.hasPrefix("--token-file"))
        #expect(failure { $0.host = "192.0.2.1" }.hasPrefix("--host 192.0.2.1"))
    }
}

/// Pages of the list against the size that the gateway reads.
@Suite struct PageSizeTests {
    @Test func aPageOfLargeJobsStaysBelowOneMebibyteAndNoneIsMissed() throws {
        let provider = try TestProvider()
        let ids = try provider.provider.engine.monitor.change { state in
            try (0..<40).map { _ in
                var request = harvest("a.csv")
                request.labels = Dictionary(
                    uniqueKeysWithValues: (0..<60).map { ("\($0)", String(repeating: "\u{1F600}", count: 250)) })
                try state.store.insert(request, hash: "h", now: WallClock.now)
                try state.store.finish(request.id, .stopped("x"), now: WallClock.now)
                return request.id
            }
        }
        let client = try provider.client()
        var found: [JobID] = []
        var token: String?
        var pages = 0
        repeat {
            let answer = try client.get("/jobs/?page_size=1000" + (token.map { "&page_token=\($0)" } ?? ""))
            #expect(answer.body.count < 1 << 20)
            let page = try answer.decode(JobList.self)
            found += page.jobs.map(\.id)
            token = page.nextPageToken
            pages += 1
        } while token != nil && pages < 20
        #expect(found == ids)
        #expect(pages > 2)
    }
}
