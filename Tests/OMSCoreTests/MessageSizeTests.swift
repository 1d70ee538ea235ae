import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Much at once: no message becomes longer than the broker takes, and nothing is lost by that")
struct MessageSizeTests {
    private static let plan = Fixture.plan("harvest", every: 1, providers: ["alpha", "beta"])
    private static let config = Fixture.config(plan)

    private func bytes(_ message: Message) throws -> Int {
        try EnvelopeCodec().encode(message, EnvelopeHeader(id: "1", source: "test", time: at(0).wall)).count
    }

    /// Runs of so many ticks, whose Work Manager could tell nobody of them.
    private func open(_ count: Int, plan: ServicePlan = plan) -> [OpenRun] {
        (0..<count).map { number in
            let due = at(Int64(number) * 1_000).wall
            let run = RunID(time: due, of: "run", "men", "harvest", "\(due.milliseconds)", "")
            let job = OpenJob(
                id: JobID(time: due, of: "job", "\(run)", "alpha", "1"), provider: "alpha", attempt: 1, state: .unknown,
                revision: 1)
            return OpenRun(
                run: run, service: "harvest", due: due, started: due, deadline: at(9_000_000).wall, plan: plan,
                jobs: [job])
        }
    }

    private func resume(_ open: [OpenRun]) -> WorkManagerResume {
        WorkManagerResume(ticks: ["harvest": at(5_000_000).wall], succeeded: [:], consumed: [:], open: open)
    }

    @Test("what a gateway had to leave out of its word about a job is named in the job's record too")
    func marks() throws {
        var (manager, effects) = Fixture.manager(Self.config)
        let first = try #require(effects.commands.first)
        var told = event(
            first.command.job, .failed, error: Problem(.jobFailed, "the beginning...", retryable: false), at: at(10))
        told.omitted = ["texts"]
        effects = manager.receive(.jobEvent(first.provider, told), at: at(10))
        let record = try #require(effects.entries.compactMap(\.job).last { $0.id == first.command.job })
        #expect(record.state == .failed && record.omitted == ["texts"])
    }

    @Test("a start with 5,000 open runs takes the oldest ones, and says how many are left")
    func start() throws {
        var bench = RegistryBench()
        bench.resume = resume(open(5_000))
        bench.start()
        let control = try #require(bench.controls().first { $0.command == .bootstrap })
        #expect(try bytes(Message(.wmControl("men"), .wmControl(control))) < EnvelopeCodec.maxBytes)
        let sent = try #require(control.resume)
        #expect(sent.open.count > 50 && sent.open.count + (sent.more ?? 0) == 5_000)
        #expect(sent.open.map(\.due) == sent.open.map(\.due).sorted() && sent.open[0].due == at(0).wall)
    }

    @Test("a plan that the configuration has is not said again; another one is", arguments: [true, false])
    func plans(isSame: Bool) throws {
        var other = Self.plan
        other.parameters = ["text": .string(String(repeating: "x", count: 20_000))]
        let fitting = resume(open(50, plan: isSame ? Self.plan : other)).fitting(Self.config)
        #expect(fitting.open.allSatisfy { ($0.plan == nil) == isSame })
        #expect((fitting.more == nil) == isSame)
        let control = WMControl(
            id: "1", command: .bootstrap, epoch: 1, fleet: "f", boot: 1, generation: 1, config: Self.config,
            resume: fitting)
        #expect(try bytes(Message(.wmControl("men"), .wmControl(control))) < EnvelopeCodec.maxBytes)
        var manager = WorkManager(
            tenant: "men", epoch: 2, fleet: "f1", boot: 1, config: Self.config, resume: fitting, at: at(6_000_000))
        _ = manager.receive(.started, at: at(6_000_000))
        #expect(manager.runs.count >= fitting.open.count)
    }

    @Test("what did not fit comes while the first ones end, and each run ends once")
    func rest() throws {
        var left = open(1_500)
        let all = Set(left.map(\.run))
        var (manager, effects) = Fixture.manager(
            Self.config, epoch: 2, resume: resume(left).fitting(Self.config), now: at(6_000_000))
        var ended: [RunID: Int] = [:]
        var rounds = 0
        while !left.isEmpty, rounds < 20 {
            rounds += 1
            for id in manager.runs.keys.filter({ all.contains($0) }).sorted() {
                for job in manager.runs[id]?.jobs ?? [] {
                    effects = manager.receive(
                        .jobEvent("alpha", event(job.id, .succeeded, epoch: 2, at: at(6_001_000))), at: at(6_001_000))
                    for case .publish(let message) in effects {
                        guard case .result(let result) = message.payload else { continue }
                        ended[result.run, default: 0] += 1
                    }
                }
            }
            left.removeAll { ended[$0.run] != nil }
            // What the comparison with the rows brings.
            let rows = resume(left).fitting(nil)
            _ = manager.receive(.reconcile(rows), at: at(6_002_000))
            let control = WMControl(
                id: "1", command: .reconcile, epoch: 2, fleet: "f", boot: 1, generation: 1, resume: rows)
            #expect(try bytes(Message(.wmControl("men"), .wmControl(control))) < EnvelopeCodec.maxBytes)
        }
        #expect(left.isEmpty && rounds > 2)
        #expect(ended.filter { all.contains($0.key) }.values.allSatisfy { $0 == 1 })
    }

    @Test("rows that are told in part take nothing away: what is not among them is not recorded again")
    func partialRows() {
        var (manager, _) = Fixture.manager(
            Self.config, epoch: 2, resume: resume(open(3)).fitting(Self.config), now: at(6_000_000))
        var rows = resume([])
        rows.more = 3
        let effects = manager.receive(.reconcile(rows), at: at(6_000_100))
        #expect(effects.entries.compactMap(\.job).isEmpty)
        let whole = manager.receive(.reconcile(resume([])), at: at(6_000_200))
        #expect(whole.entries.compactMap(\.job).count >= 3, "and what is missing among all is")
    }

    @Test("a sweep of 3,000 jobs goes out in parts, and is complete when each of them has been told of")
    func sweep() throws {
        var bench = RegistryBench.active()
        let jobs = (0..<3_000).map { JobID(time: at(Int64($0)).wall, of: "j") }
        bench.openJobs = jobs.map { OpenJobRow(job: $0, provider: "alpha") }
        bench.answersBeats = false
        bench.sent = []
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(40_000)
        let sweeps = bench.sent.filter {
            if case .gatewayControl(let control) = $0.payload { control.sweep != nil } else { false }
        }
        #expect(sweeps.count >= 3)
        for message in sweeps { #expect(try bytes(message) < EnvelopeCodec.maxBytes) }
        #expect(bench.closings.map { Set($0.swept.map(\.job)) } == [Set(jobs)])
        #expect(bench.closings[0].quarantined.isEmpty)
    }

    @Test("too many jobs to keep: only what is named is ended")
    func keep() throws {
        var bench = RegistryBench.active()
        let ended = JobID(time: at(0).wall, of: "e")
        bench.openJobs =
            (0..<2_500).map {
                OpenJobRow(job: JobID(time: at(Int64($0)).wall, of: "k"), provider: "alpha", onReplace: .adopt)
            } + [OpenJobRow(job: ended, provider: "alpha")]
        bench.answersBeats = false
        bench.sent = []
        _ = bench.command("replace", ["tenant": "men"])
        bench.pass(40_000)
        let sweep = try #require(
            bench.sent.compactMap { if case .gatewayControl(let control) = $0.payload { control.sweep } else { nil } }
                .first)
        #expect(sweep.only == true && sweep.keep.isEmpty && sweep.jobs.map(\.job) == [ended])

        var gateway = GatewayBench()
        gateway.command(.submit, jobID(1))
        gateway.answer(try gateway.taken(), 201, .job(gateway.job(jobID(1), .running)))
        gateway.control(.sweep, sweep: Sweep(tenant: "men", epoch: 2, jobs: [], keep: [], only: true))
        #expect(gateway.isQuiet && gateway.acks.last?.swept?.remaining.isEmpty == true)
    }

    @Test("a gateway tells of 4,000 ended jobs in parts")
    func sweepReport() throws {
        let ended = (1...4_000).map {
            LedgerContents.Ended(
                left: LeftJob(
                    job: jobID($0), tenant: "men", provider: "alpha", epoch: 1, run: RunID(time: at(0).wall, of: "r"),
                    service: "s", attempt: 1, deadline: at(0).wall), state: .lost, age: 0)
        }
        var bench = GatewayBench(ledger: LedgerContents(ended: ended))
        bench.acks = []
        for part in 0..<4 {
            bench.control(
                .sweep,
                sweep: Sweep(
                    tenant: "men", epoch: 2,
                    jobs: (1...1_000).map { SweepJob(job: jobID(part * 1_000 + $0), provider: "alpha") }, keep: []))
        }
        for ack in bench.acks {
            #expect(try bytes(Message(.gatewayAck("g1"), .gatewayAck(ack))) < EnvelopeCodec.maxBytes)
        }
        #expect(Set(bench.acks.flatMap { $0.swept?.ended ?? [] }.map(\.job)).count == 4_000)
    }
}
