import Foundation
import OMSModel
import OMSRuntime
import Testing

@testable import ReferenceProvider

/// Jobs over HTTP: submit, refuse, list, stop.
@Suite struct JobAPITests {
    @Test func submittingIsIdempotentByIdAndRequest() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        let request = harvest("men-items.csv")
        let first = try client.post("/jobs/", request)
        #expect(first.status == 201)
        #expect(first.headers["location"] == "/jobs/\(request.id)")
        #expect(try first.decode(ProviderJob.self).state == .queued)
        #expect(try first.decode(ProviderJob.self).revision == 1)
        let end = try provider.end(of: request.id)
        let again = try client.post("/jobs/", request)
        #expect(again.status == 200)
        #expect(try again.decode(ProviderJob.self) == end)
        var other = request
        other.labels = ["run_id": "another"]
        let conflict = try client.post("/jobs/", other)
        #expect(conflict.status == 409)
        #expect(try conflict.decode(Problem.self).slug == "id-conflict")
        #expect(try provider.provider.engine.list(JobQuery()).jobs.count == 1)
    }

    @Test func malformedBodiesAre400AndUnknownServices404() throws {
        let client = try TestProvider().client()
        for text in ["", "{", "[]", "3", "null", "{\"a\":\"\\ud800\"}x", "\u{0}"] {
            #expect(try client.request("POST", "/jobs/", body: Array(text.utf8)).status == 400, "\(text)")
        }
        var request = harvest("a.csv")
        request.service = "no-such"
        let answer = try client.post("/jobs/", request)
        #expect(answer.status == 404)
        #expect(try answer.decode(Problem.self).slug == "no-such-service")
        #expect(try client.get("/jobs/\(newID())").status == 404)
        #expect(try client.post("/jobs/\(newID())", JobAction(action: "stop")).status == 404)
    }

    /// Every wrong field of a body is named in one answer.
    private func pointers(_ client: HTTPTestClient, _ body: JSONValue) throws -> [String] {
        let answer = try client.post("/jobs/", body)
        #expect(answer.status == 422)
        let problem = try answer.decode(Problem.self)
        #expect(problem.slug == "invalid-config")
        return (problem.errors ?? []).map(\.pointer).sorted()
    }

    @Test func refusedFieldsAreNamedByPointer() throws {
        let client = try TestProvider().client()
        let id = JSONValue.string(newID().description)
        #expect(try pointers(client, [:]) == ["/id", "/service", "/tenant"])
        #expect(
            try pointers(
                client,
                [
                    "id": "7", "service": "Harvest", "tenant": 3, "deadline": "soon", "labels": ["a/b": 1],
                    "config": [
                        "timeout_s": 0.5, "data_source": ["uri": 1], "output_source": "x", "parameters": [],
                        "frequency": ["once": true, "every_s": 1],
                    ],
                ]) == [
                    "/config/data_source/uri", "/config/frequency", "/config/output_source", "/config/parameters",
                    "/config/timeout_s", "/deadline", "/id", "/labels/a~1b", "/service", "/tenant",
                ])
        #expect(
            try pointers(
                client,
                [
                    "id": id, "service": "harvest", "tenant": "acme", "input": ["a": 1],
                    "config": [
                        "timeout_s": 86_401, "data_source": ["uri": "ftp://x/y", "credential": "c"],
                        "output_source": ["uri": "sqlite://host/x.db"],
                        "parameters": [
                            "table": "1; DROP", "tabel": "x", "pace_ms": 1001, "key": ["a", "a"], "columns": ["b"],
                        ],
                    ],
                ]) == [
                    "/config/data_source/credential", "/config/data_source/type", "/config/data_source/uri",
                    "/config/output_source/uri", "/config/parameters/key", "/config/parameters/key",
                    "/config/parameters/pace_ms", "/config/parameters/tabel", "/config/parameters/table",
                    "/config/timeout_s", "/input",
                ])
        #expect(
            try pointers(
                client,
                [
                    "id": id, "service": "recommend", "tenant": "acme",
                    "config": [
                        "data_source": ["uri": "sqlite:///"], "output_source": ["uri": "sqlite:///x"],
                        "parameters": ["table": "log", "top": 0, "method": "magic", "segment": ["a": 1]],
                    ],
                ]) == [
                    "/config/data_source/uri", "/config/output_source", "/config/parameters/method",
                    "/config/parameters/segment/a", "/config/parameters/sources", "/config/parameters/top",
                ])
        #expect(
            try pointers(
                client,
                [
                    "id": id, "service": "optimise", "tenant": "acme",
                    "config": [
                        "data_source": ["uri": "sqlite:///x.db"],
                        "parameters": ["table": "log", "control": "a", "treatment": "a", "alpha": 0],
                    ],
                ]) == ["/config/parameters/alpha", "/config/parameters/treatment"])
        #expect(try client.get("/jobs/").decode(JobList.self).jobs.isEmpty)
    }

    @Test func anIntegerMayBeWrittenWithAPointZero() throws {
        let provider = try TestProvider()
        let request = harvest("men-items.csv", more: ["pace_ms": .double(1.0)])
        var text = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
        text = text.replacing("\"pace_ms\":1", with: "\"pace_ms\":1.0")
        #expect(text.contains("1.0"))
        #expect(try provider.client().request("POST", "/jobs/", body: Array(text.utf8)).status == 201)
    }

    @Test func theListFiltersAndPagesInOrderOfChange() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        var ids: [JobID] = []
        for number in 0..<5 {
            var request = harvest(number < 3 ? "men-items.csv" : "nothing.csv", store: "\(number).db")
            request.tenant = number % 2 == 0 ? "acme" : "other"
            ids.append(request.id)
            _ = try provider.run(request)
        }
        let all = try client.get("/jobs/").decode(JobList.self)
        #expect(all.jobs.map(\.id) == ids)
        #expect(all.statistics.counts["succeeded"] == 3)
        #expect(all.statistics.counts["queued"] == 0)
        #expect(all.nextPageToken == nil)
        func list(_ query: String) throws -> [JobID] {
            try client.get("/jobs/?\(query)").decode(JobList.self).jobs.map(\.id)
        }
        #expect(try list("state=failed") == [ids[3], ids[4]])
        #expect(try list("state=failed,succeeded&tenant=other") == [ids[1], ids[3]])
        #expect(try list("id=\(ids[4]),\(ids[0])") == [ids[0], ids[4]])
        #expect(try list("service=recommend") == [])
        #expect(try list("updated_since=\(all.jobs[2].updated)") == Array(ids[2...]))  // inclusive
        var collected: [JobID] = []
        var token: String?
        repeat {
            let page = try client.get("/jobs/?page_size=2" + (token.map { "&page_token=\($0)" } ?? "")).decode(
                JobList.self)
            #expect(page.jobs.count <= 2)
            collected += page.jobs.map(\.id)
            token = page.nextPageToken
        } while token != nil && collected.count < 10
        #expect(collected == ids)
        let other = try client.get("/jobs/?tenant=other&state=failed").decode(JobList.self).statistics.counts
        #expect(other["succeeded"] == 1)  // statistics ignore the state filter
        for query in [
            "page_size=0", "page_size=1001", "page_size=x", "page_token=x", "state=pending", "state=", "id=7",
            "tenant=A",
            "updated_since=yesterday", "state=%ff",
        ] {
            let answer = try client.get("/jobs/?\(query)")
            #expect(answer.status == 400, "\(query)")
        }
    }

    @Test func aRunningJobStopsAtOnceAndStoppingTwiceIsHarmless() throws {
        let provider = try TestProvider()
        let client = try provider.client()
        let request = harvest("men-random.csv.gz", pace: 1000)  // ten seconds of pauses
        #expect(try client.post("/jobs/", request).status == 201)
        let running = try provider.wait(for: request.id) { $0.state == .running && ($0.progress ?? 0) > 0 }
        #expect(running.attempt == 1)
        let began = MonotonicClock.milliseconds
        let stop = try client.post("/jobs/\(request.id)", JobAction(action: "stop", graceSeconds: 5, reason: "test"))
        #expect(stop.status == 202)
        #expect(stop.headers["retry-after"] != nil)
        #expect(try stop.decode(ProviderJob.self).state == .stopping)
        let end = try provider.end(of: request.id)
        #expect(end.state == .stopped)
        #expect(end.message == "stopped: test")
        #expect(end.finished != nil)
        #expect(MonotonicClock.milliseconds - began < 5000)  // about nine more seconds of pauses were to come
        let again = try client.post("/jobs/\(request.id)", JobAction(action: "stop"))
        #expect(again.status == 200)
        #expect(try again.decode(ProviderJob.self) == end)
        #expect(try client.post("/jobs/\(request.id)", JobAction(action: "pause")).status == 422)
    }

    @Test func anInterruptionEndsAPauseAndTheFirstReasonWins() {
        let control = JobControl(timeoutSeconds: 60)
        startThread("interrupter") {
            control.interrupt(.stop("first"))
            control.interrupt(.shutdown)
        }
        let began = MonotonicClock.milliseconds
        #expect(throws: Interruption.stop("first")) { try control.pause(milliseconds: 50_000) }
        #expect(MonotonicClock.milliseconds - began < 10_000)
        #expect(throws: Interruption.timeout(seconds: 0)) { try JobControl(timeoutSeconds: 0).check() }
    }

    @Test func timeoutAndDeadlineFailTheirJobs() throws {
        let provider = try TestProvider { $0.maxRunning = 1 }
        let client = try provider.client()
        var slow = harvest("men-random.csv.gz", pace: 1000)
        slow.config.timeoutSeconds = 3
        var waiting = harvest("men-items.csv", store: "b.db")
        waiting.deadline = Timestamp(milliseconds: WallClock.milliseconds + 300)  // while the only worker is busy
        #expect(try client.post("/jobs/", slow).status == 201)
        #expect(try client.post("/jobs/", waiting).status == 201)
        let missed = try provider.end(of: waiting.id)
        #expect(missed.error?.slug == "deadline")
        #expect(missed.started == nil)
        #expect(try client.get("/jobs/\(slow.id)").decode(ProviderJob.self).state == .running)
        let late = try provider.end(of: slow.id)
        #expect(late.error?.slug == "timeout")
        #expect(late.error?.detail?.contains("timeout_s = 3") == true)
    }

    @Test func aFullQueueAnswersBusyAndAQueuedJobStopsWithoutRunning() throws {
        let provider = try TestProvider {
            $0.maxRunning = 1
            $0.maxQueued = 1
        }
        let client = try provider.client()
        let (first, second, third) = (
            harvest("men-random.csv.gz", pace: 1000), harvest("men-items.csv"), harvest("men-items.csv")
        )
        #expect(try client.post("/jobs/", first).status == 201)
        _ = try provider.wait(for: first.id) { $0.state == .running }
        #expect(try client.post("/jobs/", second).status == 201)
        let busy = try client.post("/jobs/", third)
        #expect(busy.status == 429)
        #expect(busy.headers["retry-after"] != nil)
        #expect(try busy.decode(Problem.self).slug == "busy")
        #expect(try client.post("/jobs/", second).status == 200)  // a known id is found also now
        let status = try client.get("/status").decode(ProviderStatus.self)
        #expect(status.status == .warn)
        #expect(status.jobs?.queued == 1)
        #expect(status.jobs?.running == 1)
        let stopped = try client.post("/jobs/\(second.id)", JobAction(action: "stop"))
        #expect(stopped.status == 200)
        #expect(try stopped.decode(ProviderJob.self).state == .stopped)
        #expect(try stopped.decode(ProviderJob.self).started == nil)
        #expect(try client.post("/jobs/", third).status == 201)
    }
}
