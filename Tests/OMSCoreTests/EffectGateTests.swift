import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Intent before effect: the gate between decisions and what they do")
struct EffectGateTests {
    private let fence = Gateway.Effect.record(.fence("men", 3))
    private let note = Gateway.Effect.record(.begun("men", 3))
    private let promise = Gateway.Effect.publish(
        Message(.gatewayAck("g1"), .gatewayAck(GatewayAck(id: "x", command: .seal, boot: 1))))

    private func report(_ provider: ProviderID) -> Gateway.Effect { .report(.full(provider)) }

    private func submit() throws -> ProviderCall {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        return try bench.taken()
    }

    /// What a batch does at this moment, in words.
    private func steps(_ batch: EffectGate.Batch?, at now: Int64 = 0) -> [String]? {
        guard var batch else { return nil }
        var words: [String] = []
        while let step = batch.next(at: now) {
            switch step {
            case .perform(.publish): words.append("publish")
            case .perform(.call): words.append("call")
            case .perform(.report(.full(let provider))): words.append("report \(provider)")
            case .perform: words.append("other")
            case .refuse(_, let why): words.append("refuse: \(why)")
            case .skip: break
            }
        }
        return words
    }

    @Test("what needs nothing on disk leaves at once; an entry that nobody waits for is written beside it")
    func atOnce() {
        var gate = EffectGate()
        let admission = gate.admit([note, promise], at: 0)
        #expect(admission.entries == [.begun("men", 3)] && admission.ticket == nil)
        #expect(steps(admission.batch) == ["publish"])
    }

    @Test("a batch with a blocking entry waits for it, and all that is decided later waits behind it, in order")
    func inOrder() throws {
        var gate = EffectGate()
        let first = gate.admit([report("a"), fence], at: 0)
        #expect(first.batch == nil && first.entries == [.fence("men", 3)])
        #expect(gate.admit([report("b")], at: 0).batch == nil)
        let third = gate.admit([fence, report("c")], at: 0)
        #expect(steps(gate.release()) == nil)
        // The disk may be done with the later one first.
        gate.written(try #require(third.ticket), failure: nil)
        #expect(steps(gate.release()) == nil)
        gate.written(try #require(first.ticket), failure: nil)
        #expect(steps(gate.release()) == ["report a"])
        #expect(steps(gate.release()) == ["report b"])
        #expect(steps(gate.release()) == ["report c"])
        #expect(steps(gate.release()) == nil)
        #expect(steps(gate.admit([report("d")], at: 0).batch) == ["report d"], "nothing is left that it waits for")
    }

    @Test("what could not be written is neither promised nor submitted, nor is anything that may rest on it")
    func failure() throws {
        var gate = EffectGate()
        let call = try submit()
        let before = gate.admit([fence, promise], at: 0)
        let failed = gate.admit([fence, promise, .call(call), report("a")], at: 0)
        _ = gate.admit([promise], at: 0)
        gate.written(try #require(before.ticket), failure: nil)
        gate.written(try #require(failed.ticket), failure: "full")
        let whole = gate.release()
        #expect(steps(whole) == ["publish"] && whole?.unrecorded == nil)
        let broken = gate.release()
        #expect(steps(broken) == ["refuse: full", "report a"])
        #expect(broken?.unrecorded == [.fence("men", 3)], "the core is told")
        #expect(steps(gate.release()) == [])
    }

    @Test("a decision to act that has become too old is refused; to look is never too late")
    func stale() throws {
        var gate = EffectGate()
        let call = try submit()
        var look = call
        look.kind = .status
        let admission = gate.admit([fence, .call(call), .call(look)], at: 0)
        gate.written(try #require(admission.ticket), failure: nil)
        let batch = gate.release()
        #expect(steps(batch, at: SafetyTimes.decisionMilliseconds) == ["call", "call"])
        let late = steps(batch, at: SafetyTimes.decisionMilliseconds + 1)
        #expect(late?.first?.hasPrefix("refuse: decided too long ago") == true && late?.last == "call")
    }

    @Test("an unknown ticket changes nothing")
    func unknown() {
        var gate = EffectGate()
        gate.written(7, failure: nil)
        gate.written(-1, failure: "x")
        #expect(steps(gate.admit([promise], at: 0).batch) == ["publish"])
    }
}
