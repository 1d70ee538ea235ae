import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Runs that an earlier Work Manager told of in part")
struct AdoptionTests {
    private static let merge = MergeRule(strategy: .reciprocalRankFusion, output: "ranking", itemKey: "item")

    /// The run of the first tick, as a Work Manager of epoch 1 begins it.
    private static func begun(_ plan: ServicePlan) -> (run: RunRecord, jobs: [JobRecord]) {
        let entries = Fixture.manager(Fixture.config(plan)).1.entries
        return (entries.compactMap(\.run)[0], entries.compactMap(\.job))
    }

    private static func open(
        _ plan: ServicePlan, _ begun: (run: RunRecord, jobs: [JobRecord]), known: Int, consumed: [RunID]? = nil
    ) -> OpenRun {
        OpenRun(
            run: begun.run.id, service: plan.id, due: begun.run.due, started: begun.run.started,
            deadline: begun.run.deadline, consumed: consumed, plan: plan,
            jobs: begun.jobs.prefix(known).map {
                OpenJob(id: $0.id, provider: $0.provider, attempt: 1, state: .unknown, revision: 1)
            })
    }

    private static func resume(_ open: OpenRun...) -> WorkManagerResume {
        var resume = WorkManagerResume.empty
        resume.open = open
        return resume
    }

    @Test("the providers that no row names are asked too, with the same ids, and the tick is noted as fired")
    func completed() throws {
        let plan = Fixture.plan("harvest", providers: ["alpha", "beta"], merge: Self.merge)
        let begun = Self.begun(plan)
        #expect(begun.jobs.count == 2)
        let (_, effects) = Fixture.manager(
            Fixture.config(plan), epoch: 2, resume: Self.resume(Self.open(plan, begun, known: 1)), now: at(5_000))
        let submits = effects.commands.filter { $0.command.command == .submit }
        #expect(submits.map(\.command.job) == [begun.jobs[1].id] && submits.map(\.provider) == ["beta"])
        #expect(submits[0].command.again == true, "it may be known there")
        let ticks = effects.entries.compactMap(\.tick)
        #expect(ticks.map(\.run) == [begun.run.id] && ticks.map(\.outcome) == [.fired])
        // Completely known: nothing is begun, and no second job.
        let whole = Fixture.manager(
            Fixture.config(plan), epoch: 2, resume: Self.resume(Self.open(plan, begun, known: 2)), now: at(5_000)
        ).1
        #expect(!whole.commands.contains { $0.command.command == .submit })
    }

    @Test("a result names both, and the run ends once")
    func result() {
        let plan = Fixture.plan("harvest", providers: ["alpha", "beta"], merge: Self.merge)
        let begun = Self.begun(plan)
        var (manager, effects) = Fixture.manager(
            Fixture.config(plan), epoch: 2, resume: Self.resume(Self.open(plan, begun, known: 1)), now: at(5_000))
        #expect(effects.results.isEmpty)
        let outputs: JSONObject = ["ranking": ["value": [["item": "x"]]]]
        effects = manager.receive(
            .jobEvent("alpha", event(begun.jobs[0].id, .succeeded, epoch: 2, outputs: outputs, at: at(5_100))),
            at: at(5_100))
        #expect(effects.results.isEmpty, "the other one is asked")
        effects = manager.receive(
            .jobEvent("beta", event(begun.jobs[1].id, .succeeded, epoch: 2, outputs: outputs, at: at(5_200))),
            at: at(5_200))
        #expect(effects.results.map { $0.providers.map(\.provider) } == [["alpha", "beta"]])
    }

    @Test("where one provider is enough, no other one is asked than the one that was")
    func one() {
        let plan = Fixture.plan("harvest", providers: ["alpha", "beta"])
        let begun = Self.begun(plan)
        let (_, effects) = Fixture.manager(
            Fixture.config(plan), epoch: 2, resume: Self.resume(Self.open(plan, begun, known: 1)), now: at(5_000))
        #expect(!effects.commands.contains { $0.command.command == .submit })
    }

    @Test("after the deadline nobody is asked any more")
    func overdue() {
        let plan = Fixture.plan("harvest", every: 3_600, providers: ["alpha", "beta"], merge: Self.merge)
        let begun = Self.begun(plan)
        let (_, effects) = Fixture.manager(
            Fixture.config(plan), epoch: 2, resume: Self.resume(Self.open(plan, begun, known: 1)), now: at(181_000))
        #expect(!effects.commands.contains { $0.command.command == .submit })
    }

    @Test("a run that an upstream run caused is not begun a second time for it, also when it has ended meanwhile")
    func dependent() throws {
        let upstream = Fixture.plan("a", every: 3_600)
        let plan = Fixture.plan("b", after: ["a"])
        var (first, effects) = Fixture.manager(Fixture.config(upstream, plan))
        effects = first.receive(
            .jobEvent("alpha", event(effects.commands[0].command.job, .succeeded, at: at(100))), at: at(100))
        let run = try #require(effects.entries.compactMap(\.run).first { $0.service == "b" })
        let job = try #require(effects.entries.compactMap(\.job).first { $0.service == "b" })
        let cause = try #require(run.consumed)
        let request = try #require(effects.commands.first { $0.command.job == job.id }?.command.request)
        #expect(
            LeftJob(request, tenant: "men", provider: "alpha", epoch: 1)?.upstream == cause, "the gateway can name it")
        var resume = Self.resume(Self.open(plan, (run, [job]), known: 1, consumed: cause))
        resume.ticks = ["a": at(0).wall]
        resume.succeeded = ["a": RunReference(run: cause[0], due: at(0).wall)]
        var (second, begun) = Fixture.manager(
            Fixture.config(upstream, plan), epoch: 2, resume: resume, now: at(5_000))
        #expect(begun.entries.compactMap(\.tick).map(\.run) == [run.id])
        begun = second.receive(.jobEvent("alpha", event(job.id, .succeeded, epoch: 2, at: at(5_100))), at: at(5_100))
        #expect(begun.results.map(\.run) == [run.id])
        begun = second.receive(.wake, at: at(6_000))
        #expect(!begun.commands.contains { $0.command.command == .submit })
        #expect(begun.entries.compactMap(\.run).isEmpty)
    }

    @Test("nor when its upstream run, which was found begun too, succeeds after it has ended")
    func dependentFirst() throws {
        let upstream = Fixture.plan("a", every: 3_600)
        let plan = Fixture.plan("b", after: ["a"])
        var (first, effects) = Fixture.manager(Fixture.config(upstream, plan))
        let cause = try #require(effects.entries.compactMap(\.run).first)
        let causing = try #require(effects.entries.compactMap(\.job).first)
        effects = first.receive(.jobEvent("alpha", event(causing.id, .succeeded, at: at(100))), at: at(100))
        let run = try #require(effects.entries.compactMap(\.run).first { $0.service == "b" })
        let job = try #require(effects.entries.compactMap(\.job).first { $0.service == "b" })
        // Nothing of both was recorded; the one that depends was swept meanwhile.
        var swept = Self.open(plan, (run, [job]), known: 1, consumed: [cause.id])
        swept.jobs[0].state = .failed
        swept.jobs[0].retryable = false
        let resume = Self.resume(Self.open(upstream, (cause, [causing]), known: 1), swept)
        var (second, begun) = Fixture.manager(
            Fixture.config(upstream, plan), epoch: 2, resume: resume, now: at(5_000))
        #expect(begun.entries.compactMap(\.run).map(\.id) == [run.id], "it has ended")
        begun = second.receive(
            .jobEvent("alpha", event(causing.id, .succeeded, epoch: 2, at: at(5_100))), at: at(5_100))
        #expect(begun.entries.compactMap(\.run).map(\.id) == [cause.id], "and is not begun again")
        #expect(!begun.commands.contains { $0.command.command == .submit })
    }

    @Test("a run that somebody asked for: its tick is noted, and the same question again has no second effect")
    func manual() throws {
        let plan = Fixture.plan("harvest", every: 3_600)
        var (first, _) = Fixture.manager(
            Fixture.config(plan),
            resume: WorkManagerResume(ticks: ["harvest": at(0).wall], succeeded: [:], consumed: [:], open: []))
        let trigger = RunTrigger(id: "q", service: "harvest", due: at(1_000).wall)
        let effects = first.receive(.trigger(trigger), at: at(1_000))
        let run = try #require(effects.entries.compactMap(\.run).first)
        var resume = Self.resume(Self.open(plan, (run, effects.entries.compactMap(\.job)), known: 1))
        resume.ticks = ["harvest": at(0).wall]
        var (second, begun) = Fixture.manager(Fixture.config(plan), epoch: 2, resume: resume, now: at(5_000))
        #expect(begun.entries.compactMap(\.tick).map(\.manual) == [true])
        begun = second.receive(.trigger(trigger), at: at(6_000))
        #expect(begun.entries.compactMap(\.run).isEmpty)
    }
}
