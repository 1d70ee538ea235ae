import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Ticks that cannot be fired at once")
struct OverlapTests {
    private func plan(_ policy: OverlapPolicy, limit: Int? = nil, catchUp: Int? = nil) -> ServicePlan {
        var plan = Fixture.plan("harvest", every: 10, deadline: 1_000)
        plan.overlap = policy
        plan.queueLimit = limit
        plan.catchUpSeconds = catchUp
        return plan
    }

    private func resume(_ last: Int64, open: [OpenRun] = []) -> WorkManagerResume {
        WorkManagerResume(ticks: ["harvest": at(last).wall], succeeded: [:], consumed: [:], open: open)
    }

    private func ticks(_ effects: [WorkManager.Effect]) -> [String] {
        effects.entries.compactMap(\.tick).map { tick in
            "\((tick.due.milliseconds - at(0).wall.milliseconds) / 1000) \(tick.outcome.rawValue)"
                + (tick.count.map { " x\($0)" } ?? "")
        }
    }

    /// Fires tick 0, lets the clock run with its job open until `end` (seconds), then ends the job.
    private func run(_ plan: ServicePlan, until end: Int64) -> (WorkManager, meanwhile: [String], after: [String]) {
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        let job = effects.commands[0].command.job
        // Committed, so that nothing is sent twice.
        _ = manager.receive(.committed(Committed(epoch: 1, ackSeq: manager.journal.lastSeq)), at: at(0))
        var meanwhile: [String] = []
        for second in stride(from: 10, through: end, by: 10) {
            meanwhile += ticks(manager.receive(.wake, at: at(second * 1000)))
            _ = manager.receive(
                .committed(Committed(epoch: 1, ackSeq: manager.journal.lastSeq)), at: at(second * 1000))
        }
        effects = manager.receive(
            .jobEvent("alpha", event(job, .succeeded, at: at(end * 1000 + 1))), at: at(end * 1000 + 1))
        return (manager, meanwhile, ticks(effects))
    }

    @Test("skip: each is skipped, the next one after the run is fired")
    func skip() {
        let (_, meanwhile, after) = run(plan(.skip), until: 30)
        #expect(meanwhile == ["10 skipped", "20 skipped", "30 skipped"])
        #expect(after == [])
    }

    @Test("queue-one: the newest waits and is fired at once; the others are superseded")
    func queueOne() {
        let (_, meanwhile, after) = run(plan(.queueOne), until: 30)
        #expect(meanwhile == ["10 superseded x1", "20 superseded x1"])
        #expect(after == ["30 fired"])
    }

    @Test("queue-all: all wait in line, the oldest beyond the limit gives way")
    func queueAll() {
        let (manager, meanwhile, after) = run(plan(.queueAll, limit: 3), until: 50)
        #expect(meanwhile == ["10 superseded x1", "20 superseded x1"])
        #expect(after == ["30 fired"])
        #expect(manager.reasons["service/harvest"]?.text.contains("2 tick(s)") == true)
    }

    @Test("a queue survives its Work Manager: what waits is what is not accounted for")
    func restart() {
        var (manager, effects) = Fixture.manager(
            Fixture.config(plan(.queueAll)), epoch: 2, resume: resume(0), now: at(35_000))
        #expect(ticks(effects) == ["10 fired"])
        var fired: [String] = []
        for _ in 0..<3 {
            guard let job = effects.commands.first?.command.job else { break }
            effects = manager.receive(
                .jobEvent("alpha", event(job, .succeeded, epoch: 2, at: at(36_000))), at: at(36_000))
            fired += ticks(effects).filter { !$0.hasPrefix("10 ") && !fired.contains($0) }
        }
        #expect(fired == ["20 fired", "30 fired"])
    }

    @Test("stop-old: stops the run, waits for the confirmation, then fires the tick; nothing is tried again")
    func stopOld() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan(.stopOld)))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(100))), at: at(100))
        effects = manager.receive(.wake, at: at(10_000))
        #expect(effects.commands.map(\.command.command) == [.stop])
        #expect(effects.commands[0].command.reason?.contains("stop-old") == true)
        #expect(manager.reasons["service/harvest"]?.code == "waits-for-stop")
        effects = manager.receive(.jobEvent("alpha", event(job, .stopping, at: at(11_000))), at: at(11_000))
        #expect(effects.commands.isEmpty)
        let failure = Problem(.jobFailed, "killed", retryable: true)
        effects = manager.receive(
            .jobEvent("alpha", event(job, .failed, error: failure, at: at(12_000))), at: at(12_000))
        #expect(effects.results.map(\.state) == [.failed])
        let submit = try #require(effects.commands.first)
        #expect(submit.command.command == .submit)
        #expect(submit.command.job != job)
        #expect(manager.reasons["service/harvest"] == nil)
    }

    @Test("beyond catch_up_s nothing is fired; within it the newest stands for the missed")
    func catchUp() {
        let late = Fixture.manager(
            Fixture.config(plan(.skip, catchUp: 5)), epoch: 2, resume: resume(0), now: at(57_000)
        ).1
        #expect(ticks(late) == ["10 superseded x5"])
        let inTime = Fixture.manager(
            Fixture.config(plan(.skip, catchUp: 30)), epoch: 2, resume: resume(0), now: at(57_000)
        ).1
        #expect(ticks(inTime) == ["10 superseded x2", "30 superseded x2", "50 fired"])
        let queue = Fixture.manager(
            Fixture.config(plan(.queueAll, catchUp: 30)), epoch: 2, resume: resume(0), now: at(57_000)
        ).1
        #expect(ticks(queue) == ["10 superseded x2", "30 fired"])
    }

    @Test("the record of the missed says how far it reaches, so that the next epoch goes on behind it")
    func through() {
        let effects = Fixture.manager(
            Fixture.config(plan(.queueAll, limit: 2)), epoch: 2, resume: resume(0), now: at(57_000)
        ).1
        let missed = effects.entries.compactMap(\.tick)[0]
        #expect(missed.count == 3)
        #expect(missed.through == at(39_999).wall)
    }

    @Test(
        "a tick whose run a predecessor began is recorded as fired, whatever the policy",
        arguments: OverlapPolicy.allCases)
    func known(policy: OverlapPolicy) throws {
        let (_, before) = Fixture.manager(Fixture.config(plan(policy)))
        let run = try #require(before.entries[0].run)
        let open = OpenRun(
            run: run.id, service: "harvest", due: at(0).wall, started: at(0).wall, deadline: at(900_000).wall,
            plan: plan(policy),
            jobs: [
                OpenJob(
                    id: before.commands[0].command.job, provider: "alpha", attempt: 1, state: .running, revision: 1)
            ])
        // The journal was cut between the run and its tick.
        let resume = WorkManagerResume(ticks: [:], succeeded: [:], consumed: [:], open: [open])
        let (_, effects) = Fixture.manager(Fixture.config(plan(policy)), epoch: 2, resume: resume, now: at(5_000))
        #expect(ticks(effects) == ["0 fired"])
        #expect(effects.commands.map(\.command.command) == [.status])
    }

    @Test("ticks of a rhythm that is over end as superseded, live or after a restart")
    func changedSchedule() {
        var new = Fixture.plan("harvest", every: 3600)
        new.anchor = at(35_000).wall
        new.earlier = EarlierSchedule(frequency: Frequency(everySeconds: 10), anchor: at(0).wall)
        let restarted = Fixture.manager(
            Fixture.config(new, generation: 2), epoch: 2, resume: resume(10_000), now: at(40_000))
        #expect(ticks(restarted.1) == ["20 superseded x2", "35 fired"])

        new.overlap = .queueOne
        var (live, effects) = Fixture.manager(Fixture.config(plan(.queueAll)))
        _ = live.receive(.wake, at: at(34_000))
        effects = live.receive(.reconfigure(Fixture.config(new, generation: 2)), at: at(35_100))
        #expect(ticks(effects).contains("10 superseded x3"))
        effects = live.receive(.reconfigure(Fixture.config(Fixture.plan("b"), generation: 3)), at: at(36_000))
        #expect(ticks(effects).contains("35 superseded x1"), "the service is gone while its tick waits")
    }
}

@Suite("Runs that somebody asks for")
struct TriggerTests {
    private let config = Fixture.config(Fixture.plan("harvest", every: 10))

    private func answers(_ effects: [WorkManager.Effect]) -> [Problem?] {
        effects.compactMap { if case .answered(_, let problem) = $0 { .some(problem) } else { nil } }
    }

    @Test("run at once, count for overlap, and leave the schedule's account alone")
    func runs() throws {
        var plan = Fixture.plan("harvest", every: 10)
        plan.anchor = at(60_000).wall
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        #expect(effects.commands.isEmpty)
        let wish = RunTrigger(id: "q1", service: "harvest", due: at(1_000).wall)
        effects = manager.receive(.trigger(wish), at: at(1_100))
        #expect(answers(effects) == [nil])
        let job = try #require(effects.commands.first).command.job
        let tick = try #require(effects.entries.compactMap(\.tick).first)
        #expect(tick.manual == true && tick.outcome == .fired && tick.due == wish.due)
        #expect(manager.services["harvest"]?.lastTick == nil)
        // The same question again starts nothing; another one is told what is in the way.
        effects = manager.receive(.trigger(wish), at: at(2_000))
        #expect(answers(effects) == [nil] && effects.commands.isEmpty)
        effects = manager.receive(
            .trigger(RunTrigger(id: "q2", service: "harvest", due: at(3_000).wall)), at: at(3_000))
        #expect(answers(effects)[0]?.detail?.contains("overlap: run") == true)
        effects = manager.receive(.wake, at: at(60_000))
        #expect(effects.entries.compactMap(\.tick).last?.outcome == .skipped)
        effects = manager.receive(.jobEvent("alpha", event(job, .succeeded, at: at(61_000))), at: at(61_000))
        #expect(effects.results.map(\.state) == [.succeeded])
        #expect(answers(manager.receive(.trigger(wish), at: at(62_000))) == [nil])
        #expect(manager.runs.isEmpty, "a question that comes back late is known still")
    }

    @Test("name what is in force when the service is not")
    func unknown() {
        var (manager, _) = Fixture.manager(config)
        let problem = answers(
            manager.receive(.trigger(RunTrigger(id: "q", service: "nope", due: at(0).wall)), at: at(0)))[0]
        #expect(problem?.detail == "men/nope: no such service is in force; there are harvest")
    }
}
