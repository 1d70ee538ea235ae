import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Retries and timeouts")
struct RetryTests {
    private func plan(_ timeouts: TimeoutRule? = nil, attempts: Int = 2, deadline: Int = 3_600) -> ServicePlan {
        var plan = Fixture.plan("harvest", once: true, timeout: 60, deadline: deadline, attempts: attempts)
        plan.timeouts = timeouts
        return plan
    }

    private let busy = Problem(.busy, "full", retryable: true)

    /// Lets every attempt fail at once, until the run ends.
    private func outage(_ plan: ServicePlan, _ error: Problem, tenant: Int64 = 0) -> (
        submits: [Int64], result: ServiceResult?
    ) {
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        var submits: [Int64] = []
        var time: Int64 = 0
        while true {
            for (provider, command) in effects.commands where command.command == .submit {
                submits.append(time)
                effects = manager.receive(
                    .jobEvent(provider, event(command.job, .failed, error: error, at: at(time))), at: at(time))
            }
            if let result = effects.results.first { return (submits, result) }
            time = max(time + 1, manager.nextWake(at: at(time)) - at(0).monotonic)
            if time > 4_000_000 { return (submits, nil) }
            effects = manager.receive(.wake, at: at(time))
        }
    }

    @Test("a provider's fault burns no attempt; an outage makes no storm, by pauses and by a budget")
    func providerFaults() {
        let (submits, result) = outage(plan(attempts: 1), busy)
        #expect(submits.count == 11, "one and ten of the budget")
        #expect(result?.state == .failed)
        let pauses = zip(submits, submits.dropFirst()).map { $1 - $0 }
        #expect(pauses.allSatisfy { (1_000...60_000).contains($0) })
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $1 * 2 > $0 }, "they grow: \(pauses)")
        #expect(pauses[6] >= 30_000)
        // The deadline ends it sooner, and nothing is begun that could not run.
        let short = outage(plan(attempts: 1, deadline: 20), busy)
        #expect(short.submits.count < 6 && short.submits.allSatisfy { $0 < 20_000 })
        #expect(short.result?.state == .failed)
    }

    @Test("the job's own fault burns its attempts")
    func jobFaults() {
        #expect(outage(plan(attempts: 3), Problem(.jobFailed, "bad data")).submits.count == 3)
        #expect(outage(plan(attempts: 3), Problem(.invalidConfig, "no", retryable: false)).submits.count == 1)
    }

    @Test("both are counted apart, also over a restart")
    func mixed() {
        var (manager, effects) = Fixture.manager(Fixture.config(plan()))
        let first = effects.commands[0].command.job
        let run = manager.runs.keys.min()
        func open(_ states: [(JobState, String?)]) -> WorkManagerResume {
            WorkManagerResume(
                ticks: ["harvest": at(0).wall], succeeded: [:], consumed: [:],
                open: run.map { run in
                    [
                        OpenRun(
                            run: run, service: "harvest", due: at(0).wall, started: at(0).wall,
                            deadline: at(3_600_000).wall, plan: plan(),
                            jobs: states.enumerated().map { index, state in
                                var job = OpenJob(
                                    id: index == 0 ? first : JobID(time: at(0).wall, of: "\(index)"),
                                    provider: "alpha", attempt: index + 1, state: state.0, revision: 2)
                                job.problem = state.1.map { "urn:oms:problem:\($0)" }
                                return job
                            })
                    ]
                } ?? [])
        }
        // Three faults of the provider and one of the job: one attempt is left.
        (manager, effects) = Fixture.manager(
            Fixture.config(plan()), epoch: 2,
            resume: open([
                (.failed, "busy"), (.failed, "internal"), (.stopped, "queue-timeout"), (.failed, "job-failed"),
            ]),
            now: at(5_000))
        #expect(effects.results.isEmpty)
        #expect(manager.receive(.wake, at: at(10_000)).commands.map(\.command.command) == [.submit])
        (manager, effects) = Fixture.manager(
            Fixture.config(plan()), epoch: 2, resume: open([(.failed, "job-failed"), (.failed, "timeout")]),
            now: at(5_000))
        #expect(effects.results.map(\.state) == [.failed])
    }

    @Test(
        "each timeout stops the job at its provider, and only the confirmed stop ends it",
        arguments: [
            (JobState.submitting, Int64(10), "queue-timeout"), (.queued, 20, "start-timeout"),
            (.running, 30, "no-progress"),
        ])
    func timeouts(state: JobState, seconds: Int64, slug: String) {
        let rule = TimeoutRule(queueSeconds: 10, startSeconds: 20, noProgressSeconds: 30)
        var (manager, effects) = Fixture.manager(Fixture.config(plan(rule)))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("alpha", event(job, state, at: at(0))), at: at(0))
        #expect(manager.nextWake(at: at(seconds * 1000 - 1)) == at(seconds * 1000).monotonic)
        effects = manager.receive(.wake, at: at(seconds * 1000 - 1))
        #expect(!effects.commands.contains { $0.command.command == .stop })
        effects = manager.receive(.wake, at: at(seconds * 1000))
        #expect(effects.commands.map(\.command.command) == [.stop])
        #expect(effects.results.isEmpty && effects.entries.compactMap(\.job).allSatisfy { !$0.state.isTerminal })
        let time = seconds * 1000 + 500
        effects = manager.receive(.jobEvent("alpha", event(job, .stopped, at: at(time))), at: at(time))
        let record = effects.entries.compactMap(\.job).first { $0.id == job }
        #expect(record?.state == .stopped && record?.error?.slug == slug)
        // The provider's fault: another attempt, after a pause.
        #expect(effects.results.isEmpty)
        effects = manager.receive(.wake, at: at(time + 2_000))
        #expect(effects.commands.map(\.command.command) == [.submit])
    }

    @Test("progress keeps a job alive; the run timeout ends it all the same when the provider does not")
    func progress() {
        var (manager, effects) = Fixture.manager(Fixture.config(plan(TimeoutRule(noProgressSeconds: 30), attempts: 1)))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(0))), at: at(0))
        for second in stride(from: Int64(20), to: 90, by: 20) {
            effects = manager.receive(
                .jobEvent("alpha", event(job, .running, progress: Double(second), at: at(second * 1000))),
                at: at(second * 1000))
            #expect(!effects.commands.contains { $0.command.command == .stop })
        }
        // timeout_s 60 and a margin of 30 for the provider to end it itself.
        effects = manager.receive(.wake, at: at(90_000))
        #expect(effects.commands.map(\.command.command) == [.stop])
        effects = manager.receive(.jobEvent("alpha", event(job, .stopped, at: at(91_000))), at: at(91_000))
        #expect(effects.entries.compactMap(\.job).first?.error?.slug == "timeout")
        #expect(effects.results.map(\.state) == [.failed], "the job's fault: its one attempt is burnt")
    }

    @Test("nobody is timed out while out of sight, and coming back does not begin anew")
    func outOfSight() {
        let rule = TimeoutRule(queueSeconds: 10, startSeconds: 20)
        var (manager, effects) = Fixture.manager(Fixture.config(plan(rule)))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .queued, at: at(0))), at: at(0))
        _ = manager.receive(.jobEvent("alpha", event(job, .unknown, at: at(5_000))), at: at(5_000))
        effects = manager.receive(.wake, at: at(60_000))
        #expect(!effects.commands.contains { $0.command.command == .stop })
        effects = manager.receive(.jobEvent("alpha", event(job, .queued, at: at(61_000))), at: at(61_000))
        #expect(effects.commands.map(\.command.command) == [.stop], "61 s queued at the provider")
    }
}
