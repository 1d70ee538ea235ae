import OMSModel
import OMSProtocol
import OMSSimulation
import Testing

@testable import OMSCore

/// What `scripts/fuzz` found (docs/internals/fuzzing.md), as small as it can be told.
@Suite("What fuzzing found")
struct FuzzFindingsTests {
    private static let request = JobRequest(
        id: jobID(1), service: "harvest", tenant: "men", config: ServiceConfig(timeoutSeconds: 60),
        deadline: Timestamp(milliseconds: 1_700_000_600_000),
        labels: [
            "run_id": "018bcfe5-6800-7d3e-8f40-aabbccddeeff", "service": "harvest", "attempt": "9223372036854775807",
        ])

    private func seal(_ stage: inout Stage, epoch: Int) throws {
        try stage.say(
            Message(
                .gatewayControl(Stage.gatewayID),
                .gatewayControl(
                    GatewayControl(id: "1", command: .seal, seals: [Seal(tenant: "men", epoch: epoch, list: 1)]))))
    }

    @Test(
        "a ledger with epochs that no reader takes: the gateway still answers seals in numbers that the registry reads")
    func ledger() throws {
        var contents = LedgerContents(
            fences: ["men": .max, "women": -5], begun: ["men": .max],
            open: [LedgerJob(tenant: "men", provider: "alpha", epoch: .max, request: Self.request)])
        if let left = LeftJob(Self.request, tenant: "men", provider: "alpha", epoch: .min) {
            contents.ended = [
                .init(left: left, state: .succeeded, age: .min), .init(left: left, state: .failed, age: .max),
            ]
        }
        #expect(contents.ended.count == 2)
        var stage = try StageScene.active.made()
        try stage.restartGateway(with: contents)
        try seal(&stage, epoch: 2)
        try stage.answerHonestly()
        try stage.wait(5_000)
        let kept = contents.plausible
        #expect(kept.fences.isEmpty && kept.begun.isEmpty)
        #expect(kept.open.map(\.epoch) == [Int(NumberBounds.epoch.upperBound)], "it may be at work")
        #expect(kept.ended.allSatisfy { $0.age >= 0 && $0.left.epoch == 0 })
    }

    @Test("a label is a text of somebody else: the attempt in it stays within what readers take")
    func attempt() throws {
        let left = try #require(LeftJob(Self.request, tenant: "men", provider: "alpha", epoch: 1))
        #expect(left.attempt == Int(NumberBounds.figure.upperBound))
        #expect(["x", nil, "-3", "0", "99999999999999999999"].map { RunLabels.attempt($0) } == [1, 1, 1, 1, 1])
        var stage = try StageScene.active.made()
        try stage.restartGateway(
            with: LedgerContents(
                open: [LedgerJob(tenant: "men", provider: "alpha", epoch: 1, request: Self.request)]))
        try seal(&stage, epoch: 2)
        try stage.wait(5_000)
    }

    @Test("ended jobs are kept in detail up to so many bytes; of the others a line is known")
    func ended() {
        var bench = GatewayBench()
        bench.feed(GatewayBench.attach())
        for number in 1...200 {
            var job = GatewayJob(
                id: jobID(number), tenant: "men", provider: "alpha", epoch: 1, request: Self.request, state: .succeeded,
                at: at(0))
            job.left = LeftJob(Self.request, tenant: "men", provider: "alpha", epoch: 1)
            job.left?.job = job.id
            job.isRecorded = true
            job.outputs = ["rows": ["value": .string(String(repeating: "a", count: 200_000))]]
            bench.gateway.store(job, at: at(bench.now))
        }
        bench.now += 1_000
        bench.feed(.wake)
        #expect(
            bench.gateway.endedBytes <= Gateway.maxEndedBytes && bench.gateway.endedBytes > Gateway.maxEndedBytes / 2)
        #expect(bench.gateway.jobs.count < 100 && bench.gateway.jobs[jobID(200)] != nil)
        #expect(bench.gateway.memory[jobID(1)]?.state == .succeeded, "the oldest is a line")
    }

    @Test("a question whose id is as long as a message is answered all the same")
    func longID() throws {
        var stage = try StageScene.active.made()
        let request = ClientRequest(
            id: String(repeating: "\u{1}", count: 43_000), client: "cli-1", method: "explain", params: ["tenant": "men"]
        )
        try stage.say(Message(.query, .request(request)))
    }
}
