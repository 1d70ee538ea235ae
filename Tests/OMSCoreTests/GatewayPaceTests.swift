import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// Lets a gateway live for a while with a provider whose every answer is made up; counts what it was asked.
struct Life {
    var bench = GatewayBench()
    var asked: [String: Int] = [:]
    var catalogs = 0

    mutating func pass(
        _ milliseconds: Int64, step: Int64 = 20,
        _ answer: (inout GatewayBench, ProviderCall) -> ProviderAnswer
    ) {
        let end = bench.now + milliseconds
        while bench.now < end {
            bench.now = min(
                end, max(bench.now + 1, min(bench.now + step, bench.gateway.nextWake(at: at(bench.now)) - 1_000_000)))
            bench.feed(.wake)
            let calls = bench.calls
            bench.calls = []
            for call in calls {
                asked[call.kind.words, default: 0] += 1
                let reply = answer(&bench, call)
                bench.feed(.answer(call: call.id, latency: 1, reply))
            }
        }
    }

    static func regular(_ call: ProviderCall, _ bench: GatewayBench) -> ProviderAnswer {
        switch call.kind {
        case .status:
            var report = GatewayBench.status()
            report.time = at(bench.now).wall
            return ok(.status(report))
        case .services: return ok(.services(ServiceList(services: [])))
        case .sweep:
            return ok(.jobs(JobList(statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: [])))
        case .batch(let ids):
            return ok(
                .jobs(
                    JobList(
                        statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]),
                        jobs: ids.map { bench.job($0, .running) })))
        case .job(let id), .stop(let id, _): return ok(.job(bench.job(id, .running)))
        case .submit(let request): return ok(.job(bench.job(request.id, .running)), 201)
        }
    }

    static func ok(_ body: ProviderAnswer.Body, _ status: Int = 200, retryAfter: Int? = nil) -> ProviderAnswer {
        .answered(status: status, retryAfterSeconds: retryAfter, etag: nil, body: body)
    }

    static func busy(_ retryAfter: Int?) -> ProviderAnswer {
        ok(.problem(Problem(.busy, "full", status: 429)), 429, retryAfter: retryAfter)
    }
}

@Suite("A provider cannot make the gateway hurry")
struct GatewayPaceTests {
    let id = jobID(1)

    @Test(
        "429 with Retry-After 0, less, or none is the normal back-off, for each kind of question",
        arguments: [0, -1, Int.min, nil])
    func noHurry(retryAfter: Int?) {
        var life = Life()
        life.bench.command(.submit, id)
        life.pass(60_000) { bench, call in
            if case .submit = call.kind { return Life.busy(retryAfter) }
            return Life.regular(call, bench)
        }
        #expect((3...20).contains(life.asked["POST /jobs/"] ?? 0))
        for number in 2...40 { life.bench.command(.submit, jobID(number)) }
        life.asked = [:]
        life.pass(60_000) { bench, call in
            if case .submit = call.kind { return Life.busy(retryAfter) }
            return Life.regular(call, bench)
        }
        #expect((life.asked["POST /jobs/"] ?? 0) <= 20, "many jobs are no way around it")
    }

    @Test("who waits for a provider that answers 429 hears of that, and the job that never went has it in its end")
    func saysWhatItAnswers() {
        var life = Life()
        for number in 1...2 { life.bench.command(.submit, jobID(number), deadline: 30_000) }
        life.pass(31_000) { bench, call in
            if case .submit = call.kind { return Life.ok(.problem(Problem(type: "about:blank")), 429, retryAfter: 7) }
            return Life.regular(call, bench)
        }
        let words = "it answers 429 to POST /jobs/, Retry-After 7"
        #expect(life.bench.health.contains { $0.places?.text == words })
        let end = life.bench.events.last { $0.job == id }
        #expect(end?.state == .expired)
        #expect(end?.error?.detail == "not accepted by its deadline; last: \(words)")
    }

    @Test("clocks that are far apart are named, in the health and in the end of a job that came too late")
    func clocks() {
        for seconds in [-1_200, 7_200] {
            var bench = GatewayBench()
            bench.clockAhead = seconds
            bench.pass(10_000)
            let health = bench.health.last
            #expect(health?.status == .warn)
            #expect(health?.error?.detail?.hasPrefix("its clock is ") == true, "\(String(describing: health?.error))")
            let side = seconds > 0 ? " s ahead of its gateway's" : " s behind its gateway's"
            #expect(health?.error?.detail?.contains(side) == true)
            bench.command(.submit, id, deadline: 5_000)
            bench.pass(1_000)
            #expect(bench.events.last?.state == .expired)
            #expect(bench.events.last?.error?.detail?.contains("its clock is ") == true)
            bench.clockAhead = 0
            bench.pass(10_000)
            #expect(bench.health.last?.status == .pass)
        }
    }

    @Test("a provider whose /status is silent, while its jobs are answered, is reported once, and why")
    func noFlapping() {
        var life = Life()
        life.pass(600_000, step: 500) { bench, call in
            if case .status = call.kind { return .failed(.maybeSent, .timeout, "no complete answer after 5000 ms") }
            return Life.regular(call, bench)
        }
        let reports = life.bench.reports.compactMap { report -> (Health.Status, Problem?)? in
            if case .health(_, let status, _, let problem) = report { (status, problem) } else { nil }
        }
        #expect(reports.count < 10, "\(reports.count)")
        #expect(reports.allSatisfy { $0.0 == .pass || $0.1?.detail != nil })
    }

    @Test("the same for questions: sweep, batch, reads and stops", arguments: [0, -1, 1])
    func noHurryWithQuestions(retryAfter: Int) {
        var life = Life()
        for number in 1...5 { life.bench.command(.submit, jobID(number)) }
        life.pass(100) { bench, call in Life.regular(call, bench) }
        for number in 1...2 { life.bench.command(.stop, jobID(number)) }
        life.asked = [:]
        life.pass(60_000) { bench, call in
            switch call.kind {
            case .status, .services: Life.regular(call, bench)
            default: Life.busy(retryAfter)
            }
        }
        #expect((life.asked["GET /jobs/"] ?? 0) <= 70)
        #expect((1...130).contains(life.asked["POST /jobs/{id}"] ?? 0))
        #expect((life.asked["GET /jobs/{id}"] ?? 0) <= 300)
    }

    @Test("Retry-After beyond five minutes counts as five minutes")
    func patienceEnds() {
        var life = Life()
        life.bench.command(.submit, id)
        life.pass(100) { bench, call in
            if case .submit = call.kind { return Life.busy(1_000_000_000) }
            return Life.regular(call, bench)
        }
        life.pass(290_000, step: 1_000) { bench, call in Life.regular(call, bench) }
        #expect(life.bench.events.last?.state == .submitting)
        life.pass(12_000, step: 1_000) { bench, call in Life.regular(call, bench) }
        #expect(life.bench.events.last?.state == .running)
    }

    @Test("honest wishes are kept to the second")
    func honestWish() {
        var life = Life()
        life.bench.command(.submit, id)
        life.pass(10_500) { bench, call in
            if case .submit = call.kind { return Life.busy(2) }
            return Life.regular(call, bench)
        }
        #expect((5...6).contains(life.asked["POST /jobs/"] ?? 0))
    }

    @Test("pages without an end: a pace, and a token that is too long ends the sweep and is named")
    func pages() {
        var life = Life()
        life.bench.command(.submit, id)
        life.pass(60_000) { bench, call in
            guard case .sweep = call.kind else { return Life.regular(call, bench) }
            return Life.ok(
                .jobs(
                    JobList(
                        statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: [], nextPageToken: "t"))
            )
        }
        #expect((life.asked["GET /jobs/"] ?? 0) <= 60 + 5 * 60 + 65)
        life.asked = [:]
        life.pass(30_000) { bench, call in
            guard case .sweep = call.kind else { return Life.regular(call, bench) }
            return Life.ok(
                .jobs(
                    JobList(
                        statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: [],
                        nextPageToken: String(repeating: "t", count: 2_049))))
        }
        #expect((life.asked["GET /jobs/"] ?? 0) <= 33)
        #expect(life.bench.health.last?.error?.detail?.contains("next_page_token") == true)
    }

    @Test("a start that changes at every look: open jobs are asked three times at once and then once a minute")
    func restarts() {
        var life = Life()
        for number in 1...5 { life.bench.command(.submit, jobID(number)) }
        life.pass(600_000, step: 500) { bench, call in
            guard case .status = call.kind else { return Life.regular(call, bench) }
            return Life.ok(.status(GatewayBench.status(startedAt: bench.now)))
        }
        #expect((life.asked["GET /jobs/{id}"] ?? 0) <= 5 * 13)
        #expect((life.asked["GET /services"] ?? 0) <= 20 + 13)
    }

    @Test("a catalogue that changes at every look is taken over four times at once and then 20 times a day")
    func catalogue() {
        var bench = GatewayBench()
        var published: [String] = []
        func look(_ version: Int) {
            // Without events for long it would take itself for stopped.
            for _ in 0..<2 {
                bench.now += 10_000
                _ = bench.gateway.receive(.wake, at: at(bench.now)).compactMap { effect in
                    if case .call(let call) = effect, call.kind == .status { call.id } else { nil }
                }.map { bench.feed(.answer(call: $0, latency: 1, Life.ok(.status(GatewayBench.status())))) }
            }
            bench.now += 10_000
            var calls: [ProviderCall] = []
            for effect in bench.gateway.receive(.wake, at: at(bench.now)) {
                if case .call(let call) = effect { calls.append(call) }
            }
            for call in calls {
                var answer = Life.regular(call, bench)
                if case .services = call.kind {
                    let service = ServiceDescription(
                        id: "load", type: "harvest", version: "\(version)", available: true)
                    answer = Life.ok(.services(ServiceList(services: [service])))
                }
                for effect in bench.gateway.receive(.answer(call: call.id, latency: 1, answer), at: at(bench.now)) {
                    guard case .publish(let message) = effect, case .catalog(let catalog) = message.payload else {
                        continue
                    }
                    published.append(catalog.services.first?.version ?? "")
                }
            }
        }
        look(1)
        look(1)
        look(1)
        #expect(published == ["1"], "what is sent again is nothing new")
        look(2)
        #expect(published.last == "2", "a change comes at once")
        published = []
        for version in 3..<2_883 { look(version) }
        // A day: three at once are left, and one each 72 minutes.
        #expect((20...24).contains(published.count))
        #expect(bench.gateway.doors["alpha"]?.warning?.detail?.contains("changes at every look") == true)
        let last = published.count
        for _ in 0..<200 { look(9_999) }
        #expect(published.count == last + 1 && published.last == "9999", "the last change is not lost")
    }

    @Test("an entity tag that fits into no header is not sent back")
    func entityTag() {
        #expect(Gateway.usable("\"a\"") == "\"a\"")
        for tag in ["a\u{1}b", "a\r\nX-Evil: 1", "", "a b", String(repeating: "x", count: 1_025), "\u{7f}"] {
            #expect(Gateway.usable(tag) == nil)
        }
    }

    @Test("200 submits that take long leave room for status and sweep, and none waits for a connection")
    func places() {
        var bench = GatewayBench(maxRunning: 200)
        for number in 1...200 { bench.command(.submit, jobID(number)) }
        let submits = bench.calls.filter { if case .submit = $0.kind { true } else { false } }
        #expect(submits.count == Door.maxSubmits)
        bench.now = 6_000
        bench.feed(.wake)
        #expect(bench.calls.contains { $0.kind == .status })
        // Each that comes back makes room for the next.
        var done = 0
        while let call = bench.take() {
            guard case .submit(let request) = call.kind else { continue }
            bench.answer(call, 201, .job(bench.job(request.id, .running)))
            done += 1
            #expect(bench.gateway.calls.values.filter { $0.kind.words == "POST /jobs/" }.count <= Door.maxSubmits)
        }
        #expect(done == 200)
        #expect(bench.gateway.doors["alpha"]?.jobCalls == 0)
    }

    @Test("a restarted provider's thousand open jobs are asked for twelve at a time, and a stop goes first")
    func line() throws {
        var bench = GatewayBench(maxRunning: 1_000)
        for number in 1...1_000 { bench.command(.submit, jobID(number)) }
        while let call = bench.take() {
            if case .submit(let request) = call.kind { bench.answer(call, 201, .job(bench.job(request.id, .running))) }
        }
        bench.now = 6_000
        bench.feed(.wake)
        let status = try #require(bench.calls.first { $0.kind == .status })
        bench.calls = []
        bench.answer(status, 200, .status(GatewayBench.status(startedAt: 5_000)))
        let reads = bench.calls.filter { $0.kind.words == "GET /jobs/{id}" }
        #expect(reads.count == Door.maxJobCalls)
        bench.command(.stop, jobID(1_000))
        bench.now += 1
        bench.feed(.wake)
        bench.calls = []
        bench.answer(reads[0], 200, .job(bench.job(jobID(1), .running, revision: 2)))
        #expect(bench.calls.contains { if case .stop(let job, _) = $0.kind { job == jobID(1_000) } else { false } })
        var seen = Set(reads.map(\.id))
        for read in reads.dropFirst() { answer(read, &bench) }
        while let call = bench.calls.first {
            bench.calls.removeFirst()
            seen.insert(call.id)
            answer(call, &bench)
        }
        #expect(seen.count >= 1_000)
        #expect(bench.gateway.doors["alpha"]?.jobCalls == 0)
    }

    private func answer(_ call: ProviderCall, _ bench: inout GatewayBench) {
        switch call.kind {
        case .job(let id): bench.answer(call, 200, .job(bench.job(id, .running, revision: 2)))
        case .stop(let id, _): bench.answer(call, 200, .job(bench.job(id, .stopped, revision: 3)))
        default: break
        }
    }

    @Test("answers that cost much processor time are paid for with silence, and grave ones with the circuit")
    func cost() throws {
        var bench = GatewayBench()
        var asked = 0
        for _ in 0..<600 {
            bench.now += 1_000
            bench.feed(.wake)
            let calls = bench.calls
            bench.calls = []
            for call in calls {
                asked += 1
                switch call.kind {
                case .status: bench.answer(call, 200, .status(GatewayBench.status()), cost: 900_000)
                default: bench.answer(call, 304, .empty, cost: 900_000)
                }
            }
        }
        // Ten minutes of a tenth of a core, and what was allowed at once.
        #expect((60...75).contains(asked))
        #expect(bench.health.last?.error?.detail?.contains("processor") == true)
        #expect(bench.gateway.doors["alpha"]?.circuit == .closed)
        var grave = GatewayBench()
        grave.now = 6_000
        grave.feed(.wake)
        let status = try #require(grave.calls.first { $0.kind == .status })
        grave.answer(status, 200, .status(GatewayBench.status()), cost: 1_500_000)
        #expect(grave.gateway.doors["alpha"]?.circuit == .open)
    }

    @Test("health names a provider's moment though its status says pass, for a minute")
    func moments() throws {
        var life = Life()
        life.bench.command(.submit, id)
        life.pass(7_000) { bench, call in
            guard case .submit = call.kind else { return Life.regular(call, bench) }
            return Life.ok(
                .problem(Problem(type: "about:blank", title: "HTTP status 502", detail: "<html>bad gateway")), 502)
        }
        let warned = try #require(life.bench.health.last)
        #expect(warned.status == .warn)
        #expect(warned.error?.detail == "it answers 502 to POST /jobs/: <html>bad gateway")
        life.pass(70_000, step: 500) { bench, call in Life.regular(call, bench) }
        #expect(life.bench.health.last?.status == .pass && life.bench.health.last?.error == nil)
    }

    @Test("a row that was changed in the future does not stop the sweep from seeing what changes now")
    func farFuture() {
        var life = Life()
        life.bench.command(.submit, id)
        var since: [Timestamp] = []
        life.pass(5_000) { bench, call in
            guard case .sweep(let from, _, _) = call.kind else { return Life.regular(call, bench) }
            since.append(from)
            var row = bench.job(jobID(77), .succeeded)
            row.updated = at(5_000_000_000_000).wall
            return Life.ok(
                .jobs(JobList(statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: [row])))
        }
        #expect(!since.isEmpty && since.allSatisfy { $0 < at(10_000).wall })
    }
}

@Suite("Numbers from a provider, however extreme, end nobody's gateway")
struct ExtremeNumberTests {
    static let numbers = [
        Int.min, Int.min + 1, -9_300_000_000_000_000, -1, 0, 1, 9_300_000_000_000_000, Int.max - 1, Int.max,
    ]

    @Test("retention", arguments: numbers)
    func retention(seconds: Int) throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        bench.fail(try bench.taken(), .maybeSent, .timeout)
        bench.now = 6_000
        bench.feed(.wake)
        bench.status.retentionSeconds = seconds
        bench.status.uptimeSeconds = seconds
        bench.answerRegular()
        let gone = ProviderAnswer.Body.problem(Problem(.noSuchJob, "no"))
        bench.answer(try bench.taken(), 404, gone)
        bench.now = 9_000
        bench.feed(.wake)
        bench.answer(try bench.taken(), 404, gone)
        bench.now = 12_000
        bench.feed(.wake)
        // Absent twice, and a retention that is no number of seconds says nothing: the same id may be sent again.
        let next = bench.calls.first { $0.kind.words == "POST /jobs/" }
        #expect((next != nil) == (seconds != 1))
        bench.pass(60_000)
    }

    @Test("grace of a stop", arguments: numbers)
    func grace(seconds: Int) throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running, revision: seconds)))
        bench.feed(
            .received(
                Message(
                    .jobCommand("men", "alpha"),
                    .jobCommand(
                        JobCommand(id: "c", command: .stop, epoch: 1, job: jobID(1), graceSeconds: seconds)))))
        bench.now += 1
        bench.feed(.wake)
        let stop = try #require(bench.calls.first { if case .stop = $0.kind { true } else { false } })
        guard case .stop(_, let action) = stop.kind else { return }
        #expect((0...Span.maxSeconds).contains(action.graceSeconds ?? -1))
        bench.pass(60_000)
    }

    @Test("patience, back-off and the terms of a provider's document", arguments: numbers)
    func document(number: Int) throws {
        var bench = GatewayBench()
        var spec = ProviderSpec(baseURL: "http://sp", maxRunning: number)
        spec.pollSeconds = number
        spec.maxSubmitsPerSecond = number
        bench.feed(
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(
                        GatewayControl(id: "1", command: .attach, provider: "alpha", spec: spec, version: 2)))))
        bench.pass(1_000)
        bench.command(.submit, jobID(1))
        bench.answer(try bench.taken(), 429, .problem(Problem(.busy, "no")), retryAfter: number)
        bench.pass(400_000)
    }

    @Test("sums and products end at the type's ends")
    func saturating() {
        #expect(Int64.max.plus(1) == .max && Int64.min.plus(-1) == .min && Int64(2).plus(3) == 5)
        #expect(Int64.min.minus(1) == .min && Int64.max.minus(-1) == .max && Int64(2).minus(3) == -1)
        #expect(Int64.max.times(2) == .max && Int64.max.times(-2) == .min && Int64(-2).times(-3) == 6)
        #expect(Int64.min.times(-1) == .max && Int.min.times(1) == .min)
        #expect(Span.seconds(.max) == 31_536_000_000 && Span.seconds(.min) == 0 && Span.seconds(2) == 2_000)
    }
}
