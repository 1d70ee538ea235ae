import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What providers in the field answer that the contract does not foresee. Nothing odd spoils more than itself.
struct OddAnswerTests {
    private let id = jobID(1)

    private func members(_ more: String = "") -> String {
        #"{"id":"\#(id)","service":"harvest","tenant":"men","state":"running","revision":3,"#
            + #""created":"2026-01-01T00:00:00.000Z","updated":"2026-01-01T00:00:01.000Z"\#(more)}"#
    }

    private func body(_ kind: ProviderCall.Kind, _ text: String, _ status: Int = 200) -> ProviderAnswer.Body {
        guard
            case .answered(_, _, _, let body) = AnswerReader().read(
                kind, status: status, headers: [], body: Array(text.utf8))
        else { return .empty }
        return body
    }

    private func job(_ text: String) throws -> ProviderJob {
        let body = body(.job(id), text)
        guard case .job(let job) = body else {
            Issue.record("\(body)")
            throw Unreadable("\(body)")
        }
        return job
    }

    private func list(_ rows: String, _ more: String = "") throws -> JobList {
        let text = #"{"statistics":{"as_of":"2026-01-01T00:00:00Z","counts":{}},"jobs":[\#(rows)]\#(more)}"#
        let body = body(.sweep(since: at(0).wall, pageToken: nil, pageSize: 500), text)
        guard case .jobs(let list) = body else {
            Issue.record("\(body)")
            throw Unreadable("\(body)")
        }
        return list
    }

    private func why(_ body: ProviderAnswer.Body) -> String {
        if case .malformed(let why) = body { why } else { "read: \(body)" }
    }

    // MARK: - Lists

    @Test(arguments: [
        (#"{"id":"550e8400-e29b-41d4-a716-446655440000","state":"running","revision":1}"#, "jobs/0/id: "),
        (
            #"{"id":"018f4e6a-2b1c-7d3e-8f40-112233445566","state":"paused","revision":1}"#,
            "jobs/0/state: 'paused' is no state of a provider's job; those are queued, running"
        ),
        (#"{"id":"018f4e6a-2b1c-7d3e-8f40-112233445566","state":"running"}"#, "jobs/0/revision: is missing"),
        (
            #"{"id":"018f4e6a-2b1c-7d3e-8f40-112233445566","state":5,"revision":1}"#,
            "jobs/0/state: '5' is no state of a provider's job"
        ),
        ("null", "jobs/0: must be an object, but is null"), ("[[]]", "jobs/0: must be an object, but is a list"),
        (#""\u001b[2J""#, "jobs/0: must be an object, but is the text"),
    ])
    func `an unreadable row is skipped and named, the others count`(row: String, sentence: String) throws {
        let list = try list("\(row),\(members())")
        #expect(list.jobs.map(\.id) == [id])
        #expect(list.odd?.hasPrefix("1 of 2 jobs cannot be read; the first: \(sentence)") == true, "\(list.odd ?? "")")
        #expect(HealthSign(.answered(status: 200, retryAfterSeconds: nil, etag: nil, body: .jobs(list))).problem != nil)
    }

    @Test func `labels that are no texts spoil nothing`() throws {
        let labels = #","labels":{"run_id":"r","n":5,"z":null,"f":true,"deep":{"a":[1]}}"#
        let list = try list(members(labels))
        #expect(list.jobs[0].labels == ["run_id": "r", "n": "5", "f": "true"])
        #expect(list.odd == nil)
    }

    @Test func `figures with a fraction are read, odd ones are named`() throws {
        let text = #"{"statistics":{"oldest_queued_s":4.25,"counts":{"queued":1.5}},"jobs":[\#(members())]}"#
        guard case .jobs(let list) = body(.batch([id]), text) else { throw Unreadable("no list") }
        #expect(list.statistics.oldestQueuedSeconds == 4 && list.statistics.counts == ["queued": 1])
        #expect(list.odd == nil)
        guard case .jobs(let odd) = body(.batch([id]), #"{"statistics":{"counts":7},"jobs":[\#(members())]}"#) else {
            throw Unreadable("no list")
        }
        #expect(odd.jobs.count == 1)
        #expect(odd.odd == "statistics/counts: must be an object, but is the number 7")
    }

    @Test func `a page token that is too long ends the sweep and is named`() throws {
        let list = try list(members(), #","next_page_token":"\#(String(repeating: "x", count: 3_000))""#)
        #expect(list.nextPageToken == nil)
        #expect(list.odd == "next_page_token: 3000 bytes, at most 2048")
        #expect(try self.list("", #","next_page_token":"x""#).nextPageToken == "x")
    }

    @Test func `what is nested too deeply is left out of its row and named`() throws {
        let deep = String(repeating: "[", count: 50) + String(repeating: "]", count: 50)
        let list = try list(members(#","outputs":{"x":{"value":\#(deep)}}"#) + "," + members())
        #expect(list.jobs.count == 2)
        #expect(list.odd == "what is nested deeper than 32 levels was left out")
    }

    // MARK: - Jobs

    @Test(arguments: [
        (#""boom""#, "boom", "about:blank"), (#"{"title":"x"}"#, "x", "about:blank"),
        (#"{"type":"urn:t","message":"m"}"#, "m", "urn:t"), ("17", "17", "about:blank"),
        (#"["a","b"]"#, #"["a","b"]"#, "about:blank"), (#"{"code":5}"#, "5", "about:blank"),
        (#"{"foo":{"bar":1}}"#, #"{"foo":{"bar":1}}"#, "about:blank"),
        (#"{"detail":"cut \ud83d"}"#, "cut \u{FFFD}", "about:blank"),
        (#"{"type":"urn:oms:problem:stale-epoch","detail":"d"}"#, "d", "urn:oms:problem:sp-fenced"),
        (#"{"errors":[{"pointer":"/a","detail":"bad"},"odd"]}"#, "/a: bad; odd", "about:blank"),
        (#"{"title":"x","detail":" "}"#, "x", "about:blank"),
    ])
    func `an error in any shape ends the job with what can be read`(error: String, detail: String?, type: String) throws
    {
        let job = try job(members(#","error":\#(error)"#).replacing("running", with: "failed"))
        #expect(job.state == .failed)
        #expect(job.error?.detail == detail)
        #expect(job.error?.type == type)
    }

    @Test(arguments: [#""""#, #"" \n""#, "null"])
    func `an empty error is none, so that the job says that there was no reason`(error: String) throws {
        let job = try job(members(#","error":\#(error)"#).replacing("running", with: "failed"))
        #expect(job.state == .failed && job.error == nil)
    }

    @Test(arguments: [
        (#"{"name":["too short","empty"],"size":"large"}"#, ["/name too short", "/name empty", "/size large"]),
        (
            #"["one",{"pointer":"/a","detail":"two"},{"field":"b","message":"three"},5]"#,
            [" one", "/a two", "b three", " 5"]
        ),
        (#""alone""#, [" alone"]),
    ])
    func `field errors are read as a map, as texts and as objects`(errors: String, expected: [String]) throws {
        let job = try job(members(#","error":{"errors":\#(errors)}"#).replacing("running", with: "failed"))
        #expect(job.error?.errors?.map { "\($0.pointer) \($0.detail)" } == expected)
    }

    @Test(arguments: ["0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "1969-12-31T23:59:59Z", ""])
    func `a zero time is none`(time: String) throws {
        let job = try job(members(#","started":"\#(time)","finished":"\#(time)""#))
        #expect(job.started == nil && job.finished == nil && job.odd == nil)
    }

    @Test func `a time without a zone is named, and the job is read`() throws {
        let job = try job(members().replacing("00:00:01.000Z", with: "00:00:01.123456"))
        #expect(
            job.odd
                == "updated: '2026-01-01T00:00:01.123456' says no time zone; write Z or an offset such as +02:00 behind it"
        )
        #expect(job.timed(at(5).wall).updated == at(5).wall)
        #expect(
            try self.job(members(#","finished":"2300-01-01T00:00:00Z""#)).odd
                == "finished: '2300-01-01T00:00:00Z' is after the year 2199")
        #expect(try self.job(members(#","finished":17"#)).odd?.hasPrefix("finished: must be a time as a text") == true)
    }

    @Test func `a state and a revision are enough`() throws {
        let job = try job(
            #"{"id":"\#(id)","state":"succeeded","revision":4.0,"service":{},"tenant":"Müller","attempt":"x","progress":NaN,"#
                + #""message":{"a":1},"outputs":[1],"created":0,"updated":false}"#)
        #expect(job.state == .succeeded && job.revision == 4)
        #expect(job.message == #"{"a":1}"#)
        #expect(job.odd != nil)
        let request = JobRequest(id: id, service: "harvest", tenant: "men", config: ServiceConfig())
        #expect(job.answers(request))
    }

    @Test func `numbers beyond their range become the nearest`() throws {
        let job = try job(
            members(#","progress":1e300,"attempt":1e400"#).replacing(#""revision":3"#, with: #""revision":9e99"#))
        #expect(job.progress == 100 && job.attempt == 1 << 53 && job.revision == 1 << 53)
        #expect(try self.job(members(#","progress":-5"#)).progress == 0)
    }

    @Test func `large ids and infinite numbers in outputs are what was said`() throws {
        let job = try job(members(#","outputs":{"x":{"value":[12345678901234567890,12345678901234567891,1e400]}}"#))
        #expect(
            job.outputs.map { JSONValue.object($0).text() }
                == #"{"x":{"value":[12345678901234567890,12345678901234567891,1e400]}}"#)
    }

    @Test func `what is no JSON says why`() {
        #expect(why(body(.job(id), "[1,]")) == "not valid JSON: a comma with nothing behind it (at byte 3)")
        #expect(why(body(.job(id), "{\"a\u{0}\"")).hasPrefix("not valid JSON: "))
        #expect(why(body(.job(id), "5")) == "must be an object, but is the number 5")
        let deep = String(repeating: "[", count: 99) + String(repeating: "]", count: 99)
        #expect(
            why(body(.status, deep))
                == "must be an object, but is a list; what is nested deeper than 32 levels was left out")
    }

    // MARK: - Status and catalogue

    private func status(_ more: String) throws -> ProviderStatus {
        let text =
            #"{"status":"pass","version":"1","time":"2026-01-01T00:00:00Z","started_at":"2026-01-01T00:00:00Z","uptime_s":1,"accepting":true,\#(more)}"#
        guard case .status(let status) = body(.status, text) else {
            Issue.record("\(body(.status, text))")
            throw Unreadable("")
        }
        return status
    }

    @Test(arguments: [
        ("9223372036854775807", 31_536_000), ("1e400", 31_536_000), ("86400", 86_400), ("12.5", 12), ("-1", nil),
        ("0", nil),
        ("-9300000000000000", nil), ("\"1\"", nil), ("null", nil),
    ])
    func `a retention has a range; 0 and less are no limit that is known`(said: String, seconds: Int?) throws {
        #expect(try status(#""retention_s":\#(said)"#).retentionSeconds == seconds)
    }

    @Test func `odd figures and features spoil no status`() throws {
        #expect(try status(#""uptime_s":12.5"#).uptimeSeconds == 12)
        let odd = try status(#""features":"results","jobs":{"queued":1}"#)
        #expect(odd.features == nil && odd.jobs == nil && odd.odd == "jobs/running: is missing")
        let figures =
            #""queued":0,"running":-3,"executed_today":3000000000,"succeeded_today":1e300,"failed_today":0,"stopped_today":0"#
        let jobs = try status(#""jobs":{\#(figures)}"#).jobs
        #expect(jobs?.running == 0 && jobs?.executedToday == 3_000_000_000 && jobs?.succeededToday == 1 << 53)
        #expect(
            why(body(.status, #"{"status":"ok"}"#)) == "status: must be one of pass, warn, fail, but is the text 'ok'")
    }

    @Test func `an odd service spoils itself`() {
        let text = #"{"services":[{"id":"A b"},{"id":"x","type":"x","version":1,"available":true},{"id":"y"}]}"#
        guard case .services(let list) = body(.services(etag: nil), text) else {
            Issue.record("\(body(.services(etag: nil), text))")
            return
        }
        #expect(list.services.map(\.id) == ["x"])
        #expect(list.odd?.hasPrefix("2 of 3 services cannot be read; the first: services/0/id: ") == true)
    }

    @Test func `a tag that cannot be sent back is none`() {
        for (tag, kept) in [("\"x\"", true), ("a\u{1}b", false), (String(repeating: "x", count: 2_000), false)] {
            let answer = AnswerReader().read(.status, status: 200, headers: [("etag", tag)], body: [])
            guard case .answered(_, _, let etag, _) = answer else { continue }
            #expect((etag != nil) == kept)
        }
    }
}
