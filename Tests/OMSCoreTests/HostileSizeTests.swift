import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// Texts as large as they may be, of what takes most room in JSON: one byte becomes six.
private let poison = String(repeating: "\u{1}", count: 1_024)

private func poisonedError(_ count: Int = 50) -> Problem {
    let text = String(poison.prefix(256))
    return Problem(
        type: text, title: text, detail: poison, instance: text,
        errors: (0..<count).map { _ in FieldError(pointer: text, detail: text) })
}

private func bytes(_ message: Message) throws -> Int {
    try EnvelopeCodec().encode(
        message, EnvelopeHeader(id: "1-1", source: "fleet/f1", time: at(0).wall)
    ).count
}

@Suite("Hostile sizes: whatever a provider says, its tenant's Work Manager can tell it")
struct HostileSizeTests {
    private let plan = Fixture.plan("harvest", every: 3_600, providers: ["alpha", "beta"], attempts: 1)

    /// Every message that leaves is one that the bus takes.
    private func check(_ effects: [WorkManager.Effect]) throws {
        for case .publish(let message) in effects { #expect(try bytes(message) <= EnvelopeCodec.maxBytes) }
    }

    @Test("a failed job with the longest error that a provider may send does not stop the journal")
    func poisonJournal() throws {
        let several = MergeRule(strategy: .concat)
        var plan = Fixture.plan("harvest", every: 3_600, providers: ["alpha", "beta"], merge: several, attempts: 1)
        plan.policy = ProviderPolicy(use: .all)
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        var recorded: [JournalEntry] = effects.entries
        for (number, (provider, command)) in effects.commands.enumerated() {
            effects = manager.receive(
                .jobEvent(
                    provider, event(command.job, .failed, error: poisonedError(), at: at(Int64(number)))),
                at: at(Int64(number)))
            try check(effects)
            recorded += effects.entries
        }
        let failed = recorded.compactMap(\.job).filter { $0.state == .failed }
        #expect(failed.count == 2)
        let run = try #require(recorded.compactMap(\.run).first { $0.state == .failed })
        #expect(run.omitted?.contains("errors") == true, "what was cut is said")
        #expect(run.result?.providers.allSatisfy { $0.error != nil } == true)
        _ = manager.receive(.committed(Committed(epoch: 1, ackSeq: manager.journal.lastSeq)), at: at(10))
        #expect(manager.journal.unacknowledged == 0)
    }

    @Test("many long errors while the registry is away come in batches that fit, by their real sizes")
    func batches() throws {
        var buffer = JournalBuffer()
        for number in 0..<100 {
            let job = JobRecord(
                id: JobID(time: at(0).wall, of: "\(number)"), run: RunID(time: at(0).wall, of: "r"), service: "s",
                type: "t", provider: "p", attempt: 1, state: .failed, revision: 1, time: at(0).wall,
                created: at(0).wall, deadline: at(0).wall, message: poison, error: poisonedError(number % 50))
            buffer.append(JournalEntry(job: job), at: at(0))
        }
        var seen = 0
        while buffer.unacknowledged > 0 {
            for batch in buffer.takeBatches(at: at(0)) {
                let journal = Journal(epoch: 1, firstSeq: batch.firstSeq, entries: batch.entries)
                #expect(try bytes(Message(.wmJournal("men"), .journal(journal))) <= EnvelopeCodec.maxBytes)
                seen += batch.entries.count
            }
            buffer.acknowledge(seen, at: at(1))
        }
        #expect(seen == 100)
    }

    @Test(
        "a broker that takes less: the refused batch comes again in smaller ones, and one entry is cut",
        arguments: [
            8_192, 20_000, 65_536,
        ])
    func smallBroker(limit: Int) throws {
        var buffer = JournalBuffer()
        for number in 0..<40 {
            let outputs: JSONObject = ["x": .string(String(repeating: "y", count: number * 1_000))]
            let job = JobRecord(
                id: JobID(time: at(0).wall, of: "\(number)"), run: RunID(time: at(0).wall, of: "r"), service: "s",
                type: "t", provider: "p", attempt: 1, state: .succeeded, revision: 1, time: at(0).wall,
                created: at(0).wall, deadline: at(0).wall, outputs: outputs)
            buffer.append(JournalEntry(job: job), at: at(0))
        }
        var (sent, refusals, cut) = (0, 0, 0)
        while buffer.unacknowledged > 0, refusals < 100 {
            for batch in buffer.takeBatches(at: at(0)) {
                let journal = Journal(epoch: 1, firstSeq: batch.firstSeq, entries: batch.entries)
                guard try bytes(Message(.wmJournal("men"), .journal(journal))) <= limit else {
                    refusals += 1
                    let helps = buffer.refused(
                        from: batch.firstSeq, count: batch.entries.count, limit: limit, at: at(0))
                    #expect(helps)
                    break
                }
                #expect(batch.firstSeq == sent + 1)
                sent += batch.entries.count
                cut += batch.entries.count { $0.job?.omitted == ["outputs"] }
                buffer.acknowledge(sent, at: at(1))
            }
        }
        #expect(sent == 40)
        #expect((cut > 0) == (limit < 39_000) && cut < 40, "\(cut)")
    }

    @Test("the journal has a limit in bytes too, so that memory stays bounded while the registry is away")
    func heldBytes() {
        var buffer = JournalBuffer()
        let outputs: JSONObject = ["x": .string(String(repeating: "y", count: 200_000))]
        for number in 0..<400 where !buffer.isFull {
            let job = JobRecord(
                id: JobID(time: at(0).wall, of: "\(number)"), run: RunID(time: at(0).wall, of: "r"), service: "s",
                type: "t", provider: "p", attempt: 1, state: .succeeded, revision: 1, time: at(0).wall,
                created: at(0).wall, deadline: at(0).wall, outputs: outputs)
            buffer.append(JournalEntry(job: job), at: at(0))
        }
        #expect(buffer.isFull && buffer.unacknowledged < 400)
        buffer.acknowledge(buffer.lastSeq, at: at(1))
        #expect(!buffer.isFull)
    }

    @Test("sixty running jobs with the longest messages: the heartbeat is answered, and says how many it left out")
    func status() throws {
        let plans = (0..<60).map { Fixture.plan(ServiceID("s\($0)")!, every: 3_600, attempts: 1) }
        let config = WorkManagerConfig(
            tenant: "men", generation: 1, scenario: "s", services: plans.sorted { $0.id < $1.id })
        var (manager, effects) = Fixture.manager(config)
        for (provider, command) in effects.commands {
            var running = event(command.job, .running, at: at(1))
            running.message = poison
            try check(manager.receive(.jobEvent(provider, running), at: at(1)))
        }
        effects = manager.receive(
            .heartbeat(Heartbeat(beat: 1, epoch: 1, intervalSeconds: 1, ackSeq: 0)), at: at(2))
        try check(effects)
        let status = try #require(effects.status)
        #expect(status.jobs["running"] == 60)
        #expect(status.active.count + (status.moreActive ?? 0) == 60 && status.active.count > 40)
        // A broker that takes less.
        let told = Message(.wmStatus("men"), .wmStatus(status))
        let less = try #require(
            manager.receive(.notSent(NotSent(told, .tooLarge(bytes: try bytes(told), limit: 8_192))), at: at(3)).status)
        #expect(less.beat == 1)
        #expect(try bytes(Message(.wmStatus("men"), .wmStatus(less))) <= 8_192)
        #expect(less.active.count + (less.moreActive ?? 0) == 60)
        effects = manager.receive(
            .heartbeat(Heartbeat(beat: 2, epoch: 1, intervalSeconds: 1, ackSeq: 0)), at: at(4))
        #expect(try bytes(Message(.wmStatus("men"), .wmStatus(try #require(effects.status)))) <= 8_192)
    }

    @Test("an order that no broker takes ends its job with the figures, and the next tick goes on")
    func unsendableOrder() throws {
        var plan = Fixture.plan("harvest", every: 60, attempts: 2)
        plan.parameters = ["text": .string(String(repeating: "x", count: 30_000))]
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        let command = try #require(effects.commands.first?.command)
        let message = Message(.jobCommand("men", "alpha"), .jobCommand(command))
        effects = manager.receive(
            .notSent(NotSent(message, .tooLarge(bytes: 31_000, limit: 16_384))), at: at(1))
        let record = try #require(effects.entries.compactMap(\.job).first { $0.id == command.job })
        #expect(record.state == .rejected)
        #expect(
            record.error?.detail?.contains("31000 bytes") == true && record.error?.detail?.contains("16384") == true)
        #expect(effects.entries.compactMap(\.run).contains { $0.state == .failed })
        #expect(effects.commands.isEmpty, "it is not sent again")
        let next = manager.receive(.wake, at: at(60_000)).commands
        #expect(!next.isEmpty)
    }

    @Test("a result that is too large for the broker is published without its outputs, and says so")
    func result() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest", every: 3_600)))
        let job = try #require(effects.commands.first?.command.job)
        let outputs: JSONObject = ["x": .string(String(repeating: "y", count: 30_000))]
        effects = manager.receive(
            .jobEvent("alpha", event(job, .succeeded, outputs: outputs, at: at(1))), at: at(1))
        let result = try #require(effects.results.first)
        #expect(result.outputs == outputs && result.omitted == nil)
        let message = Message(.serviceResult("men", "harvest"), .result(result))
        effects = manager.receive(
            .notSent(NotSent(message, .tooLarge(bytes: try bytes(message), limit: 16_384))), at: at(2))
        let less = try #require(effects.results.first)
        #expect(less.outputs.isEmpty && less.omitted == ["outputs"] && less.state == .succeeded)
        #expect(try bytes(Message(.serviceResult("men", "harvest"), .result(less))) <= 16_384)
    }

    @Test("an output whose key is control characters is counted as it is written, and its job ends")
    func hostileKeys() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        var job = bench.gateway.jobs.isEmpty ? nil : bench.job(jobID(1), .succeeded)
        job?.outputs = [String(repeating: "\u{1}", count: 60_000): 1]
        bench.answer(try bench.taken(), 201, .job(try #require(job)))
        let end = try #require(bench.events.last)
        #expect(end.state == .failed && end.outputs == nil)
        #expect(end.error?.detail?.contains("360") == true, "with its real size")
        #expect(try bytes(Message(.jobEvent("men", "alpha"), .jobEvent(end))) <= EnvelopeCodec.maxBytes)
    }

    @Test("outputs that this broker does not take end the job with the figures; nobody takes none for some")
    func smallBrokerOutputs() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        var job = bench.job(jobID(1), .succeeded)
        job.outputs = ["x": .string(String(repeating: "y", count: 30_000))]
        bench.answer(try bench.taken(), 201, .job(job))
        let end = try #require(bench.events.last)
        #expect(end.state == .succeeded)
        let message = Message(.jobEvent("men", "alpha"), .jobEvent(end))
        bench.feed(.notSent(NotSent(message, .tooLarge(bytes: try bytes(message), limit: 16_384))))
        let less = try #require(bench.events.last)
        #expect(less.state == .failed && less.outputs == nil && less.error?.slug == "too-large")
        #expect(less.error?.detail?.contains("16384") == true)
        // Asked again, it says the same.
        bench.command(.status, jobID(1))
        #expect(bench.events.last == less)
    }

    @Test("a gateway that may not hear the orders for a provider says so instead of serving it")
    func deafGateway() throws {
        var bench = GatewayBench()
        bench.feed(.deaf("alpha", why: "the broker refused the subscription"))
        let ack = try #require(bench.acks.last)
        #expect(ack.command == .attach && ack.provider == "alpha" && ack.error?.detail?.contains("refused") == true)
        #expect(bench.gateway.doors.isEmpty)
        bench.feed(GatewayBench.attach())
        #expect(bench.acks.last?.error != nil && bench.gateway.doors.isEmpty, "as long as the broker says no")
        bench.feed(.hears("alpha"))
        bench.feed(GatewayBench.attach())
        #expect(bench.acks.last?.error == nil && bench.gateway.doors["alpha"] != nil)
    }

    @Test("retained state that somebody takes away is said again by its gateway")
    func takenFromGateway() {
        var bench = GatewayBench()
        func said(_ topic: Topic) -> [Message] {
            bench.gateway.receive(.received(Message(topic, .removed)), at: at(bench.now)).compactMap {
                if case .publish(let message) = $0 { message } else { nil }
            }
        }
        for topic in [Topic.gatewayPresence("g1"), .providerHealth("alpha"), .providerCatalog("alpha")] {
            let messages = said(topic)
            #expect(messages.map(\.topic) == [topic])
        }
        let foreign = said(.providerHealth("beta"))
        #expect(foreign.isEmpty, "not its own")
    }
}
