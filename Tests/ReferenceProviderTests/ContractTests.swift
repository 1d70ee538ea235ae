import Foundation
import OMSModel
import OMSRuntime
import Testing

@testable import ReferenceProvider

/// What a caller may rely on beyond a job's plain course: docs/reference/sp-interface sections 2.4 and 3.
@Suite struct ContractTests {
    private func post(
        _ client: HTTPTestClient, _ path: String, _ value: some Encodable, _ headers: [String: String]
    ) throws -> HTTPTestClient.Answer {
        try client.request("POST", path, headers: headers, body: Array(try JSONEncoder().encode(value)))
    }

    private let stop = JobAction(action: "stop")

    // MARK: Tombstones

    @Test func aStopBeforeItsSubmitIsRememberedOverARestart() throws {
        let provider = try TestProvider()
        let request = harvest("men-items.csv")
        #expect(try provider.client().post("/jobs/\(request.id)", stop).status == 404)
        provider.stop()
        try provider.start()
        let client = try provider.client()
        let late = try client.post("/jobs/", request)
        #expect(late.status == 409)
        #expect(try late.decode(Problem.self).slug == "stopped")
        #expect(try client.get("/jobs/\(request.id)").status == 404)
        #expect(try client.get("/jobs/").decode(JobList.self).jobs.isEmpty)
        #expect(try client.post("/jobs/", harvest("men-items.csv")).status == 201)  // other ids are not meant
    }

    @Test func whatIsRememberedIsBoundedAndTheOldestGoesFirst() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString).db").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try JobStore(path: path)
        let start = Timestamp(milliseconds: 1_000_000_000)
        let ids = (0..<4).map { _ in newID() }
        for (index, id) in ids.enumerated() { try store.bury(id, now: start.advanced(bySeconds: index), keep: 3) }
        let soon = start.advanced(bySeconds: 10)
        #expect(try ids.map { try store.isBuried($0, now: soon) } == [false, true, true, true])
        // An hour after the second stop.
        let later = start.advanced(bySeconds: JobStore.tombstoneSeconds + 1)
        #expect(try ids.map { try store.isBuried($0, now: later) } == [false, false, true, true])
        try store.forgetOld(now: later)
        #expect(try ids.map { try store.isBuried($0, now: soon) } == [false, false, true, true])
        for (index, tenant) in ["a", "b", "c"].enumerated() {
            try store.raise(TenantID(tenant)!, to: 7, now: start.advanced(bySeconds: index), keep: 2)
        }
        #expect(try store.epoch(of: "a") == nil)
        #expect(try store.epoch(of: "c") == 7)
        try store.raise("c", to: 5, now: soon)
        #expect(try store.epoch(of: "c") == 7)  // it never falls
    }

    // MARK: Fencing

    @Test func aLowerEpochIsRefusedOverARestartAndPerTenant() throws {
        let provider = try TestProvider()
        let (old, new) = (["OMS-Epoch": "3"], ["OMS-Epoch": "4"])
        let first = harvest("men-items.csv")
        var client = try provider.client()
        #expect(try post(client, "/jobs/", first, old).status == 201)
        _ = try provider.end(of: first.id)
        #expect(try post(client, "/jobs/\(first.id)", stop, new).status == 200)  // a stop raises it as well
        provider.stop()
        try provider.start()
        client = try provider.client()
        // Refused whether the id is known or not, for submit and stop; nothing is remembered of it.
        let second = harvest("men-items.csv")
        for (path, isStop) in [("/jobs/", false), ("/jobs/\(first.id)", true)] {
            let answer = try isStop ? post(client, path, stop, old) : post(client, path, second, old)
            #expect(answer.status == 409)
            #expect(try answer.decode(Problem.self).slug == "stale-epoch")
        }
        #expect(try post(client, "/jobs/", first, old).status == 409)
        let unknown = harvest("men-items.csv")
        #expect(try post(client, "/jobs/\(unknown.id)", stop, old.merging(["OMS-Tenant": "acme"]) { $1 }).status == 409)
        #expect(try post(client, "/jobs/", unknown, new).status == 201)
        var other = second
        other.tenant = "other"
        #expect(try post(client, "/jobs/", other, old).status == 201)
        #expect(try client.get("/jobs/\(first.id)", headers: old).status == 200)
        #expect(try post(client, "/jobs/", harvest("men-items.csv"), [:]).status == 201)
    }

    @Test func malformedAndContradictingHeadersAre400() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        let request = harvest("men-items.csv")
        let wrong = [
            ["OMS-Epoch": "-1"], ["OMS-Epoch": "x"], ["OMS-Epoch": "9007199254740992"], ["OMS-Tenant": "A B"],
            ["OMS-Tenant": "other"], ["Idempotency-Key": request.id.description],
            ["Idempotency-Key": "\"\(newID())\""],
        ]
        for headers in wrong { #expect(try post(client, "/jobs/", request, headers).status == 400, "\(headers)") }
        #expect(try client.get("/jobs/").decode(JobList.self).jobs.isEmpty)
        let right = ["Idempotency-Key": "\"\(request.id)\"", "OMS-Tenant": "acme", "OMS-Epoch": "0"]
        #expect(try post(client, "/jobs/", request, right).status == 201)
        #expect(try post(client, "/jobs/\(request.id)", stop, ["OMS-Tenant": "other"]).status == 400)
        let capital = request.id.description.uppercased()
        #expect(try client.get("/jobs/\(capital)").status == 404)
    }

    /// Of commands that race, those that are accepted come in the order of their epochs.
    @Test func fencingHoldsUnderConcurrency() throws {
        let provider = try TestProvider {
            $0.maxRunning = 1
            $0.maxQueued = 1000
        }
        let blocker = harvest("men-random.csv.gz", pace: 1000)  // nothing else leaves the queue
        #expect(try provider.client().post("/jobs/", blocker).status == 201)
        _ = try provider.wait(for: blocker.id) { $0.state == .running }
        let epochs = Array(1...40).shuffled()
        let statuses = Locked<[Int]>([])
        let done = Monitor(0)
        for worker in 0..<4 {
            let client = try provider.client()
            let mine = epochs[(worker * 10)..<(worker * 10 + 10)]
            let requests = mine.map { epoch -> (Int, JobRequest) in
                var request = harvest("men-items.csv")
                request.labels = ["epoch": "\(epoch)"]
                return (epoch, request)
            }
            nonisolated(unsafe) let own = client  // used by this one thread only
            startThread("submitter") {
                for (epoch, request) in requests {
                    let body = (try? JSONEncoder().encode(request)).map { Array($0) }
                    let answer = try? own.request("POST", "/jobs/", headers: ["OMS-Epoch": "\(epoch)"], body: body)
                    statuses.withLock { $0.append(answer?.status ?? 0) }
                }
                done.change { $0 += 1 }
            }
        }
        try #require(done.wait(until: MonotonicClock.milliseconds + 30_000) { $0 == 4 ? () : nil } != nil)
        #expect(statuses.withLock { $0.filter { $0 != 201 && $0 != 409 } } == [])
        let list = try provider.client().get("/jobs/?state=queued").decode(JobList.self)
        let accepted = list.jobs.compactMap { $0.labels?["epoch"].flatMap { Int($0) } }
        #expect(accepted == accepted.sorted(), "epochs \(epochs)")
        #expect(accepted.last == 40)
        #expect(accepted.count == statuses.withLock { $0.filter { $0 == 201 }.count })
    }

    // MARK: Results, retention

    @Test func resultsAreReadAfterTheEnd() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        let request = harvest("men-random.csv.gz", pace: 100)
        #expect(try client.post("/jobs/", request).status == 201)
        let early = try client.get("/jobs/\(request.id)/results")
        #expect(early.status == 409)
        #expect(early.headers["retry-after"] != nil)
        #expect(try early.decode(Problem.self).slug == "results-not-ready")
        let end = try provider.end(of: request.id)
        let results = try client.get("/jobs/\(request.id)/results/").decode(JobResults.self)
        #expect(results.state == .succeeded)
        #expect(results.outputs == end.outputs)
        #expect(results.outputs["rows"]?["value"] == 10_000)
        let failed = harvest("nothing.csv")
        _ = try provider.run(failed)
        let none = try client.get("/jobs/\(failed.id)/results").decode(JobResults.self)
        #expect(none.outputs.isEmpty)
        #expect(none.error?.slug == "input-unavailable")
        #expect(try client.get("/jobs/\(newID())/results").status == 404)
        #expect(try client.post("/jobs/\(failed.id)/results", stop).status == 405)
        #expect(try client.get("/status").decode(ProviderStatus.self).features == ["results", "fencing", "tombstones"])
    }

    @Test func aPurgedJobIsGoneAndNeverRunsAgain() throws {
        let provider = try TestProvider { $0.retentionSeconds = 1 }
        let request = harvest("men-items.csv")
        _ = try provider.run(request)
        let gone: Void? = try provider.provider.engine.monitor.wait(until: MonotonicClock.milliseconds + 15_000) {
            state in
            try state.store.wasPurged(request.id) ? () : nil
        }
        try #require(gone != nil, "not purged within 15 s at a retention of 1 s")
        provider.stop()
        try provider.start()
        let client = try provider.client()
        let answers = [
            try client.get("/jobs/\(request.id)"), try client.get("/jobs/\(request.id)/results"),
            try client.post("/jobs/\(request.id)", stop), try client.post("/jobs/", request),
        ]
        #expect(answers.map(\.status) == [410, 410, 410, 410])
        #expect(try answers.map { try $0.decode(Problem.self).slug } == Array(repeating: "purged", count: 4))
    }
}
