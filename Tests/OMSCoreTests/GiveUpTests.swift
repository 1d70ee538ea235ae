import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Jobs that an operator gives up, at the registry")
struct GiveUpTests {
    private func giveUp(_ bench: inout RegistryBench, evidence: String = "its machine burnt") -> ClientResponse? {
        bench.sent.removeAll { $0.topic.kind == .response }
        return bench.command("job.give-up", ["job": .string("\(jobID(1))"), "evidence": .string(evidence)])
    }

    private func ends(_ bench: RegistryBench) -> [String?] {
        bench.requests.compactMap { if case .endGiveUp(_, let refused, _) = $0 { .some(refused) } else { nil } }
    }

    private func orders(_ bench: RegistryBench) -> [GivenUpJob] {
        bench.sent.flatMap { message -> [GivenUpJob] in
            guard case .gatewayControl(let control) = message.payload else { return [] }
            return control.giveUps ?? []
        }
    }

    private func events(_ bench: RegistryBench) -> [OperatorEvent] {
        bench.sent.compactMap { if case .event(let event) = $0.payload { event } else { nil } }
    }

    @Test("are stored, told to the gateway, ended in the row, and the operator hears it")
    func giveUp() throws {
        var bench = RegistryBench.active()
        let response = giveUp(&bench)
        let answer = try #require(response)
        #expect(answer.status == 200 && answer.result?["ended"] == true)
        #expect(orders(bench).map(\.job) == [jobID(1)])
        #expect(orders(bench).first?.by == "cli" && orders(bench).first?.evidence == "its machine burnt")
        #expect(ends(bench) == [nil])
        #expect(events(bench).map(\.kind).contains("job.given-up"))
        bench.sent = []
        bench.pass(20_000)
        #expect(orders(bench).isEmpty, "told once is enough when it was confirmed")
    }

    @Test("the order is repeated until the gateway confirms it; the operator does not wait for that")
    func silentGateway() throws {
        var bench = RegistryBench.active()
        bench.givesUp = nil
        let silence = giveUp(&bench)
        #expect(silence == nil)
        bench.pass(10_000)
        #expect(bench.responses().last?.status == 200 && bench.responses().last?.result?["ended"] == false)
        #expect(orders(bench).count >= 3)
        bench.givesUp = true
        bench.pass(4_000)
        #expect(ends(bench) == [nil])
    }

    @Test("a registry that begins goes on with what the one before was told")
    func restarted() throws {
        var bench = RegistryBench()
        let wish = GivenUpJob(job: jobID(1), tenant: "men", provider: "alpha", by: "anna", evidence: "it burnt")
        bench.snapshot.giveUps = [GivenUpRow(wish: wish, at: at(0).wall)]
        bench.start()
        bench.pass(10_000)
        #expect(orders(bench).map(\.job) == [jobID(1)] && ends(bench) == [nil])
    }

    @Test("what runs as it should is refused: by its row, or by the gateway that knows better")
    func refused() throws {
        var bench = RegistryBench.active()
        bench.giveUpRefusal = Problem(.conflict, "job runs as it should", status: 409)
        let conflict = giveUp(&bench)
        #expect(conflict?.status == 409)
        bench.giveUpRefusal = nil
        bench.givesUp = false
        let response = giveUp(&bench)
        let answer = try #require(response)
        #expect(answer.status == 409)
        #expect(ends(bench).count == 1 && ends(bench)[0] != nil)
        #expect(events(bench).map(\.kind).contains("job.not-given-up"))
    }

    @Test(
        "evidence is one line, and not nothing",
        arguments: ["", "a\u{1B}[31m", "two\nlines", String(repeating: "x", count: 501)])
    func evidence(text: String) throws {
        var bench = RegistryBench.active()
        let response = giveUp(&bench, evidence: text)
        let answer = try #require(response)
        #expect(answer.status == 400 && answer.error?.detail?.contains("field evidence") == true)
    }

    @Test("a sign of life is stored and told, and ends nothing")
    func sign() throws {
        var bench = RegistryBench.active()
        _ = giveUp(&bench)
        let before = ends(bench).count
        let sign = SweptJob(job: jobID(1), provider: "alpha", state: .running)
        bench.feed(
            .received(
                Message(
                    .gatewayAck("g1"), .gatewayAck(GatewayAck(id: "sign", command: .giveUp, boot: 1, signs: [sign])))))
        #expect(bench.requests.contains { if case .signOfLife(sign, _) = $0 { true } else { false } })
        #expect(events(bench).map(\.kind).contains("job.sign-of-life"))
        #expect(ends(bench).count == before)
    }

    @Test("a drain that waits for a job says for which, and both ways out; its end takes the reason back")
    func drain() throws {
        var bench = RegistryBench.active()
        let begun = bench.command("replace", ["tenant": "men", "deadline_s": 600])
        #expect(begun?.status == 200)
        bench.answersBeats = false
        func status() -> Registry.Event {
            var status = RegistryBench.status(7, epoch: 1, generation: 1)
            status.state = .draining
            status.active = [
                ActiveOperation(
                    service: "harvest", run: RunID(time: at(0).wall, of: "r"), job: jobID(1), provider: "alpha",
                    state: .stopping, ageSeconds: 100)
            ]
            return .received(Message(.wmStatus("men"), .wmStatus(status)))
        }
        for _ in 0..<5 {
            bench.feed(status())
            bench.pass(3_000)
        }
        let reason = try #require(bench.registry.tenants["men"]?.reason)
        #expect(reason.code == ReasonCode.waitsForJobs.rawValue)
        for part in ["job \(jobID(1))", "at alpha", "oms job give-up \(jobID(1))", "oms operation force men"] {
            #expect(reason.text.contains(part), "\(reason.text)")
        }
        #expect(events(bench).filter { $0.kind == "tenant.waits-for-jobs" }.count == 1, "told once")
        let controls = bench.controls()
        let drain = try #require(controls.last { $0.command == .drain })
        bench.acknowledge(drain, lastSeq: 0)
        #expect(bench.registry.tenants["men"]?.reason?.code != ReasonCode.waitsForJobs.rawValue)
    }
}
