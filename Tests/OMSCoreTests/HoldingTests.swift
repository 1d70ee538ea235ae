import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A job that never ends keeps its service's overlap rule")
struct HoldingTests {
    private func plan(_ policy: OverlapPolicy, providers: [ProviderID] = ["alpha"], deliverAfter: Int? = nil)
        -> ServicePlan
    {
        var plan = Fixture.plan("harvest", every: 10, providers: providers, deadline: 15, attempts: 3)
        plan.overlap = policy
        plan.merge = MergeRule(strategy: providers.count > 1 ? .concat : .first)
        plan.merge.deliverAfterSeconds = deliverAfter
        return plan
    }

    private let givenUp = Problem(.givenUp, "given up by anna: it burnt", retryable: false)

    /// Tick 0 is fired; its job says `stopping` since the run's deadline, at second 15.
    private func stuck(_ policy: OverlapPolicy, epoch: Int = 1) throws -> (WorkManager, JobID) {
        var (manager, effects) = Fixture.manager(Fixture.config(plan(policy)), epoch: epoch)
        let job = try #require(effects.commands.first).command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, epoch: epoch, at: at(100))), at: at(100))
        effects = manager.receive(.wake, at: at(15_000))
        #expect(effects.results.map(\.state) == [.failed])
        #expect(effects.commands.map(\.command.command) == [.stop])
        effects = manager.receive(
            .jobEvent("alpha", event(job, .stopping, epoch: epoch, at: at(15_100))), at: at(15_100))
        commit(&manager, epoch, at: at(15_200))
        return (manager, job)
    }

    private func commit(_ manager: inout WorkManager, _ epoch: Int = 1, at now: Moment) {
        _ = manager.receive(.committed(Committed(epoch: epoch, ackSeq: manager.journal.lastSeq)), at: now)
    }

    private func ticks(_ effects: [WorkManager.Effect]) -> [TickRecord] { effects.entries.compactMap(\.tick) }

    @Test("skip: ticks are skipped after the run has failed, and say which job of which provider is in the way")
    func skip() throws {
        var (manager, job) = try stuck(.skip)
        for second: Int64 in [20, 30, 40] {
            let effects = manager.receive(.wake, at: at(second * 1000))
            let tick = try #require(ticks(effects).first)
            #expect(tick.outcome == .skipped)
            for part in ["job \(job)", "at alpha", "stopping since", "oms job give-up \(job)"] {
                #expect(tick.reason?.contains(part) == true, "\(tick.reason ?? "")")
            }
            #expect(!effects.commands.contains { $0.command.command == .submit }, "no second execution")
            commit(&manager, at: at(second * 1000))
        }
        let reason = try #require(manager.reasons["service/harvest"])
        #expect(reason.code == ReasonCode.jobHolds.rawValue && reason.text.contains("\(job)"))
        let effects = manager.receive(
            .jobEvent("alpha", event(job, .lost, error: givenUp, at: at(45_000))), at: at(45_000))
        #expect(manager.reasons["service/harvest"] == nil && manager.runs.isEmpty)
        #expect(effects.commands.isEmpty, "what was given up is not tried again")
        #expect(ticks(manager.receive(.wake, at: at(50_000))).map(\.outcome) == [.fired])
    }

    @Test("the reason is told once and not with every tick")
    func quiet() throws {
        var (manager, _) = try stuck(.skip)
        var told = 0
        for second in stride(from: Int64(20), through: 200, by: 10) {
            told += manager.receive(.wake, at: at(second * 1000)).entries.compactMap(\.reason).count
            commit(&manager, at: at(second * 1000))
        }
        #expect(told == 1)
    }

    @Test(
        "queues: ticks wait, and the one whose turn it is is fired when the job is given up",
        arguments: [
            OverlapPolicy.queueOne, .queueAll, .stopOld,
        ])
    func queues(policy: OverlapPolicy) throws {
        var (manager, job) = try stuck(policy)
        var effects = manager.receive(.wake, at: at(20_000))
        #expect(!effects.commands.contains { $0.command.command == .submit })
        #expect(manager.reasons["service/harvest"]?.text.contains("oms job give-up \(job)") == true)
        effects = manager.receive(.jobEvent("alpha", event(job, .lost, error: givenUp, at: at(25_000))), at: at(25_000))
        #expect(effects.commands.map(\.command.command) == [.submit])
        #expect(manager.reasons["service/harvest"]?.text.contains("give-up") != true)
    }

    @Test("a wish for a run is told who is in the way; it never waits")
    func wish() throws {
        var (manager, job) = try stuck(.skip)
        let wish = RunTrigger(id: "q", service: "harvest", due: at(16_000).wall)
        let effects = manager.receive(.trigger(wish), at: at(16_000))
        guard
            case .answered(_, let problem?)? = effects.first(where: { if case .answered = $0 { true } else { false } })
        else {
            Issue.record("no answer")
            return
        }
        #expect(problem.slug == "busy" && problem.detail?.contains("job \(job) at alpha is stopping") == true)
    }

    @Test("a successor keeps the rule: the run is over, its job is not")
    func successor() throws {
        let (_, job) = try stuck(.skip)
        let run = RunID(time: at(0).wall, of: "run", "men", "harvest", "\(at(0).wall.milliseconds)", "")
        let open = OpenRun(
            run: run, service: "harvest", due: at(0).wall, started: at(0).wall, deadline: at(15_000).wall,
            finished: true, plan: plan(.skip),
            jobs: [OpenJob(id: job, provider: "alpha", attempt: 1, state: .stopping, revision: 3)])
        let resume = WorkManagerResume(ticks: ["harvest": at(10_000).wall], succeeded: [:], consumed: [:], open: [open])
        var (manager, effects) = Fixture.manager(
            Fixture.config(plan(.skip)), epoch: 2, resume: resume, now: at(18_000))
        #expect(effects.commands.map(\.command.command) == [.stop], "it goes on stopping it")
        effects = manager.receive(.wake, at: at(20_000))
        #expect(ticks(effects).map(\.outcome) == [.skipped])
        _ = manager.receive(
            .jobEvent("alpha", event(job, .lost, epoch: 2, error: givenUp, at: at(21_000))), at: at(21_000))
        #expect(ticks(manager.receive(.wake, at: at(30_000))).contains { $0.outcome == .fired })
    }

    @Test("a late branch is welcome and holds nobody")
    func lateBranch() throws {
        var (manager, effects) = Fixture.manager(
            Fixture.config(plan(.skip, providers: ["alpha", "beta"], deliverAfter: 5)))
        let first = try #require(effects.commands.first { $0.provider == "alpha" }).command.job
        let second = try #require(effects.commands.first { $0.provider == "beta" }).command.job
        _ = manager.receive(.jobEvent("beta", event(second, .running, at: at(100))), at: at(100))
        _ = manager.receive(
            .jobEvent("alpha", event(first, .succeeded, outputs: ["records": ["value": [1]]], at: at(200))), at: at(200)
        )
        _ = manager.receive(.wake, at: at(5_000))
        effects = manager.receive(.wake, at: at(10_000))
        #expect(ticks(effects).allSatisfy { $0.outcome == .fired })
        #expect(effects.commands.filter { $0.command.command == .submit }.count == 2)
    }

    @Test("a job at a provider that is away, and that the plan does not count on any more, holds nobody")
    func away() throws {
        var (manager, _) = try stuck(.skip)
        let health = Health(status: .unreachable, checked: at(16_000).wall, circuit: .open, gateway: "g1", boot: 1)
        _ = manager.receive(.health("alpha", health), at: at(16_000))
        #expect(ticks(manager.receive(.wake, at: at(20_000))).map(\.outcome) == [.skipped], "the plan counts on it")
        commit(&manager, at: at(20_000))
        let moved = Fixture.config(plan(.skip, providers: ["beta"]), generation: 2)
        _ = manager.receive(.reconfigure(moved), at: at(21_000))
        let effects = manager.receive(.wake, at: at(30_000))
        #expect(ticks(effects).map(\.outcome) == [.fired])
        #expect(effects.commands.filter { $0.command.command == .submit }.map(\.provider) == ["beta"])
    }

    @Test("a drain waits for it, and ends when it is given up")
    func drain() throws {
        var (manager, job) = try stuck(.skip)
        var effects = manager.receive(.drain(until: at(600_000).wall), at: at(16_000))
        #expect(effects.contains(.draining(remaining: 1)))
        effects = manager.receive(.wake, at: at(60_000))
        #expect(!effects.contains { if case .drained = $0 { true } else { false } })
        _ = manager.receive(.jobEvent("alpha", event(job, .lost, error: givenUp, at: at(61_000))), at: at(61_000))
        effects = manager.receive(
            .committed(Committed(epoch: 1, ackSeq: manager.journal.lastSeq)), at: at(61_100))
        #expect(effects.contains { if case .drained = $0 { true } else { false } })
    }

    @Test("a service that follows others waits too")
    func follower() throws {
        var follow = Fixture.plan("rank", type: "harvest", after: ["harvest"], deadline: 15, attempts: 1)
        follow.overlap = .skip
        var (manager, effects) = Fixture.manager(
            Fixture.config(Fixture.plan("harvest", every: 20, deadline: 18), follow))
        func succeed(_ effects: [WorkManager.Effect], at now: Int64) throws -> [WorkManager.Effect] {
            let job = try #require(effects.commands.first { $0.command.command == .submit }).command.job
            return manager.receive(.jobEvent("alpha", event(job, .succeeded, at: at(now))), at: at(now))
        }
        effects = try succeed(effects, at: 1_000)
        let held = try #require(effects.commands.first).command.job
        _ = manager.receive(.jobEvent("alpha", event(held, .running, at: at(1_100))), at: at(1_100))
        _ = manager.receive(.wake, at: at(16_000))
        _ = manager.receive(.jobEvent("alpha", event(held, .stopping, at: at(16_100))), at: at(16_100))
        effects = manager.receive(.wake, at: at(20_000))
        effects = try succeed(effects, at: 21_000)
        #expect(!effects.commands.contains { $0.command.command == .submit })
        #expect(manager.reasons["service/rank"]?.code == ReasonCode.jobHolds.rawValue)
        effects = manager.receive(
            .jobEvent("alpha", event(held, .lost, error: givenUp, at: at(22_000))), at: at(22_000))
        #expect(effects.commands.contains { $0.command.command == .submit })
    }
}
