import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A database that loses what it had confirmed, or that refuses")
struct DatabaseLossTests {
    private func texts(_ bench: RegistryBench, _ kind: String) -> [String] {
        bench.sent.compactMap { if case .event(let event) = $0.payload, event.kind == kind { event.text } else { nil } }
    }

    private func loads(_ bench: RegistryBench) -> Int { bench.requests.count { $0 == .load } }

    /// Twelve facts committed; then the database knows of five.
    private func fallenBack() -> RegistryBench {
        var bench = RegistryBench.active()
        bench.journal(1, 12)
        #expect(bench.committed == [12])
        bench.holdsCommits = true
        bench.journal(13, 2)
        (bench.requests, bench.sent) = ([], [])
        return bench
    }

    @Test(
        "an acknowledgement below what was confirmed is no acknowledgement: everything is read again, the loss is named"
    )
    func lower() throws {
        var bench = fallenBack()
        var spec = TenantSpec(scenarios: ["s"])
        spec.suspended = nil
        bench.snapshot.tenants = ["men": spec]
        bench.snapshot.managers = ["men": StoredManager(epoch: 1, since: at(0).wall, fleet: "f1", boot: 1, ackSeq: 5)]
        bench.feed(.stored(ticket: try #require(bench.held.last).ticket, .committed(5)))
        #expect(bench.committed.isEmpty, "nothing is acknowledged that is not there")
        #expect(texts(bench, "database.behind").first?.contains("has 5 facts, and had confirmed 12") == true)
        #expect(!bench.registry.isLoaded)
        bench.pass(1_100)
        #expect(loads(bench) == 1 && bench.registry.isLoaded)
        #expect(bench.registry.tenants["men"]?.ackSeq == 5)
        let lost = texts(bench, "database.lost")
        #expect(
            lost.contains { $0.contains("of epoch 1 12 facts were committed, the database ends at fact 5 of epoch 1") })
        #expect(lost.contains { $0.hasPrefix("Provider/alpha was at version 1 and is not there any more") })
        // What its Work Manager was told, it cannot tell again: the next epoch, as from a restored backup.
        var status = RegistryBench.status(99, epoch: 1, generation: 1)
        status.ackSeq = 12
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
        bench.pass(2_000)
        #expect(bench.closings.map(\.epoch) == [1])
    }

    @Test("the number of an epoch that has ended meanwhile says nothing of the database")
    func ended() throws {
        var bench = fallenBack()
        let held = try #require(bench.held.last)
        bench.registry.tenants["men"]?.phase = .closing
        bench.feed(.stored(ticket: held.ticket, .committed(0)))
        #expect(bench.registry.isLoaded && texts(bench, "database.behind").isEmpty)
    }

    @Test("the store notices by the transactions' mark: the same, and what gateways named once is asked for again")
    func byMark() throws {
        var bench = fallenBack()
        #expect(bench.registry.gateways["g1"]?.listed.isEmpty == false)
        #expect(bench.registry.gateways["g1"]?.sealed.isEmpty == false)
        let held = try #require(bench.held.last)
        bench.feed(.stored(ticket: held.ticket, .failed(Problem(.databaseBehind, "it is at transaction 3"))))
        #expect(texts(bench, "database.behind").first?.contains("it is at transaction 3") == true)
        #expect(bench.registry.gateways["g1"]?.listed.isEmpty == true)
        #expect(bench.registry.gateways["g1"]?.sealed.isEmpty == true)
        // An answer that was under way says nothing of what is asked after the next reading.
        let seal = Seal(tenant: "men", epoch: 2, listed: 1, begun: 1)
        let ack = GatewayAck(id: "s", command: .seal, boot: 1, sealed: [seal], left: [left(1)])
        bench.feed(.received(Message(.gatewayAck("g1"), .gatewayAck(ack))))
        #expect(bench.registry.gateways["g1"]?.sealed.isEmpty == true)
        #expect(bench.registry.gateways["g1"]?.left.isEmpty == true)
        bench.pass(1_100)
        #expect(bench.registry.brokenInvariant() == nil)
        #expect(texts(bench, "database.lost").first?.contains("ends at fact 0 of epoch 0") == true)
    }

    private func left(_ number: Int) -> LeftJob {
        LeftJob(
            job: jobID(number), tenant: "men", provider: "alpha", epoch: 1, run: RunID(time: at(0).wall, of: "run"),
            service: "harvest", attempt: 1, deadline: at(60_000).wall)
    }

    private func recoveries(_ bench: RegistryBench) -> [Recovery] {
        bench.requests.compactMap { if case .recover(let recovery) = $0 { recovery } else { nil } }
    }

    /// What every registry reads anew after the loss.
    private func reads(_ bench: inout RegistryBench) {
        bench.snapshot.tenants = ["men": TenantSpec(scenarios: ["s"])]
        bench.snapshot.managers = ["men": StoredManager(epoch: 1, since: at(0).wall, fleet: "f1", boot: 1, ackSeq: 0)]
        bench.feed(.stored(ticket: bench.held.removeLast().ticket, .failed(Problem(.databaseBehind, "behind"))))
        bench.holdsCommits = false
        bench.pass(1_100)
    }

    @Test("falls back a second time: the rows that the first seal brought are gone, so the gateway is sealed again")
    func twice() {
        var bench = fallenBack()
        bench.begun = ["men": 2]
        bench.left = ["g1": [left(1)]]
        reads(&bench)
        bench.pass(100)
        #expect(recoveries(bench).map { $0.jobs.map(\.job) } == [[jobID(1)]])
        // Its seal of the next epoch counts; before anything of that is begun, the database falls back once more.
        bench.requests = []
        bench.holdsAll = true
        bench.pass(5_000)
        #expect(!bench.held.isEmpty)
        bench.holdsAll = false
        reads(&bench)
        bench.pass(2_000)
        #expect(recoveries(bench).map { $0.jobs.map(\.job) } == [[jobID(1)]], "named and written once more")
    }

    @Test("an answer to a seal from before the loss lacks what is lost, and does not count")
    func staleList() {
        var bench = fallenBack()
        bench.begun = ["men": 4]
        bench.obedientGateways = [:]
        reads(&bench)
        func answer(_ list: Int?, _ jobs: [LeftJob]) -> Registry.Event {
            let seal = Seal(tenant: "men", epoch: 5, list: list, listed: jobs.count, begun: 4)
            return .received(
                Message(
                    .gatewayAck("g1"),
                    .gatewayAck(GatewayAck(id: "s", command: .seal, boot: 1, sealed: [seal], left: jobs))))
        }
        bench.feed(answer(4, []))
        bench.pass(100)
        #expect(bench.registry.gateways["g1"]?.sealed["men"] == nil, "made for a registry that had the rows up to 4")
        bench.feed(answer(1, [left(1)]))
        #expect(recoveries(bench).map { $0.jobs.map(\.job) } == [[jobID(1)]])
        #expect(bench.registry.gateways["g1"]?.sealed["men"] == 5)
    }

    @Test("a provider that moved after the backup: its former gateway gets it when the present one has let go")
    func movedSince() throws {
        for isObedient in [true, false] {
            var bench = fallenBack()
            bench.presence(.gatewayPresence("g2"))
            bench.obedientGateways["g2"] = 1
            if !isObedient { bench.obedientGateways["g1"] = nil }
            #expect(bench.registry.providers["alpha"]?.gateway == "g1")
            let spec = try #require(bench.registry.providers["alpha"]?.spec)
            bench.snapshot.providers = ["alpha": (spec, 1)]
            bench.snapshot.attachments = ["alpha": "g2"]
            bench.sent = []
            reads(&bench)
            bench.pass(5_000)
            let orders = bench.sent.compactMap { message -> String? in
                guard case .gatewayControl(let node) = message.topic,
                    case .gatewayControl(let control) = message.payload, control.provider == "alpha"
                else { return nil }
                return "\(control.command.rawValue) \(node)"
            }
            #expect(orders.first == "detach g1", "\(orders)")
            #expect(orders.contains("attach g2") == isObedient, "\(orders)")
        }
    }

    @Test("a reason that comes back from a database that refuses does not outlive its tenant")
    func lateReason() throws {
        var bench = RegistryBench.active()
        bench.pass(2_000)
        bench.holdsObservations = true
        bench.registry.explain("men", "waits-for-seal", "g1 does not answer", at: at(bench.now))
        bench.feed(.wake)
        let held = try #require(bench.held.last)
        bench.registry.removed("men")
        bench.holdsObservations = false
        bench.requests = []
        bench.feed(.stored(ticket: held.ticket, .failed(Problem(.databaseRefuses, "no", retryable: true))))
        bench.pass(3_000)
        let told = bench.requests.flatMap { request -> [Reason?] in
            guard case .observe(let list) = request else { return [] }
            return list.compactMap { if case .reason("men", let reason) = $0 { .some(reason) } else { nil } }
        }
        #expect(told == [nil])
    }

    @Test("a registry that was not the active one for a while relies on no seal of before")
    func standby() throws {
        var bench = fallenBack()
        bench.feed(.stored(ticket: try #require(bench.held.last).ticket, .failed(Problem(.standby, "another"))))
        #expect(bench.registry.gateways["g1"]?.listed.isEmpty == true)
        #expect(bench.registry.gateways["g1"]?.sealed.isEmpty == true)
    }

    @Test("a refusal of everything is told once a minute and in every answer, and its end is told")
    func refuses() {
        var bench = RegistryBench.active()
        bench.holdsCommits = true
        for _ in 0..<5 {
            bench.journal(1, 3)
            bench.feed(
                .stored(
                    ticket: bench.held.removeLast().ticket,
                    .failed(Problem(.databaseRefuses, "column \"message\" does not exist", retryable: true))))
            bench.pass(10_000)
        }
        #expect(texts(bench, "database.refuses").count == 1)
        // What came before the refused fact is committed, and the trouble is not over.
        bench.journal(1, 3)
        bench.feed(
            .stored(
                ticket: bench.held.removeLast().ticket,
                .committed(2, rest: Problem(.databaseRefuses, "column \"message\" does not exist", retryable: true))))
        #expect(bench.committed.last == 2 && texts(bench, "database.accepts").isEmpty)
        bench.feed(
            .received(Message(.query, .request(ClientRequest(id: "q9", client: "c", method: "why", params: [:])))))
        let notice = bench.responses().last?.result?["notice"]?.stringValue
        #expect(notice?.contains("journals of 1 tenant(s) (men) wait: column \"message\" does not exist") == true)
        bench.journal(1, 3)
        bench.release()
        #expect(texts(bench, "database.accepts").count == 1)
        #expect(bench.committed.last == 3)
        bench.feed(
            .received(Message(.query, .request(ClientRequest(id: "q8", client: "c", method: "why", params: [:])))))
        #expect(bench.responses().last?.result?["notice"] == nil)
    }

    @Test("a fact that was set aside is named, with the row that it has and where the whole is")
    func setAside() {
        var bench = RegistryBench.active()
        bench.holdsCommits = true
        bench.journal(1, 1)
        let kept = SetAside(id: 17, fact: "job/x", error: "22008: out of range", hasRow: true)
        bench.feed(.stored(ticket: bench.held.removeLast().ticket, .committed(1, setAside: [kept])))
        #expect(bench.committed == [1])
        #expect(
            texts(bench, "journal.set-aside").first?.contains("Its row has the rest; the whole is quarantine 17")
                == true)
    }

    @Test("an operator retries or discards what was set aside; a discard says why")
    func decides() {
        var bench = RegistryBench.active()
        #expect(bench.command("quarantine.discard", ["id": 3])?.error?.detail?.contains("reason is missing") == true)
        #expect(
            bench.command("quarantine.retry", ["id": "x"])?.error?.detail?.contains("field id must be a number") == true
        )
        #expect(bench.command("quarantine.retry", ["id": 3])?.status == 200)
        #expect(bench.command("quarantine.discard", ["id": 4, "reason": "of a test"])?.status == 200)
        let asked = bench.requests.compactMap {
            if case .settleQuarantined(let id, let verdict, let by) = $0 { (id, verdict, by) } else { nil }
        }
        #expect(asked.map(\.0) == [3, 4] && asked.map(\.1) == [.retry, .discard(reason: "of a test")])
        #expect(texts(bench, "quarantine.discarded").first?.contains("discarded by cli: of a test") == true)
    }

    @Test("no arithmetic on numbers from others ends the process")
    func extremes() {
        var bench = RegistryBench.active()
        for number in [Int.max, Int.min, 0, -1] {
            bench.journal(epoch: 1, number, 3)
            bench.journal(epoch: number, 1, 3)
            var status = RegistryBench.status(number, epoch: number, generation: number)
            status.ackSeq = number
            bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
            let seal = Seal(tenant: "men", epoch: number, listed: number, begun: number)
            let ack = GatewayAck(id: "x", command: .seal, boot: 1, sealed: [seal])
            bench.feed(.received(Message(.gatewayAck("g1"), .gatewayAck(ack))))
            bench.pass(5_000)
        }
        #expect(TenantTrack.following(.max) == Int(Int32.max) && TenantTrack.following(.min) == 1)
    }
}

@Suite("What is left of a fact that cannot be stored whole")
struct ReducedFactTests {
    private static let old = Timestamp(milliseconds: -62_167_219_200_000)  // year 0

    private func job(_ state: JobState) -> JobRecord {
        JobRecord(
            id: JobID(time: at(0).wall, of: "j"), run: RunID(time: at(0).wall, of: "r"), service: "s", type: "t",
            provider: "alpha", attempt: 2, state: state, revision: 7, time: at(9).wall, created: at(1).wall,
            started: Self.old, finished: state.isTerminal ? Self.old : nil, deadline: at(60_000).wall, progress: 0.5,
            message: "m", outputs: ["x": 1], error: Problem(.jobFailed, "why", retryable: true))
    }

    @Test(
        "who, what, which state and which place among the others stay; a job that ended has ended",
        arguments: Reduction.allCases)
    func jobs(_ reduction: Reduction) throws {
        for state in JobState.allCases {
            let whole = job(state)
            let left = try #require(JournalEntry(job: whole).reduced(reduction, note: "see quarantine 17").job)
            #expect(left.id == whole.id && left.run == whole.run && left.state == state)
            #expect(left.attempt == 2 && left.revision == 7 && left.provider == "alpha")
            #expect((left.finished != nil) == state.isTerminal && left.finished?.isSane != false)
            #expect(left.started == nil && left.time == whole.time)
            #expect(left.error == Problem(.notStorable, "see quarantine 17", retryable: true))
            #expect((left.outputs == nil) == (reduction >= .outputs) && (left.message == nil) == (reduction >= .texts))
        }
    }

    @Test(
        "times that nobody can mean are left out or replaced by the nearest that OMS itself knows",
        arguments: [
            Int64.min / 2, -62_167_219_200_000, 0, 253_402_300_799_999, Int64.max / 2,
        ])
    func times(_ milliseconds: Int64) throws {
        let odd = Timestamp(milliseconds: milliseconds)
        var whole = job(.succeeded)
        (whole.time, whole.created, whole.deadline, whole.started, whole.finished) = (odd, odd, odd, odd, odd)
        let left = try #require(JournalEntry(job: whole).reduced(.times, note: "n").job)
        #expect(left.time.isSane && left.created.isSane && left.deadline.isSane && left.finished?.isSane == true)
        let run = RunRecord(
            id: whole.run, service: "s", type: "t", state: .failed, due: odd, started: odd, deadline: odd,
            finished: odd,
            generation: 1)
        let ended = try #require(JournalEntry(run: run).reduced(.times, note: "n").run)
        #expect(ended.due.isSane && ended.started.isSane && ended.deadline.isSane && ended.finished?.isSane == true)
    }

    @Test("an entry names the thing that it speaks of, whatever it says of it")
    func names() {
        #expect(JournalEntry(job: job(.running)).fact == JournalEntry(job: job(.failed)).fact)
        #expect(JournalEntry(job: job(.running)).fact.hasPrefix("job/"))
    }
}
