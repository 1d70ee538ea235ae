import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// Whatever can be decoded may come in; all that goes out can be encoded and is below the limit, or is made so within a few
/// steps. The broker of these tests takes what the seed says.
@Suite("Sizes: whatever comes in, what goes out is below the limit")
struct SizePropertyTests {
    private struct Source {
        var random: SplitMix64

        mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(max(1, limit))) }

        mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

        /// Control characters, quotes, what has two, three and four bytes, a NUL; some short, some as long as a message.
        mutating func text() -> String {
            let part = pick(["\u{1}", "\"\\", "é", "\u{2028}", "😀", "\u{0}", "a", "\u{7f}\u{9b}"])
            return String(repeating: part, count: pick([0, 1, 40, 1_000, 20_000, 60_000]) / part.utf8.count)
        }

        mutating func problem() -> Problem {
            Problem(
                type: text(), title: text(), status: pick([Int.min, 0, 422, Int.max]), detail: text(), instance: text(),
                errors: (0..<pick([0, 1, 50, 400])).map { _ in
                    FieldError(pointer: pick(["", "/x", String(repeating: "\u{1}", count: 300)]), detail: "wrong")
                })
        }

        mutating func outputs() -> JSONObject {
            var all: JSONObject = [:]
            for _ in 0..<pick([0, 1, 3]) {
                all[text()] = pick([.double(.infinity), .double(-1e308), .int(.max), .null, .string(text())])
            }
            return all
        }
    }

    /// What the bus says of a message.
    private func refusal(_ message: Message, limit: Int) -> NotSent? {
        do {
            let bytes = try EnvelopeCodec().encode(
                message, EnvelopeHeader(id: "1700000000000-1", source: "fleet/f1", time: at(0).wall)
            ).count
            return bytes > limit ? NotSent(message, .tooLarge(bytes: bytes, limit: limit)) : nil
        } catch {
            return NotSent(
                message,
                error.bytes.map { .tooLarge(bytes: $0, limit: EnvelopeCodec.maxBytes) } ?? .notEncodable(error.detail))
        }
    }

    private static let limits = [8_192, 65_536, EnvelopeCodec.maxBytes]

    @Test("a Work Manager: its journal flows and its heartbeat is answered", arguments: 0..<40)
    func workManager(seed: Int) throws {
        var source = Source(random: SplitMix64(seed: UInt64(seed)))
        let limit = Self.limits[seed % 3]
        var plan = Fixture.plan(
            "harvest", every: 3_600, providers: ["alpha", "beta"], merge: MergeRule(strategy: .concat), attempts: 3)
        plan.policy = ProviderPolicy(use: .all)
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        var (rounds, acknowledged) = (0, 0)
        var statuses: [Int] = []
        func publish(_ effects: [WorkManager.Effect], _ now: Moment) {
            var effects = effects
            rounds = 0
            while !effects.isEmpty {
                rounds += 1
                guard rounds <= 20 else {
                    Issue.record("no end of refusals")
                    return
                }
                var next: [WorkManager.Effect] = []
                for case .publish(let message) in effects {
                    if let refusal = refusal(message, limit: limit) {
                        next += manager.receive(.notSent(refusal), at: now)
                        continue
                    }
                    if case .wmStatus(let status) = message.payload { statuses.append(status.beat) }
                    if case .journal(let journal) = message.payload, journal.firstSeq <= acknowledged + 1 {
                        acknowledged = max(acknowledged, journal.firstSeq + journal.entries.count - 1)
                    }
                }
                effects = next
            }
        }
        publish(effects, at(0))
        for step in 1...30 {
            let now = at(Int64(step) * 3_100)
            for (provider, command) in effects.commands {
                var news = event(command.job, source.pick([.running, .succeeded, .failed, .unknown]), at: now)
                news.message = source.text()
                news.error = source.problem()
                news.outputs = source.outputs()
                publish(manager.receive(.jobEvent(provider, news), at: now), now)
            }
            effects = manager.receive(.wake, at: now)
            publish(effects, now)
            publish(
                manager.receive(
                    .heartbeat(Heartbeat(beat: step, epoch: 1, intervalSeconds: 3, ackSeq: acknowledged)), at: now), now
            )
        }
        #expect(statuses == Array(1...30))
        #expect(acknowledged == manager.journal.lastSeq)
    }

    @Test("a registry: every question is answered, and nothing is refused for ever", arguments: 0..<20)
    func registry(seed: Int) throws {
        var source = Source(random: SplitMix64(seed: UInt64(1_000 + seed)))
        let limit = Self.limits[seed % 3]
        var bench = RegistryBench.active()
        func settle() {
            var (round, rest) = (0, bench.sent)
            bench.sent = []
            while !rest.isEmpty {
                round += 1
                guard round <= 20 else {
                    Issue.record("no end of refusals")
                    return
                }
                let refused = rest.compactMap { refusal($0, limit: limit) }
                for message in rest where refusal(message, limit: limit) == nil {
                    if case .response(let response) = message.payload { answered.insert(response.id) }
                }
                for refusal in refused { bench.feed(.notSent(refusal)) }
                rest = bench.sent
                bench.sent = []
            }
        }
        var answered: Set<String> = []
        for step in 0..<25 {
            bench.now += 200
            switch step % 5 {
            case 0:
                bench.feed(
                    .received(
                        Message(
                            source.pick([.query, .command]),
                            .request(
                                ClientRequest(
                                    id: "q\(step)", client: "c",
                                    method: source.pick([source.text(), "explain", "apply"]),
                                    params: [
                                        "tenant": .string(source.text()),
                                        "documents": [.object(source.outputs()), .string(source.text())],
                                    ])))))
            case 1:
                var status = RegistryBench.status(step, epoch: 1, generation: 1)
                status.waiting = [
                    Reason(subject: source.text(), code: source.text(), text: source.text(), since: at(0).wall)
                ]
                bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
            case 2:
                bench.feed(
                    .received(
                        Message(
                            .wmAck("men"),
                            .wmAck(
                                WMAck(
                                    id: "1", command: .reconcile, phase: .progress, epoch: 1, generation: 1,
                                    fleet: "f1",
                                    error: source.problem())))))
            case 3:
                bench.feed(
                    .received(
                        Message(
                            .providerHealth("alpha"),
                            .health(
                                Health(
                                    status: source.pick([.fail, .pass]), checked: at(bench.now).wall, circuit: .open,
                                    gateway: "g1", boot: 1, error: source.problem())))))
            default:
                bench.feed(
                    .received(
                        Message(
                            .gatewayAck("g1"),
                            .gatewayAck(
                                GatewayAck(
                                    id: "1", command: .attach, provider: "alpha", version: 1, boot: 1,
                                    error: source.problem())))))
            }
            settle()
        }
        #expect(answered == ["q0", "q5", "q10", "q15", "q20"])
    }

    @Test("whatever is reduced is what it was, but for what it says is missing", arguments: 0..<30)
    func reduction(seed: Int) throws {
        var source = Source(random: SplitMix64(seed: UInt64(2_000 + seed)))
        let record = JobRecord(
            id: JobID(time: at(0).wall, of: "j"), run: RunID(time: at(0).wall, of: "r"), service: "s", type: "t",
            provider: "p", attempt: 1, state: .failed, revision: 3, time: at(0).wall, created: at(0).wall,
            deadline: at(0).wall, message: source.text(), outputs: source.outputs(), error: source.problem())
        for limit in [2_000, 20_000, 100_000, 1_000_000] {
            var cut = record
            let bytes = MessageCut.fit(&cut, into: limit)
            #expect(bytes <= limit && bytes == MessageSize.bytes(cut))
            let omitted = cut.omitted ?? []
            #expect((cut == record) == omitted.isEmpty)
            #expect(omitted.contains("outputs") || cut.outputs == record.outputs)
            #expect(omitted.contains("errors") || cut.error?.errors?.count == record.error?.errors?.count)
            #expect(omitted.contains("texts") || omitted.contains("outputs") || cut.message == record.message)
            #expect(cut.state == record.state && cut.revision == record.revision)
        }
    }
}
