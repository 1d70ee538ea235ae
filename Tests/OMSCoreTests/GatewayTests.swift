import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

private func slug(_ event: JobEvent?) -> String? { event?.error?.slug }

@Suite("The gateway")
struct GatewayTests {
    let id = jobID(1)
    let problem = ProviderAnswer.Body.problem(Problem(.busy, "full"))

    private func submitted(_ bench: inout GatewayBench) -> ProviderCall {
        bench.command(.submit, id)
        guard let call = bench.take(), case .submit = call.kind else { preconditionFailure("no submit went out") }
        return call
    }

    @Test("submits once, reports what the provider says, and follows it by the sweep")
    func happyPath() {
        var bench = GatewayBench()
        let call = submitted(&bench)
        #expect(call.epoch == 1)
        #expect(bench.events.map(\.state) == [.submitting])
        bench.answer(call, 201, .job(bench.job(id, .queued)))
        #expect(bench.events.map(\.state) == [.submitting, .queued])
        bench.now = 2_000
        bench.feed(.wake)
        let sweep = bench.calls.first { if case .sweep = $0.kind { true } else { false } }
        bench.answer(
            sweep!, 200,
            .jobs(
                JobList(
                    statistics: JobStatistics(asOf: at(0).wall, counts: [:]),
                    jobs: [bench.job(id, .succeeded, revision: 3)])))
        #expect(bench.events.last?.state == .succeeded)
        // Asked again: answered from memory, nothing is sent.
        bench.calls = []
        bench.command(.submit, id)
        #expect(bench.events.last?.state == .succeeded)
        #expect(bench.take() == nil)
    }

    @Test("a doubled command submits nothing more")
    func doubled() {
        var bench = GatewayBench()
        _ = submitted(&bench)
        bench.command(.submit, id)
        bench.command(.submit, id, epoch: 2)
        #expect(bench.take() == nil)
    }

    @Test("refuses an older epoch, and says so with that epoch")
    func fence() {
        var bench = GatewayBench()
        bench.feed(
            .received(
                Message(.wmEpoch("men"), .wmEpoch(WMEpoch(epoch: 3, fleet: "f", generation: 1, since: at(0).wall)))))
        bench.command(.submit, id, epoch: 2)
        #expect(bench.take() == nil)
        #expect(bench.events.map(\.epoch) == [2])
        #expect(slug(bench.events.last) == "stale-epoch")
        bench.feed(
            .received(
                Message(.wmEpoch("men"), .wmEpoch(WMEpoch(epoch: 1, fleet: "f", generation: 1, since: at(0).wall)))))
        bench.command(.submit, id, epoch: 2)
        #expect(bench.take() == nil, "the fence only rises")
        bench.command(.submit, id, epoch: 3)
        #expect(bench.take() != nil)
    }

    @Test(
        "a 4xx is a refusal, once and for all", arguments: [300, 307, 400, 404, 405, 410, 411, 412, 413, 415, 422, 501])
    func refused(status: Int) {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), status, problem)
        #expect(bench.events.last?.state == .rejected)
        bench.pass(60_000)
        #expect(bench.take() == nil)
    }

    @Test(
        "what provably did not arrive, and what asks for patience, is sent again with the same id",
        arguments: [408, 425, 429, 503, 502, 504, 500])
    func again(status: Int) {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), status, problem, retryAfter: status == 429 ? 7 : nil)
        if status == 429 {
            bench.pass(6_900)
            #expect(bench.take() == nil, "Retry-After is kept")
        }
        bench.pass(2_000)
        let second = bench.take()
        guard case .submit(let request)? = second?.kind else {
            Issue.record("no second submit")
            return
        }
        #expect(request.id == id)
    }

    @Test("a refused connection is no execution: again, and expired at the deadline")
    func notSent() {
        var bench = GatewayBench()
        bench.command(.submit, id, deadline: 20_000)
        var submits = 0
        while bench.now < 30_000 {
            if let call = bench.take() {
                guard case .submit = call.kind else {
                    Issue.record("\(call.kind)")
                    return
                }
                submits += 1
                bench.fail(call, .notSent, .connect)
            }
            bench.pass(500)
        }
        #expect(submits >= 2)
        #expect(bench.events.last?.state == .expired)
        #expect(bench.events.last?.error?.detail?.contains("connect") == true)
    }

    @Test("a lost answer is unknown, never a blind repeat: read first; found means adopted")
    func lostAnswerFound() {
        var bench = GatewayBench()
        bench.fail(submitted(&bench), .maybeSent, .timeout)
        #expect(bench.events.last?.state == .unknown)
        #expect(slug(bench.events.last) == "submit-unknown")
        bench.pass(1_000)
        let read = bench.take()
        #expect(read?.kind == .job(id))
        bench.answer(read!, 200, .job(bench.job(id, .running)))
        #expect(bench.events.last?.state == .running)
        bench.pass(10_000)
        #expect(bench.take() == nil)
    }

    @Test("a lost answer that is absent twice is sent again with the same id")
    func lostAnswerAbsent() {
        var bench = GatewayBench()
        bench.fail(submitted(&bench), .maybeSent, .reset)
        bench.pass(1_000)
        bench.answer(bench.take()!, 404, problem)
        bench.pass(1_000)
        #expect(bench.take() == nil, "the second look waits two seconds")
        bench.pass(1_500)
        bench.answer(bench.take()!, 404, problem)
        bench.pass(1_500)
        guard case .submit(let request)? = bench.take()?.kind else {
            Issue.record("not sent again")
            return
        }
        #expect(request.id == id)
    }

    @Test("a malformed 2xx is unknown as well", arguments: [200, 201, 202])
    func malformed(status: Int) {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), status, .malformed("state is missing"))
        #expect(bench.events.last?.state == .unknown)
        #expect(bench.health.last?.status == .warn)
    }

    @Test(
        "a conflict is read: ours is adopted, another's is a refusal",
        arguments: [("r", JobState.running), ("x", .rejected)])
    func conflict(runID: String, end: JobState) {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), 409, .problem(Problem(.idConflict, "other request")))
        let read = bench.take()
        #expect(read?.kind == .job(id))
        bench.answer(read!, 200, .job(bench.job(id, .running, runID: runID)))
        #expect(bench.events.last?.state == end)
    }

    @Test("500 four times is unknown")
    func serverErrors() {
        var bench = GatewayBench()
        var call = submitted(&bench)
        for _ in 0..<3 {
            bench.answer(call, 500, problem)
            bench.pass(10_000)
            call = bench.take()!
        }
        bench.answer(call, 500, problem)
        #expect(bench.events.last?.state == .unknown)
    }

    @Test("may it have arrived, then at the deadline a stop goes out before anybody calls it expired")
    func deadlineStops() {
        var bench = GatewayBench()
        bench.command(.submit, id, deadline: 5_000)
        bench.answer(bench.take()!, 503, problem, retryAfter: 60)
        bench.pass(5_100)
        #expect(bench.events.last?.state == .unknown)
        let stop = bench.take()
        guard case .stop = stop?.kind else {
            Issue.record("no stop: \(String(describing: stop))")
            return
        }
        bench.answer(stop!, 404, problem)
        #expect(bench.events.last?.state == .expired)
    }

    @Test("a provider that denies a job it had: missed in the look at quiet jobs, confirmed twice, then lost")
    func forgotten() {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), 201, .job(bench.job(id, .running)))
        bench.pass(46_000)
        let look = bench.take()!
        #expect(look.kind == .batch([id]))
        bench.answer(look, 200, .jobs(JobList(statistics: JobStatistics(asOf: at(0).wall, counts: [:]), jobs: [])))
        bench.feed(.wake)
        bench.answer(bench.take()!, 404, problem)
        #expect(bench.events.last?.state == .running)
        bench.pass(2_100)
        bench.answer(bench.take()!, 404, problem)
        #expect(bench.events.last?.state == .lost)
    }

    @Test("falling ranks and falling revisions change nothing but the provider's health")
    func illegal() {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), 201, .job(bench.job(id, .running, revision: 5)))
        let before = bench.events.count
        bench.gateway.apply(bench.job(id, .queued, revision: 6), to: bench.gateway.jobs[id]!, at: at(10))
        bench.gateway.apply(bench.job(id, .stopping, revision: 4), to: bench.gateway.jobs[id]!, at: at(10))
        #expect(bench.gateway.jobs[id]?.state == .running)
        bench.feed(.wake)
        #expect(bench.events.count == before)
        #expect(bench.health.last?.status == .warn)
        #expect(bench.health.last?.error?.slug == "illegal-transition")
    }

    @Test("tenants take turns: one with a crowd does not delay another's first job")
    func fairness() {
        var bench = GatewayBench(maxRunning: 2)
        for number in 0..<100 { bench.command(.submit, jobID(number), tenant: "men") }
        bench.command(.submit, jobID(1_000), tenant: "women")
        var order: [JobID] = []
        while order.count < 10, let call = bench.take() {
            guard case .submit(let request) = call.kind else { break }
            order.append(request.id)
            bench.answer(call, 201, .job(bench.job(request.id, .succeeded, tenant: request.tenant)))
        }
        #expect(order.firstIndex(of: jobID(1_000)).map { $0 <= 4 } == true, "\(order)")
    }

    @Test("never more jobs at a provider than allowed")
    func concurrency() {
        var bench = GatewayBench(maxRunning: 3)
        for number in 0..<10 { bench.command(.submit, jobID(number)) }
        bench.answerRegular()
        #expect(bench.calls.count == 3)
    }

    @Test("the circuit opens after five failures, probes with /status alone, and closes with a good one")
    func circuit() {
        var bench = GatewayBench()
        for number in 0..<5 { bench.command(.submit, jobID(number)) }
        bench.answerRegular()
        for call in bench.calls { bench.fail(call, .notSent, .connect) }
        bench.calls = []
        #expect(bench.health.last?.circuit == .open)
        #expect(bench.health.last?.status == .unreachable)
        bench.now += 4_900
        bench.feed(.wake)
        #expect(bench.calls.isEmpty)
        bench.now += 200
        bench.feed(.wake)
        #expect(bench.calls.map(\.kind) == [.status])
        bench.fail(bench.calls.removeFirst(), .notSent, .connect)
        bench.now += 5_100
        bench.feed(.wake)
        #expect(bench.calls.map(\.kind) == [.status])
        bench.answer(bench.calls.removeFirst(), 200, .status(GatewayBench.status()))
        #expect(bench.health.last?.circuit == .closed)
        bench.pass(30_000)
        #expect(bench.calls.count == 5, "all jobs go on")
    }

    @Test("a refused credential opens the circuit at once and names the cause")
    func unauthorized() {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), 401, problem)
        #expect(bench.health.last?.circuit == .open)
        #expect(bench.health.last?.error?.slug == "unauthorized")
        #expect(bench.events.last?.state == .submitting)
    }

    @Test("after a provider's restart every open job is asked for by itself")
    func providerRestart() {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), 201, .job(bench.job(id, .running)))
        bench.now = 6_000
        bench.feed(.wake)
        let probe = bench.calls.first { $0.kind == .status }!
        bench.answer(probe, 200, .status(GatewayBench.status(startedAt: 5_000)))
        #expect(bench.calls.contains { $0.kind == .job(id) })
    }

    @Test("a question after a job that this process never saw goes to the provider")
    func adopted() {
        var bench = GatewayBench()
        bench.command(.status, id, epoch: 4)
        let read = bench.take()
        #expect(read?.kind == .job(id))
        bench.answer(read!, 200, .job(bench.job(id, .succeeded)))
        #expect(bench.events.last?.state == .succeeded)
        #expect(bench.events.last?.epoch == 4)
    }

    @Test("a stop before the submit keeps it from going out")
    func stopBeforeSubmit() {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(0))
        bench.command(.submit, id)
        bench.command(.stop, id)
        bench.feed(.wake)
        #expect(bench.events.last { $0.job == id }?.state == .stopped)
    }

    @Test(
        "outputs over the limit fail the job with a clear reason instead of blocking the bus",
        arguments: [("y", 1), ("\u{1}", 6)])
    func hugeOutputs(text: String, factor: Int) {
        var bench = GatewayBench()
        let call = submitted(&bench)
        var job = bench.job(id, .succeeded)
        job.outputs = ["x": .string(String(repeating: text, count: 100_000 / max(1, factor)))]
        bench.answer(call, 201, .job(job))
        #expect(bench.events.last?.state == .failed)
        #expect(bench.events.last?.error?.detail?.contains("by reference") == true)
    }

    @Test("the intent is recorded before the first submit, once, and the end after it")
    func ledger() {
        var bench = GatewayBench()
        let call = submitted(&bench)
        #expect(bench.records.prefix(2) == [.fence("men", 1), .begun("men", 1)])
        #expect(
            bench.records.dropFirst(2).map { if case .intent(let job) = $0 { job.request.id } else { nil } } == [
                id as JobID?
            ])
        bench.answer(call, 503, problem)
        bench.pass(2_000)
        let second = bench.take()!
        bench.answer(second, 201, .job(bench.job(id, .running)))
        bench.gateway.apply(bench.job(id, .succeeded, revision: 2), to: bench.gateway.jobs[id]!, at: at(10))
        bench.feed(.wake)
        #expect(Array(bench.records.dropFirst(3)) == [.acknowledged(id), .ended(id, .succeeded)])
    }

    @Test("an intent that cannot be written is no failure of the provider, and is tried again")
    func ledgerFails() {
        var bench = GatewayBench()
        bench.fail(submitted(&bench), .notSent, .ledger)
        #expect(bench.health.last?.status == .pass)
        #expect(bench.events.last?.state == .submitting)
        bench.pass(2_000)
        #expect(bench.take() != nil)
    }

    @Test("after a death every intent is read before anything else; fences stand")
    func restart() {
        let request = JobRequest(
            id: id, service: "harvest", tenant: "men", config: ServiceConfig(), deadline: at(600_000).wall,
            labels: ["run_id": "r"])
        var bench = GatewayBench(
            ledger: LedgerContents(
                fences: ["men": 3],
                open: [LedgerJob(tenant: "men", provider: "alpha", epoch: 3, request: request)]))
        bench.command(.submit, jobID(7), epoch: 2)
        #expect(slug(bench.events.last) == "stale-epoch")
        bench.feed(.wake)
        let read = bench.take()
        #expect(read?.kind == .job(id), "never a blind submit")
        // The Work Manager asks for the same submit again meanwhile.
        bench.command(.submit, id, epoch: 3)
        #expect(bench.take() == nil)
        bench.answer(read!, 404, problem)
        bench.pass(2_100)
        bench.answer(bench.take()!, 404, problem)
        bench.pass(1_500)
        guard case .submit? = bench.take()?.kind else {
            Issue.record("proven absent, it may be sent")
            return
        }
    }

    @Test("a provider whose list is broken is asked for each quiet job by itself")
    func brokenList() {
        var bench = GatewayBench()
        bench.answer(submitted(&bench), 201, .job(bench.job(id, .running)))
        bench.pass(46_000)
        let look = bench.take()!
        #expect(look.kind == .batch([id]))
        bench.answer(look, 200, .malformed("statistics is missing"))
        bench.feed(.wake)
        #expect(bench.take()?.kind == .job(id))
    }
}
