import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The door: seals, sweeps, and a gateway without the broker")
struct FencingTests {
    let id = jobID(1)

    private func sealed(_ bench: GatewayBench) -> [Int] { bench.acks.flatMap { $0.sealed ?? [] }.map(\.epoch) }

    @Test("a seal is on disk before it is answered, and waits for calls of lower epochs that are under way")
    func waitsForCalls() throws {
        var bench = GatewayBench()
        bench.command(.submit, id)
        let call = try bench.taken()
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2), Seal(tenant: "women", epoch: 7)])
        #expect(bench.records.contains(.fence("men", 2)) && bench.records.contains(.fence("women", 7)))
        #expect(sealed(bench) == [7], "another tenant's seal waits for nothing")
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2)])
        #expect(sealed(bench) == [7])
        bench.answer(call, 201, .job(bench.job(id, .queued)))
        #expect(sealed(bench) == [7, 2])
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2)])
        #expect(sealed(bench) == [7, 2, 2], "repeated: answered again")
    }

    @Test("what waits in the row with a lower epoch is not sent, until the epoch in force asks for it")
    func parked() throws {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(1))
        bench.command(.submit, jobID(2))
        let first = try bench.taken()
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2)])
        bench.answer(first, 201, .job(bench.job(jobID(1), .succeeded)))
        #expect(bench.isQuiet)
        bench.pass(10_000)
        #expect(bench.calls.isEmpty)
        bench.command(.submit, jobID(2), epoch: 2)
        let second = try bench.taken()
        #expect(second.epoch == 2)
        bench.command(.submit, jobID(2), epoch: 2)
        bench.answer(second, 201, .job(bench.job(jobID(2), .queued)))
        #expect(bench.isQuiet, "once")
    }

    @Test("a retry of a lower epoch is not sent either, and ends at its deadline")
    func retryParked() throws {
        var bench = GatewayBench()
        bench.command(.submit, id, deadline: 30_000)
        bench.fail(try bench.taken(), .notSent, .connect)
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2)])
        bench.pass(60_000)
        #expect(!bench.calls.contains { if case .submit = $0.kind { true } else { false } })
        #expect(bench.events.last?.state == .expired)
    }

    @Test("a stop that an older epoch asked for is not begun, and not repeated")
    func stopsOfOldEpochs() throws {
        var bench = GatewayBench()
        bench.command(.submit, id)
        bench.answer(try bench.taken(), 201, .job(bench.job(id, .running)))
        bench.command(.stop, id)
        bench.pass(1)
        let stop = try #require(bench.calls.first { if case .stop = $0.kind { true } else { false } })
        bench.calls = []
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2)])
        bench.fail(stop, .maybeSent, .timeout)
        bench.pass(20_000)
        #expect(!bench.calls.contains { if case .stop = $0.kind { true } else { false } })
        #expect(sealed(bench) == [2])
    }

    @Test(
        "a sweep stops what the registry names and what the gateway alone knows, keeps what is adopted, and tells all ends"
    )
    func sweep() throws {
        var bench = GatewayBench()
        for number in 1...3 {
            bench.command(.submit, jobID(number))
            bench.answer(try bench.taken(), 201, .job(bench.job(jobID(number), .running)))
        }
        bench.control(
            .sweep,
            sweep: Sweep(
                tenant: "men", epoch: 2, jobs: [SweepJob(job: jobID(9), provider: "alpha")], keep: [jobID(3)]))
        #expect(bench.acks.last?.swept.map { [$0.ended.count, $0.remaining.count] } == [0, 3])
        var stops: [JobID: ProviderCall] = [:]
        for call in bench.calls { if case .stop(let job, _) = call.kind { stops[job] = call } }
        #expect(Set(stops.keys) == [jobID(1), jobID(2), jobID(9)])
        #expect(stops.values.allSatisfy { $0.epoch == 2 })
        bench.answer(try #require(stops[jobID(1)]), 200, .job(bench.job(jobID(1), .stopped, revision: 2)))
        bench.answer(try #require(stops[jobID(2)]), 200, .job(bench.job(jobID(2), .succeeded, revision: 2)))
        bench.answer(try #require(stops[jobID(9)]), 404, .problem(Problem(.noSuchJob, "no")))
        let report = try #require(bench.acks.last?.swept)
        #expect(report.remaining.isEmpty)
        #expect(report.ended.map(\.state) == [.stopped, .succeeded, .stopped])
    }

    @Test("without the broker nothing new is submitted; after the hold time the providers are given up")
    func cutOff() throws {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(1))
        bench.command(.submit, jobID(2))
        let first = try bench.taken()
        bench.feed(.disconnected)
        bench.answer(first, 201, .job(bench.job(jobID(1), .succeeded)))
        bench.pass(5_000)
        #expect(!bench.calls.contains { if case .submit = $0.kind { true } else { false } })
        bench.feed(.connected)
        #expect(!bench.isQuiet, "back in time: it goes on")
        bench.feed(.disconnected)
        bench.pass(25_000)
        bench.feed(.connected)
        bench.calls = []
        bench.pass(60_000)
        #expect(bench.calls.isEmpty, "nothing until it is attached again")
    }

    @Test(
        "a command raises no fence: of an epoch that the registry has not announced it is left, and carried out after that",
        arguments: [2, 3, Int.max])
    func forgedEpoch(epoch: Int) throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running)))
        bench.command(.submit, jobID(2), epoch: epoch, isAnnounced: false)
        bench.command(.stop, jobID(1), epoch: epoch, isAnnounced: false)
        bench.pass(5_000)
        #expect(bench.isQuiet && bench.events.last?.job == jobID(1))
        #expect(bench.gateway.fences == ["men": 1] && bench.gateway.begun == ["men": 1])
        #expect(!bench.records.contains { if case .fence(_, let raised) = $0 { raised > 1 } else { false } })
        bench.command(.submit, jobID(3))
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(3), .running)))
        // What was no forgery is repeated, and heard as soon as the registry has spoken.
        bench.announce(epoch)
        bench.command(.submit, jobID(2), epoch: epoch)
        #expect(try bench.taken().epoch == epoch)
    }

    @Test("of a tenant that the registry has not announced nothing is carried out")
    func unannounced() {
        var bench = GatewayBench()
        bench.command(.submit, id, tenant: "women", isAnnounced: false)
        bench.pass(2_000)
        #expect(bench.isQuiet && bench.events.isEmpty && bench.gateway.fences.isEmpty)
    }

    @Test("a new process refuses what its predecessor's ledger says is over")
    func ledger() {
        var bench = GatewayBench(ledger: LedgerContents(fences: ["men": 4]))
        bench.command(.submit, id, epoch: 3)
        #expect(bench.events.map(\.state) == [.rejected])
        #expect(bench.isQuiet)
    }
}

extension GatewayBench {
    /// The one waiting call about a job.
    mutating func taken() throws -> ProviderCall {
        let call = take()
        return try #require(call)
    }

    /// No call about a job waits.
    var isQuiet: Bool {
        !calls.contains {
            switch $0.kind {
            case .submit, .stop, .job: true
            case .services, .status, .sweep, .batch: false
            }
        }
    }
}
