import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// A provider that says `stopping` for ever, and the places that it has.
@Suite("Places at a provider that never stops")
struct PlacesTests {
    /// Grace and patience.
    static let patience: Int64 = 70_000

    /// Submits a job and lets it run.
    private func begin(_ id: JobID, of tenant: TenantID = "men", _ bench: inout GatewayBench) throws {
        bench.command(.submit, id, tenant: tenant)
        let call = try bench.next()
        guard case .submit(let request) = call.kind else {
            Issue.record("\(call.kind)")
            return
        }
        #expect(request.id == id)
        bench.answer(call, 201, .job(bench.job(id, .running, revision: 2, tenant: tenant)))
    }

    /// Orders the stop; the provider says `stopping`, and says it again whenever it is asked.
    private func stop(_ id: JobID, of tenant: TenantID = "men", _ bench: inout GatewayBench) throws {
        bench.stop(id, of: tenant)
        let call = try bench.next()
        guard case .stop = call.kind else {
            Issue.record("\(call.kind)")
            return
        }
        bench.answer(call, 202, .job(bench.job(id, .stopping, revision: 3, tenant: tenant)))
    }

    /// Time goes by; whoever asks about a job hears the same.
    private func pass(_ milliseconds: Int64, _ tenants: [JobID: TenantID], _ bench: inout GatewayBench) {
        let end = bench.now + milliseconds
        while bench.now < end {
            bench.pass(min(1_000, end - bench.now))
            for call in bench.calls {
                let jobs: [JobID]
                switch call.kind {
                case .job(let id), .stop(let id, _): jobs = [id]
                case .batch(let ids): jobs = ids
                default: continue
                }
                let views = jobs.map { bench.job($0, .stopping, revision: 3, tenant: tenants[$0] ?? "men") }
                bench.calls.removeAll { $0.id == call.id }
                if case .batch = call.kind {
                    bench.answer(
                        call, 200,
                        .jobs(JobList(statistics: JobStatistics(asOf: at(bench.now).wall, counts: [:]), jobs: views)))
                } else {
                    bench.answer(call, 200, .job(views[0]))
                }
            }
        }
    }

    private func submits(_ bench: GatewayBench) -> [JobID] {
        bench.calls.compactMap { if case .submit(let request) = $0.kind { request.id } else { nil } }
    }

    @Test("a job that goes on after its stop gives its place back after grace and patience, and the neighbour is sent")
    func placeIsFree() throws {
        var bench = GatewayBench(maxRunning: 1)
        try begin(jobID(1), &bench)
        bench.command(.submit, jobID(2), tenant: "women")
        try stop(jobID(1), &bench)
        pass(Self.patience - 2_000, [:], &bench)
        #expect(submits(bench) == [], "what is told to stop has a right to its grace")
        let waiting = try #require(bench.health.last?.places)
        #expect(waiting.taken == 1 && waiting.limit == 1 && waiting.waiting == 1)
        #expect(waiting.text.contains("job \(jobID(1)) of tenant men (stopping)"), "who has the place")
        pass(4_000, [:], &bench)
        #expect(submits(bench) == [jobID(2)])
        let health = try #require(bench.health.last)
        #expect(health.status == .warn, "no provider that does this is well")
        #expect(health.error?.slug == ProblemSlug.stopUnconfirmed.rawValue)
        #expect(health.error?.detail?.contains("oms job give-up \(jobID(1)) --evidence") == true)
        #expect(health.places?.stuck == 1)
        // It ends after all.
        bench.calls = []
        bench.sweep([bench.job(jobID(1), .stopped, revision: 4)])
        #expect(bench.health.last?.status == .pass && bench.health.last?.error == nil)
    }

    @Test("repeated orders and a new epoch do not begin the patience anew")
    func patienceIsOne() throws {
        var bench = GatewayBench(maxRunning: 1)
        try begin(jobID(1), &bench)
        try stop(jobID(1), &bench)
        for second in 1...6 {
            pass(10_000, [:], &bench)
            bench.stop(jobID(1), epoch: 1 + second / 3)
        }
        pass(Self.patience - 60_000 + 2_000, [:], &bench)
        bench.command(.submit, jobID(2), tenant: "women", epoch: 1)
        #expect(submits(bench) == [jobID(2)])
    }

    @Test("one that its provider refuses to stop takes no place when its time is over for long")
    func notStoppable() throws {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(1), deadline: 100_000)
        try bench.answerNext(201, .job(bench.job(jobID(1), .running, revision: 2)))
        bench.command(.submit, jobID(2), tenant: "women")
        while bench.now < 100_000 + 62_000 {
            bench.pass(1_000)
            for call in bench.calls {
                if case .stop = call.kind { bench.answer(call, 409, .problem(Problem(.notStoppable, "no"))) }
                if case .job(let id) = call.kind { bench.answer(call, 200, .job(bench.job(id, .running, revision: 2))) }
                if case .submit = call.kind { continue }
                bench.calls.removeAll { $0.id == call.id }
            }
            if bench.now % 20_000 == 0 { bench.stop(jobID(1)) }
        }
        #expect(submits(bench) == [jobID(2)])
    }

    @Test("a tenant with as many of them as there are places gets no new work there; its neighbours do")
    func barred() throws {
        var bench = GatewayBench(maxRunning: 2)
        for number in 1...2 { try begin(jobID(number), &bench) }
        for number in 1...2 { try stop(jobID(number), &bench) }
        bench.command(.submit, jobID(3))
        bench.command(.submit, jobID(4), tenant: "women")
        pass(Self.patience + 2_000, [:], &bench)
        #expect(submits(bench) == [jobID(4)])
        let told = try #require(bench.events.last { $0.job == jobID(3) })
        #expect(told.state == .submitting)
        #expect(
            (1...2).contains { told.error?.detail?.contains("oms job give-up \(jobID($0))") == true },
            "it says who and what ends it")
        #expect(
            bench.health.last?.error?.detail?.contains("no new work here, until some have ended, for tenant men")
                == true)
        // One that comes now is told at once.
        bench.command(.submit, jobID(5))
        #expect(bench.events.last?.error?.slug == ProblemSlug.stopUnconfirmed.rawValue)
        #expect(
            bench.gateway.nextWake(at: at(bench.now)) > at(bench.now).monotonic + 50,
            "no busy waiting for nobody's turn")
        bench.giveUp(jobID(1))
        #expect(submits(bench).contains(jobID(3)), "one place of its own is free again")
    }

    @Test("a new process of the gateway finds out again who is stuck, by the deadline")
    func restarted() throws {
        let request = JobRequest(
            id: jobID(1), service: "harvest", tenant: "men", config: ServiceConfig(), deadline: at(-100_000).wall)
        let ledger = LedgerContents(
            open: [LedgerJob(tenant: "men", provider: "alpha", epoch: 1, request: request, acknowledged: true)])
        var bench = GatewayBench(maxRunning: 1, ledger: ledger)
        bench.command(.submit, jobID(2), tenant: "women")
        pass(3_000, [:], &bench)
        #expect(submits(bench) == [jobID(2)])
    }
}

@Suite("Jobs that are given up, at the gateway")
struct GiveUpGatewayTests {
    private func stuck(_ bench: inout GatewayBench) throws {
        bench.command(.submit, jobID(1))
        try bench.answerNext(201, .job(bench.job(jobID(1), .running, revision: 2)))
        bench.stop(jobID(1))
        try bench.answerNext(202, .job(bench.job(jobID(1), .stopping, revision: 3)))
    }

    @Test("end as lost, after that is on the disk; nothing is stopped or asked any more; twice changes nothing")
    func ends() throws {
        var bench = GatewayBench(maxRunning: 1)
        try stuck(&bench)
        bench.command(.submit, jobID(2), tenant: "women")
        bench.giveUp(jobID(1))
        let entry = try #require(bench.records.last { if case .givenUp = $0 { true } else { false } })
        #expect(entry.isBlocking)
        let end = try #require(bench.events.last { $0.job == jobID(1) })
        #expect(end.state == .lost && end.error?.slug == "given-up")
        #expect(end.error?.detail?.contains("given up by anna: it burnt") == true, "who, and how that is known")
        #expect(bench.acks.last?.gaveUp == [jobID(1)])
        guard case .submit(let request)? = bench.take()?.kind else {
            Issue.record("the place is not free")
            return
        }
        #expect(request.id == jobID(2))
        bench.pass(200_000)
        #expect(!bench.calls.contains { if case .stop = $0.kind { true } else { false } })
        let events = bench.events.count
        let records = bench.records.count
        bench.giveUp(jobID(1))
        #expect(bench.acks.last?.gaveUp == [jobID(1)])
        #expect(bench.events.dropFirst(events).map(\.state) == [.lost] && bench.records.count == records)
        // Its Work Manager, which has not heard it, asks again.
        bench.stop(jobID(1))
        #expect(bench.events.last?.state == .lost)
    }

    @Test("survive the end of the gateway's process")
    func restart() throws {
        let wish = GivenUpJob(job: jobID(1), tenant: "men", provider: "alpha", by: "anna", evidence: "it burnt")
        var contents = LedgerContents()
        contents.givenUp = [.init(job: wish, age: 1_000)]
        var bench = GatewayBench(ledger: contents)
        bench.announce(1)
        bench.stop(jobID(1))
        #expect(bench.events.map(\.state) == [.lost])
        #expect(bench.events.last?.error?.detail?.contains("it burnt") == true)
        #expect(bench.take() == nil, "nobody is asked")
        bench.command(.submit, jobID(1))
        #expect(bench.events.last?.state == .lost && bench.take() == nil)
    }

    @Test("what runs as it should is not given up")
    func refused() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        try bench.answerNext(201, .job(bench.job(jobID(1), .running, revision: 2)))
        bench.giveUp(jobID(1))
        #expect(bench.acks.last?.gaveUp == [] && bench.acks.last?.refused?.map(\.job) == [jobID(1)])
        #expect(bench.events.last?.state == .running)
        #expect(!bench.records.contains { if case .givenUp = $0 { true } else { false } })
    }

    @Test("a later sign of life is told, once for each change and not more than once a minute, and is no second end")
    func signs() throws {
        var bench = GatewayBench()
        try stuck(&bench)
        bench.giveUp(jobID(1))
        let (events, acks) = (bench.events.count, bench.acks.count)
        func signs() -> [JobState] { bench.acks.dropFirst(acks).flatMap { $0.signs ?? [] }.map(\.state) }
        // Something else keeps the provider being asked.
        bench.command(.submit, jobID(2), tenant: "women")
        try bench.answerNext(201, .job(bench.job(jobID(2), .running, tenant: "women")))
        bench.sweep([bench.job(jobID(1), .stopping, revision: 3)])
        #expect(signs() == [], "what was known is no sign")
        for revision in 4...20 { bench.sweep([bench.job(jobID(1), .stopping, revision: revision)]) }
        #expect(signs() == [.stopping])
        bench.sweep([bench.job(jobID(1), .succeeded, revision: 21)])
        bench.sweep([bench.job(jobID(1), .succeeded, revision: 21)])
        #expect(signs() == [.stopping, .succeeded])
        #expect(bench.events.dropFirst(events).allSatisfy { $0.job != jobID(1) }, "no second end")
        #expect(bench.health.last?.status == .pass, "and no broken promise of the provider's")
    }

    @Test("an answer that was under way is no second end", arguments: [202, 404, 410, 500])
    func underWay(status: Int) throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        try bench.answerNext(201, .job(bench.job(jobID(1), .running, revision: 2)))
        bench.stop(jobID(1))
        let call = try bench.next()
        bench.giveUp(jobID(1))
        let events = bench.events.count
        bench.answer(
            call, status,
            status == 202 ? .job(bench.job(jobID(1), .stopping, revision: 3)) : .problem(Problem(.noSuchJob, "gone")))
        bench.pass(100_000)
        #expect(bench.events.count == events && bench.take() == nil)
    }

    @Test("what the disk refused is written when it is asked again")
    func diskRefused() throws {
        var bench = GatewayBench()
        try stuck(&bench)
        bench.giveUp(jobID(1))
        let entries = bench.records.filter { if case .givenUp = $0 { true } else { false } }
        bench.feed(.unrecorded(entries))
        let before = bench.records.count
        bench.giveUp(jobID(1))
        #expect(bench.records.count == before + 1)
    }
}

extension GatewayBench {
    /// The one waiting call; without one the test ends here.
    mutating func next() throws -> ProviderCall {
        let call = take()
        return try #require(call)
    }

    mutating func answerNext(_ status: Int, _ body: ProviderAnswer.Body) throws {
        let call = try next()
        answer(call, status, body)
    }

    mutating func stop(_ job: JobID, of tenant: TenantID = "men", epoch: Int = 1) {
        feed(
            .received(
                Message(
                    .jobCommand(tenant, "alpha"),
                    .jobCommand(
                        JobCommand(id: "s", command: .stop, epoch: epoch, job: job, graceSeconds: 10, reason: "test"))))
        )
        feed(.wake)
    }

    mutating func giveUp(_ job: JobID, of tenant: TenantID = "men") {
        control(
            .giveUp,
            giveUps: [GivenUpJob(job: job, tenant: tenant, provider: "alpha", by: "anna", evidence: "it burnt")])
    }

    /// The next sweep brings these.
    mutating func sweep(_ jobs: [ProviderJob]) {
        for _ in 0..<20 {
            now += 300
            feed(.wake)
            let sweeps = calls.filter { if case .sweep = $0.kind { true } else { false } }
            guard let call = sweeps.first else { continue }
            calls.removeAll { $0.id == call.id }
            return answer(
                call, 200, .jobs(JobList(statistics: JobStatistics(asOf: at(now).wall, counts: [:]), jobs: jobs)))
        }
        Issue.record("no sweep came")
    }
}
