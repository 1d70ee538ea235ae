import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A partial result")
struct AmendTests {
    private var plan: ServicePlan {
        var plan = Fixture.plan(
            "r", type: "recommend", once: true, providers: ["a", "b", "c"],
            merge: MergeRule(strategy: .concat), deadline: 100, attempts: 1)
        plan.merge.deliverAfterSeconds = 30
        return plan
    }

    private func list(_ value: JSONValue) -> JSONObject { ["records": ["value": [value]]] }

    /// Three jobs, of which only the first has ended after 30 seconds.
    private func delivered() -> (WorkManager, jobs: [JobID], result: ServiceResult?) {
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        let jobs = effects.commands.map(\.command.job)
        _ = manager.receive(.jobEvent("a", event(jobs[0], .succeeded, outputs: list(1), at: at(9_000))), at: at(9_000))
        _ = manager.receive(.jobEvent("b", event(jobs[1], .running, at: at(9_000))), at: at(9_000))
        #expect(manager.nextWake(at: at(29_999)) <= at(30_000).monotonic)
        effects = manager.receive(.wake, at: at(30_000))
        #expect(effects.commands.allSatisfy { $0.command.command != .stop }, "late branches go on")
        return (manager, jobs, effects.results.first)
    }

    private func outcomes(_ result: ServiceResult?) -> [ProviderContribution.Outcome] {
        result?.providers.map(\.outcome) ?? []
    }

    @Test("goes out on time, names who is late, and is amended by each of them with a new revision")
    func amends() {
        var (manager, jobs, first) = delivered()
        #expect(first?.state == .partial && first?.revision == 1)
        #expect(outcomes(first) == [.used, .late, .late])
        var effects = manager.receive(
            .jobEvent("b", event(jobs[1], .succeeded, outputs: list(2), at: at(40_000))), at: at(40_000))
        #expect(effects.results.map(\.revision) == [2])
        #expect(effects.results[0].outputs == ["records": ["value": [1, 2]]])
        #expect(outcomes(effects.results[0]) == [.used, .used, .late])
        let records = effects.entries.compactMap(\.run)
        #expect(records.last?.result?.revision == 2)
        // Told again: nothing new.
        effects = manager.receive(
            .jobEvent("b", event(jobs[1], .succeeded, outputs: list(2), at: at(41_000))), at: at(41_000))
        #expect(effects.results.isEmpty)
        effects = manager.receive(
            .jobEvent("c", event(jobs[2], .failed, error: Problem(.jobFailed, "no"), at: at(50_000))), at: at(50_000))
        #expect(effects.results.map(\.revision) == [3])
        #expect(outcomes(effects.results[0]) == [.used, .used, .failed])
        #expect(manager.runs.isEmpty)
    }

    @Test("at the deadline late becomes missing, and the jobs are stopped; what comes all the same is used")
    func deadline() {
        var (manager, jobs, _) = delivered()
        var effects = manager.receive(.wake, at: at(100_000))
        #expect(effects.results.map(\.revision) == [2])
        #expect(outcomes(effects.results[0]) == [.used, .missing, .missing])
        #expect(effects.commands.map(\.command.command) == [.stop, .stop])
        effects = manager.receive(.jobEvent("b", event(jobs[1], .stopped, at: at(101_000))), at: at(101_000))
        #expect(effects.results.isEmpty, "that it was stopped is no news")
        effects = manager.receive(
            .jobEvent("c", event(jobs[2], .succeeded, outputs: list(3), at: at(102_000))), at: at(102_000))
        #expect(effects.results.map(\.revision) == [3])
        #expect(effects.results[0].outputs == ["records": ["value": [1, 3]]])
    }

    @Test("waits for the first branch when there is nothing yet")
    func nothingYet() {
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        let jobs = effects.commands.map(\.command.job)
        #expect(manager.receive(.wake, at: at(30_000)).results.isEmpty)
        effects = manager.receive(
            .jobEvent("c", event(jobs[2], .succeeded, outputs: list(3), at: at(31_000))), at: at(31_000))
        #expect(effects.results.map(\.state) == [.partial])
    }

    @Test("is amended by the next epoch too, which first collects again what was used")
    func successor() throws {
        let (before, jobs, _) = delivered()
        let run = try #require(before.runs.values.first)
        let states: [JobState] = [.succeeded, .running, .failed]
        let open = { (finished: Bool) in
            var open = OpenRun(
                run: run.id, service: "r", due: run.due, started: run.started, deadline: run.deadline,
                finished: finished, plan: self.plan,
                jobs: (0..<3).map {
                    OpenJob(
                        id: jobs[$0], provider: ["a", "b", "c"][$0], attempt: 1, state: states[$0], revision: 2,
                        retryable: false)
                })
            open.revision = 4
            return WorkManagerResume(ticks: ["r": at(0).wall], succeeded: [:], consumed: [:], open: [open])
        }
        var (manager, effects) = Fixture.manager(
            Fixture.config(plan), epoch: 2, resume: open(true), now: at(50_000))
        #expect(effects.commands.map(\.command.command) == [.status, .status])
        effects = manager.receive(
            .jobEvent("b", event(jobs[1], .succeeded, epoch: 2, outputs: list(2), at: at(51_000))), at: at(51_000))
        #expect(effects.results.isEmpty, "without what provider a had brought it would be less")
        effects = manager.receive(
            .jobEvent("a", event(jobs[0], .succeeded, epoch: 2, outputs: list(1), at: at(52_000))), at: at(52_000))
        #expect(effects.results.map(\.revision) == [5])
        #expect(effects.results[0].outputs == ["records": ["value": [1, 2]]])
        #expect(outcomes(effects.results[0]) == [.used, .used, .failed])
    }

    @Test("of an older run amends its record, not what stands for the service")
    func olderRun() throws {
        var daily = plan
        daily.frequency = Frequency(everySeconds: 40)
        var (manager, effects) = Fixture.manager(Fixture.config(daily))
        let old = effects.commands.map(\.command.job)
        for (index, provider) in (["a", "b"] as [ProviderID]).enumerated() {
            _ = manager.receive(
                .jobEvent(provider, event(old[index], .succeeded, outputs: list(1), at: at(9_000))), at: at(9_000))
        }
        _ = manager.receive(.wake, at: at(30_000))
        effects = manager.receive(.wake, at: at(40_000))
        let new = effects.commands.filter { $0.command.command == .submit && !old.contains($0.command.job) }
        for (provider, command) in new {
            effects = manager.receive(
                .jobEvent(provider, event(command.job, .succeeded, outputs: list(7), at: at(41_000))), at: at(41_000))
        }
        #expect(effects.results.map(\.state) == [.succeeded])
        effects = manager.receive(
            .jobEvent("c", event(old[2], .succeeded, outputs: list(2), at: at(42_000))), at: at(42_000))
        #expect(effects.results.isEmpty)
        #expect(try #require(effects.entries.compactMap(\.run).last).result?.revision == 2)
    }
}
