import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("What a gateway names when it seals, and what it remembers of jobs that have ended")
struct SealListTests {
    private static let run = RunID(time: at(0).wall, of: "run")
    private static let upstream = [RunID(time: at(0).wall, of: "a"), RunID(time: at(0).wall, of: "b")]
    private static let labels = RunLabels.labels(run: run, service: "nightly", attempt: 2, upstream: upstream)

    private func left(_ number: Int, epoch: Int = 1, tenant: TenantID = "men") -> LeftJob {
        LeftJob(
            job: jobID(number), tenant: tenant, provider: "alpha", epoch: epoch, run: Self.run, service: "nightly",
            attempt: 2, deadline: at(600_000).wall, upstream: Self.upstream)
    }

    private func ended(_ number: Int, _ state: JobState, epoch: Int = 1, age: Int64 = 0) -> LedgerContents.Ended {
        LedgerContents.Ended(left: left(number, epoch: epoch), state: state, age: age)
    }

    @Test("names what went out below the sealed epoch, running or ended, with all that a row needs")
    func lists() throws {
        var bench = GatewayBench()
        for number in 1...3 { bench.command(.submit, jobID(number), labels: Self.labels) }
        for state in [JobState.running, .succeeded] {
            let call = try bench.taken()
            guard case .submit(let request) = call.kind else { throw Problem(.unavailable, "a submit was expected") }
            bench.answer(call, 201, .job(bench.job(request.id, state, runID: "\(Self.run)")))
        }
        bench.command(.submit, jobID(4), tenant: "women", labels: Self.labels)
        bench.acks = []
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2, list: 1)])
        #expect(bench.acks.isEmpty, "the third job's call is under way")
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(3), .queued, runID: "\(Self.run)")))
        let ack = try #require(bench.acks.last)
        #expect(ack.sealed == [Seal(tenant: "men", epoch: 2, list: 1, listed: 3, begun: 1)])
        #expect(ack.left?.sorted { $0.job < $1.job } == (1...3).map { left($0) }.sorted { $0.job < $1.job })
        // Without the wish: only the seal.
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 3)])
        #expect(bench.acks.last?.sealed == [Seal(tenant: "men", epoch: 3, begun: 1)] && bench.acks.last?.left == nil)
        // Only of the epochs that are not known yet.
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 3, list: 2)])
        #expect(bench.acks.last?.sealed == [Seal(tenant: "men", epoch: 3, list: 2, listed: 0, begun: 1)])
    }

    @Test("what never left is not named")
    func unsent() throws {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(1), labels: Self.labels)
        bench.command(.submit, jobID(2), labels: Self.labels)
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running, runID: "\(Self.run)")))
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2, list: 1)])
        // The second one waits in the row.
        #expect(bench.acks.last?.left?.map(\.job) == [jobID(1)])
    }

    @Test("a long list comes in parts, and the seal with the last one")
    func parts() throws {
        let many = (1...900).map { ended($0, .succeeded) }
        var bench = GatewayBench(ledger: LedgerContents(ended: many))
        bench.acks = []
        bench.control(.seal, seals: [Seal(tenant: "men", epoch: 2, list: 1)])
        #expect(bench.acks.count > 2 && bench.acks.allSatisfy { $0.left?.isEmpty == false })
        #expect(bench.acks.dropLast().allSatisfy { $0.sealed == nil } && bench.acks.last?.sealed?.first?.listed == 900)
        #expect(Set(bench.acks.flatMap { $0.left ?? [] }.map(\.job)).count == 900)
        // The largest message is far from the broker's limit.
        let message = Message(.gatewayAck("g1"), .gatewayAck(bench.acks[0]))
        let header = EnvelopeHeader(id: "1", source: "gateway/g1", time: at(0).wall)
        #expect(try EnvelopeCodec().encode(message, header).count < EnvelopeCodec.maxBytes / 2)
    }

    @Test(
        "a job that ended before is not sent again, not for a new epoch and not by a new process",
        arguments: [JobState.succeeded, .failed, .stopped, .rejected, .expired, .lost])
    func recalled(state: JobState) throws {
        var bench = GatewayBench(ledger: LedgerContents(fences: ["men": 2], ended: [ended(1, state)]))
        bench.command(.submit, jobID(1), epoch: 2, labels: Self.labels)
        #expect(!bench.calls.contains { if case .submit = $0.kind { true } else { false } })
        switch state {
        case .succeeded, .failed:
            // Its outputs are at the provider.
            bench.pass(1_100)
            let call = try #require(
                bench.calls.first { if case .job(jobID(1)) = $0.kind { true } else { false } })
            bench.answer(call, 200, .job(bench.job(jobID(1), state, runID: "\(Self.run)")))
            #expect(bench.events.last?.state == state)
        default: #expect(bench.events.last?.state == state)
        }
    }

    @Test("is forgotten after a day, and the oldest first where there are too many")
    func bounded() {
        var memory = JobMemory()
        for number in 1...(JobMemory.maxLines + 5) {
            memory.add(JobMemory.Line(left: left(number), state: .succeeded, endedAt: Int64(number)))
        }
        memory.forget(at: Int64(JobMemory.maxLines + 5))
        #expect(memory.lines.count == JobMemory.maxLines)
        #expect(memory[jobID(5)] == nil && memory[jobID(6)] != nil)
        memory.forget(at: JobMemory.keepMilliseconds + 10)
        #expect(memory[jobID(9)] == nil && memory[jobID(10)] != nil)
    }

    @Test("a provider that another gateway had: a job of that time is asked for before it is called expired")
    func moved() {
        for moved in [true, false] {
            var bench = GatewayBench()
            bench.announce(1)
            bench.feed(GatewayBench.attach("beta", moved: moved ? true : nil))
            bench.feed(
                .received(
                    Message(
                        .jobCommand("men", "beta"),
                        .jobCommand(
                            JobCommand(
                                id: "c", command: .submit, epoch: 1, job: jobID(1),
                                request: JobRequest(
                                    id: jobID(1), service: "h", tenant: "men", config: ServiceConfig(),
                                    deadline: at(-1).wall, labels: Self.labels))))))
            bench.pass(10)
            #expect(bench.gateway.jobs[jobID(1)]?.state == (moved ? .unknown : .expired))
        }
    }
}
