import Curl
import HostileProvider
import OMSModel
import OMSProtocol
import Testing

/// What one kind of answer to `POST /jobs/` leads to.
struct SubmitCase: Sendable, CustomTestStringConvertible {
    var name: String
    var rules: [FaultRule]
    var ends: JobState
    /// How often a submit may have reached the provider.
    var submits: ClosedRange<Int>
    /// By the provider's own log.
    var executions: Int
    /// A word that the health reports must have, of the fault.
    var health: String?
    var deadline = 20.0

    init(
        _ name: String, _ fault: Fault?, times: Int? = 1, ends: JobState = .succeeded, submits: ClosedRange<Int>,
        executions: Int, health: String? = nil, deadline: Double = 20, also rules: [FaultRule] = []
    ) {
        self.name = name
        self.rules = (fault.map { [FaultRule([.submit], $0, times: times)] } ?? []) + rules
        self.ends = ends
        self.submits = submits
        self.executions = executions
        self.health = health
        self.deadline = deadline
    }

    var testDescription: String { name }

    static let refusals = [400, 402, 405, 406, 411, 413, 415, 422, 501].map { status in
        SubmitCase("\(status)", .answer(status), ends: .rejected, submits: 1...1, executions: 0)
    }

    static let otherJob =
        #"{"id":"018f4e6a-2b1c-7d3e-8f40-112233445566","service":"count","tenant":"acme","state":"running","#
        + #""revision":1,"created":"2026-01-31T09:20:00.000Z","updated":"2026-01-31T09:20:00.000Z"}"#

    static func problem(_ slug: ProblemSlug) -> String { #"{"type":"\#(slug.urn)","retryable":false}"# }

    static let all: [SubmitCase] =
        refusals + [
            .init("201", nil, submits: 1...1, executions: 1),
            .init("2xx, no JSON", .body("{"), submits: 1...1, executions: 1, health: "before the JSON does"),
            .init("2xx, another id", .body(otherJob), submits: 1...1, executions: 1, health: "asked for job"),
            .init("2xx, empty", .body(""), submits: 1...1, executions: 1, health: "JSON"),
            .init(
                "2xx, wrong types", .replacing("\"revision\":1", with: "\"revision\":\"1\""), submits: 1...1,
                executions: 1, health: "revision"),
            .init(
                "2xx, a state of ours", .replacing("\"queued\"", with: "\"lost\""), submits: 1...1, executions: 1,
                health: "no state of a provider"),
            .init(
                "301", .answer(301, headers: ["Location": "/jobs"]), ends: .rejected, submits: 1...1, executions: 0,
                health: "redirects are not followed"),
            .init(
                "307 to a private address", .answer(307, headers: ["Location": "http://169.254.169.254/"]),
                ends: .rejected, submits: 1...1, executions: 0, health: "redirects are not followed"),
            .init("401, mended later", .answer(401), times: 2, submits: 3...3, executions: 1, health: "credential"),
            .init(
                "403, never mended", .answer(403), times: nil, ends: .expired, submits: 1...20, executions: 0,
                health: "credential", deadline: 1.5),
            .init("407, mended later", .answer(407), times: 1, submits: 2...2, executions: 1, health: "credential"),
            .init("404", .answer(404, body: problem(.noSuchService)), ends: .rejected, submits: 1...1, executions: 0),
            .init("408", .answer(408), times: 2, submits: 3...3, executions: 1),
            .init("425", .answer(425), times: 2, submits: 3...3, executions: 1),
            .init("409, ours", .answer(409, body: problem(.idConflict), executes: true), submits: 1...1, executions: 1),
            .init(
                "409, another's", .answer(409, body: problem(.idConflict), executes: true), ends: .rejected,
                submits: 1...1, executions: 1,
                also: [FaultRule([.job, .list], .replacing("\"run_id\":\"r\"", with: "\"run_id\":\"q\""))]),
            .init("409 stopped", .answer(409, body: problem(.stopped)), ends: .stopped, submits: 1...1, executions: 0),
            .init("410", .answer(410), ends: .rejected, submits: 1...1, executions: 0),
            .init("412", .answer(412), ends: .rejected, submits: 1...1, executions: 0, health: "interface version"),
            .init(
                "429 with Retry-After", .answer(429, headers: ["Retry-After": "1"]), times: 2, submits: 3...3,
                executions: 1),
            .init("429 without", .answer(429), times: 2, submits: 3...3, executions: 1),
            .init("500, executed", .answer(500, executes: true), submits: 2...2, executions: 1),
            .init(
                "500, always, executed", .answer(500, executes: true), times: nil, submits: 4...4, executions: 1,
                health: "it answers 500 to POST /jobs/"),
            .init("502, executed", .answer(502, executes: true), times: 3, submits: 4...4, executions: 1),
            .init("503", .answer(503, headers: ["Retry-After": "1"]), times: 1, submits: 2...2, executions: 1),
            .init(
                "504, executed, always", .answer(504, executes: true), times: nil, ends: .stopped, submits: 2...30,
                executions: 1, deadline: 1.2),
            .init("reset after executing", .closeAfterExecuting, submits: 1...1, executions: 1, health: "reset"),
            .init("reset before executing", .close, submits: 2...2, executions: 1, health: "reset"),
            .init(
                "answers after the timeout", .late(milliseconds: 800), submits: 1...1, executions: 1,
                health: "timeout"),
            .init("half an answer", .truncated, submits: 1...1, executions: 1, health: "reset"),
            .init("no HTTP", .garbage, submits: 2...2, executions: 1, health: "malformed"),
            .init(
                "headers of 1 byte/s", .slowHeaders(milliseconds: 1000), submits: 1...1, executions: 1,
                health: "timeout"),
            .init("body of 1 byte/s", .slowBody(milliseconds: 1000), submits: 1...1, executions: 1, health: "timeout"),
            .init("chunks of one byte", .tinyChunks, submits: 1...1, executions: 1),
            .init("64 MiB", .hugeBody(bytes: 64 << 20), submits: 2...2, executions: 1, health: "tooLarge"),
            .init("headers without end", .endlessHeaders, submits: 2...2, executions: 1, health: "tooLarge"),
            .init("deep JSON", .deepJSON(depth: 100_000), submits: 2...2, executions: 1, health: "must be an object"),
            .init("gzip bomb", .gzipBomb, submits: 2...2, executions: 1, health: "a value is expected"),
        ]
}

@Suite("Answers to a submit, over real HTTP")
struct SubmitOutcomeTests {
    @Test("leads to one end and one execution", arguments: SubmitCase.all)
    func outcome(_ row: SubmitCase) async throws {
        let provider = try HostileProvider(row.rules)
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job, duration: row.ends == .stopped ? 60_000 : 20, deadlineSeconds: row.deadline)
        let end = try await gateway.end(of: job)
        #expect(end.state == row.ends, "\(end.error?.detail ?? "")")
        // A provider begins a job some milliseconds after it has taken it; a refused read can end it here before that.
        try await Task.sleep(for: .milliseconds(HostileProvider.beginsWithinMilliseconds))
        let log = provider.log
        #expect(row.submits.contains(log.submits(of: job) + missed(log, job)), "\(log.count(.submit)) submits")
        #expect(log.executions(of: job) == row.executions)
        #expect(gateway.seen.terminal(job).count == 1)
        if let word = row.health {
            let said = gateway.seen.health["sp"]?.compactMap { $0.error?.detail ?? $0.error?.title } ?? []
            #expect(said.contains { $0.contains(word) }, "health said \(Set(said))")
        }
        await gateway.stop()
    }

    /// Submits that a fault met before the provider looked at them.
    private func missed(_ log: ExecutionLog, _ job: JobID) -> Int {
        log.count(.submit) - log.submits.values.reduce(0, +)
    }

    @Test("a reused connection that dies after executing is not used to submit again")
    func reusedConnection() async throws {
        let provider = try HostileProvider([FaultRule([.submit], .closeAfterExecuting, onlyReused: true)])
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        var jobs: [JobID] = []
        for _ in 0..<20 {
            let job = newJob()
            jobs.append(job)
            await gateway.submit(job)
            #expect(try await gateway.end(of: job).state == .succeeded)
        }
        let log = provider.log
        #expect(log.requests.contains { $0.route == .submit && $0.request.numberOnConnection > 0 }, "never reused")
        for job in jobs { #expect(log.submits(of: job) == 1 && log.executions(of: job) == 1) }
        await gateway.stop()
    }

    @Test("nothing sent, nothing executed: a closed port, a name that does not exist", arguments: [false, true])
    func unreachable(dns: Bool) async throws {
        let provider = try HostileProvider()
        provider.stop()
        let gateway = GatewayHarness()
        await gateway.attach("sp", dns ? "http://no-such-host.invalid:1" : provider.url)
        let job = newJob()
        await gateway.submit(job, deadlineSeconds: 1)
        #expect(try await gateway.end(of: job).state == .expired)
        let health = try await gateway.wait("unreachable") { $0.health["sp"]?.first { $0.status == .unreachable } }
        let text = health.error?.detail ?? ""
        #expect(text.contains("connect: ") || text.contains("resolve: "), "\(text)")
        await gateway.stop()
    }

    @Test("TLS where there is none: health says so, the job expires without being sent")
    func tls() async throws {
        let provider = try HostileProvider(greeting: Array("SSH-2.0-not-TLS\r\n".utf8))
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url.replacing("http:", with: "https:"))
        let job = newJob()
        await gateway.submit(job, deadlineSeconds: 1)
        #expect(try await gateway.end(of: job).state == .expired)
        #expect(gateway.seen.health["sp"]?.contains { $0.error?.detail?.hasPrefix("TLS") == true } == true)
        #expect(provider.log.submits.isEmpty)
        await gateway.stop()
    }

    @Test("an address outside the policy is never contacted")
    func policy() async throws {
        let provider = try HostileProvider()
        let gateway = GatewayHarness { $0.addressPolicy.allowedPrivate = [] }
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job, deadlineSeconds: 1)
        #expect(try await gateway.end(of: job).state == .expired)
        #expect(gateway.seen.health["sp"]?.contains { $0.error?.detail?.contains("policy") == true } == true)
        #expect(provider.log.requests.isEmpty)
        await gateway.stop()
    }
}
