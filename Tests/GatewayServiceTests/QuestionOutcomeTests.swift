import HostileProvider
import OMSCore
import OMSModel
import OMSProtocol
import Testing

/// Answers to the stop of a running job.
struct StopCase: Sendable, CustomTestStringConvertible {
    var name: String
    var fault: Fault?
    var times: Int? = 1
    var ends: JobState
    /// Stops that the gateway sent.
    var stops: ClosedRange<Int>
    /// The job's own length; longer than the test when only a stop can end it.
    var duration = 60_000
    var testDescription: String { name }

    static let all: [StopCase] = [
        .init(name: "202", fault: nil, ends: .stopped, stops: 1...1),
        .init(name: "2xx malformed", fault: .body("[]"), ends: .stopped, stops: 2...2),
        .init(
            name: "3xx", fault: .answer(302, headers: ["Location": "/"]), ends: .succeeded, stops: 1...1,
            duration: 1_500),
        .init(name: "400", fault: .answer(400), ends: .succeeded, stops: 1...1, duration: 1_500),
        .init(name: "401", fault: .answer(401), ends: .stopped, stops: 2...2),
        .init(name: "404", fault: .answer(404), ends: .lost, stops: 1...1),
        .init(name: "410", fault: .answer(410), ends: .lost, stops: 1...1),
        .init(name: "408", fault: .answer(408), ends: .stopped, stops: 2...2),
        .init(
            name: "409 not-stoppable", fault: .answer(409, body: SubmitCase.problem(.notStoppable)), ends: .succeeded,
            stops: 1...1, duration: 1_500),
        .init(name: "412", fault: .answer(412), ends: .succeeded, stops: 1...1, duration: 1_500),
        .init(name: "429", fault: .answer(429), ends: .stopped, stops: 2...2),
        .init(name: "500 twice", fault: .answer(500), times: 2, ends: .stopped, stops: 3...3),
        .init(name: "503 after executing", fault: .answer(503, executes: true), ends: .stopped, stops: 1...2),
        .init(name: "reset after executing", fault: .closeAfterExecuting, ends: .stopped, stops: 1...2),
        .init(name: "answers too late", fault: .late(milliseconds: 800), ends: .stopped, stops: 1...2),
        .init(name: "chunks of one byte", fault: .tinyChunks, ends: .stopped, stops: 1...1),
    ]
}

/// Answers to a question about a running job that the sweep does not show.
struct ReadCase: Sendable, CustomTestStringConvertible {
    var name: String
    var fault: Fault
    var times: Int?
    var ends: JobState
    /// States that must have been shown on the way.
    var through: Set<JobState> = []
    var testDescription: String { name }

    static let all: [ReadCase] = [
        .init(name: "malformed", fault: .body("{}"), times: 1, ends: .succeeded),
        .init(name: "3xx", fault: .answer(302), times: 1, ends: .succeeded),
        .init(name: "400", fault: .answer(400), times: 1, ends: .succeeded),
        .init(name: "401", fault: .answer(401), times: 1, ends: .succeeded),
        .init(name: "404 once", fault: .answer(404), times: 1, ends: .succeeded),
        .init(name: "404 twice", fault: .answer(404), times: 2, ends: .lost),
        .init(name: "410", fault: .answer(410), times: 1, ends: .lost),
        .init(name: "412", fault: .answer(412), times: 1, ends: .succeeded),
        .init(name: "429", fault: .answer(429, headers: ["Retry-After": "1"]), times: 1, ends: .succeeded),
        .init(name: "500, then good", fault: .answer(500), times: 2, ends: .succeeded),
        .init(name: "502 three times", fault: .answer(502), times: 4, ends: .succeeded, through: [.unknown]),
        .init(name: "reset three times", fault: .close, times: 8, ends: .succeeded, through: [.unknown]),
        .init(
            name: "timeout three times", fault: .late(milliseconds: 700), times: 4, ends: .succeeded,
            through: [.unknown]),
    ]
}

/// Answers to the regular questions.
struct RegularCase: Sendable, CustomTestStringConvertible {
    var name: String
    var rule: FaultRule
    var status: Health.Status
    /// A word of the fault in the health's error.
    var word: String
    var circuit: Health.Circuit?
    var staleCatalog = false
    var testDescription: String { name }

    private static let failing =
        #"{"status":"fail","version":"1","time":"2026-01-31T09:21:00.000Z","started_at":"2026-01-30T09:21:00.000Z","#
        + #""uptime_s":1,"accepting":false,"output":"disk full","jobs":{"queued":0,"running":0,"executed_today":0,"#
        + #""succeeded_today":0,"failed_today":0,"stopped_today":0}}"#

    static let all: [RegularCase] = [
        .init(
            name: "/status 503 fail", rule: .init([.status], .answer(503, body: failing)), status: .fail, word: "",
            circuit: .closed),
        .init(name: "/status malformed", rule: .init([.status], .body("{}")), status: .warn, word: "status"),
        .init(name: "/status 500", rule: .init([.status], .answer(500)), status: .fail, word: "500"),
        .init(
            name: "/status 401", rule: .init([.status], .answer(401)), status: .fail, word: "credential",
            circuit: .open),
        .init(
            name: "/status 412", rule: .init([.status], .answer(412)), status: .fail, word: "version 1",
            circuit: .open),
        .init(
            name: "/status 302", rule: .init([.status], .answer(302)), status: .fail, word: "redirects",
            circuit: .open),
        .init(
            name: "no answer to anything", rule: .init([.status, .services], .late(milliseconds: 5_000)),
            status: .unreachable,
            word: "timeout", circuit: .open),
        .init(
            name: "/status endless headers", rule: .init([.status], .endlessHeaders), status: .unreachable,
            word: "tooLarge"),
        .init(
            name: "/services malformed", rule: .init([.services], .answer(200, body: "[]")), status: .warn, word: "",
            staleCatalog: true),
        .init(
            name: "/services 500", rule: .init([.services], .answer(500)), status: .warn, word: "500",
            staleCatalog: true),
        .init(
            name: "/services 4 MiB", rule: .init([.services], .hugeBody(bytes: 4 << 20)), status: .warn,
            word: "tooLarge", staleCatalog: true),
        .init(
            name: "/services slow", rule: .init([.services], .slowHeaders(milliseconds: 1_000)), status: .warn,
            word: "timeout", staleCatalog: true),
    ]
}

@Suite("Answers to questions and stops, over real HTTP")
struct QuestionOutcomeTests {
    @Test("a stop leads to one end", arguments: StopCase.all)
    func stop(_ row: StopCase) async throws {
        let provider = try HostileProvider(row.fault.map { [FaultRule([.stop], $0, times: row.times)] } ?? [])
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job, duration: row.duration)
        _ = try await gateway.wait("running") { $0.state(job) == .running ? true : nil }
        await gateway.stop(job)
        #expect(try await gateway.end(of: job).state == row.ends)
        #expect(row.stops.contains(provider.log.count(.stop)), "\(provider.log.count(.stop)) stops")
        #expect(gateway.seen.terminal(job).count == 1 && provider.log.executions(of: job) == 1)
        await gateway.stop()
    }

    @Test("a question about a job leads to one end", arguments: ReadCase.all)
    func read(_ row: ReadCase) async throws {
        let list = #"{"statistics":{"as_of":"2026-01-31T09:21:00.000Z","counts":{"queued":0,"running":0}},"jobs":[]}"#
        let provider = try HostileProvider([
            FaultRule([.job], row.fault, times: row.times), FaultRule([.list], .body(list)),
        ])
        var timing = GatewayHarness.quick
        timing.quietMilliseconds = 300
        let gateway = GatewayHarness(timing: timing)
        await gateway.attach("sp", provider.url)
        let job = newJob()
        await gateway.submit(job, duration: 100)
        #expect(try await gateway.end(of: job).state == row.ends)
        let states = Set(gateway.seen.events[job]?.map(\.state) ?? [])
        #expect(row.through.isSubset(of: states), "only \(states)")
        #expect(gateway.seen.terminal(job).count == 1 && provider.log.executions(of: job) == 1)
        await gateway.stop()
    }

    @Test("health says what is wrong, the catalogue stands, and gets well again", arguments: RegularCase.all)
    func regular(_ row: RegularCase) async throws {
        let provider = try HostileProvider()
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        _ = try await gateway.wait("a catalogue") { $0.catalogs["sp"]?.first }
        provider.set([row.rule])
        _ = try await gateway.wait("\(row.status) with '\(row.word)'") { seen in
            seen.health["sp"]?.first { health in
                let text = health.error?.detail ?? health.error?.title ?? ""
                return health.status == row.status && (row.word.isEmpty || text.contains(row.word))
                    && (row.circuit == nil || row.circuit == health.circuit)
            }
        }
        if row.staleCatalog {
            let stale = try await gateway.wait("a stale catalogue") { $0.catalogs["sp"]?.first { $0.stale } }
            #expect(stale.services.count == 1, "the old catalogue stands")
        }
        provider.set([])
        _ = try await gateway.wait("health") { seen in
            seen.health["sp"]?.last.flatMap { $0.status == .pass && $0.circuit == .closed ? $0 : nil }
        }
        let job = newJob()
        await gateway.submit(job)
        #expect(try await gateway.end(of: job).state == .succeeded)
        await gateway.stop()
    }

    @Test("the catalogue is asked for with its ETag and comes once")
    func unchanged() async throws {
        let provider = try HostileProvider()
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        _ = try await gateway.wait("several status reports") { ($0.health["sp"]?.count ?? 0) > 6 ? true : nil }
        let asked = provider.log.requests.filter { $0.route == .services }
        #expect(asked.count >= 2 && asked.dropFirst().allSatisfy { $0.request.headers["if-none-match"] == "\"v1\"" })
        #expect(gateway.seen.catalogs["sp"]?.count == 1)
        await gateway.stop()
    }
}
