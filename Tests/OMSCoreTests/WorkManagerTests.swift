import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A provider that is lost in the middle of a run")
struct LostProviderTests {
    @Test("a run does not wait for it once the plan in force does without it; its job is still stopped and followed")
    func abandoned() throws {
        let rank = MergeRule(strategy: .reciprocalRankFusion)
        let both = Fixture.plan("rank", every: 60, providers: ["alpha", "beta"], merge: rank)
        var (manager, effects) = Fixture.manager(Fixture.config(both))
        let jobs = Dictionary(uniqueKeysWithValues: effects.commands.map { ($0.provider, $0.command.job) })
        let alpha = try #require(jobs["alpha"])
        let beta = try #require(jobs["beta"])
        let outputs: JSONObject = ["ranking": ["value": [["item": "a"]]]]
        effects = manager.receive(
            .jobEvent("alpha", event(alpha, .succeeded, outputs: outputs, at: at(10))), at: at(10))
        #expect(effects.results.isEmpty)
        let lost = Health(status: .unreachable, checked: at(20).wall, circuit: .open, gateway: "g1", boot: 1)
        effects = manager.receive(.health("beta", lost), at: at(20))
        #expect(effects.results.isEmpty, "being away for a moment is no reason")
        let less = Fixture.plan("rank", every: 60, providers: ["alpha"], merge: rank)
        effects = manager.receive(.reconfigure(Fixture.config(less, generation: 2)), at: at(30))
        let result = try #require(effects.results.first)
        #expect(result.state == .partial)
        #expect(Set(result.providers.map(\.provider)) == ["alpha", "beta"], "P6: it is named all the same")
        #expect(effects.commands.contains { $0.command.job == beta && $0.command.command == .stop })
        effects = manager.receive(.jobEvent("beta", event(beta, .stopped, at: at(90_000))), at: at(90_000))
        #expect(effects.entries.contains { $0.job?.id == beta && $0.job?.state == .stopped })
    }
}

@Suite("A Work Manager")
struct WorkManagerTests {
    @Test("fires tick 0 at once, journals tick, run and job, and submits")
    func fires() throws {
        let (_, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest")))
        let command = try #require(effects.commands.first)
        #expect(effects.commands.count == 1)
        #expect(command.provider == "alpha")
        #expect(command.command.command == .submit)
        #expect(command.command.epoch == 1)
        #expect(command.command.request?.labels?["service"] == "harvest")
        #expect(effects.entries.map { $0.tick?.outcome } == [nil, nil, .fired])
        #expect(effects.entries[0].run?.state == .running)
        #expect(effects.entries[0].run?.plan != nil)
        #expect(effects.entries[1].job?.state == .pending)
    }

    @Test("derives the same ids again, so that a forgotten firing is repeated without effect")
    func derivedIDs() {
        let first = Fixture.manager(Fixture.config(Fixture.plan("harvest"))).1.commands[0].command.job
        let second = Fixture.manager(Fixture.config(Fixture.plan("harvest")), epoch: 2, now: at(5_000)).1.commands[0]
            .command.job
        #expect(first == second)
    }

    @Test("asks again until the gateway answers, slower each time, and then only when there is no news")
    func asksAgain() {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest")))
        let job = effects.commands[0].command.job
        #expect(manager.receive(.wake, at: at(2_999)).commands.isEmpty)
        #expect(manager.receive(.wake, at: at(3_000)).commands.map(\.command.command) == [.submit])
        #expect(manager.receive(.wake, at: at(8_999)).commands.isEmpty)
        #expect(manager.receive(.wake, at: at(9_000)).commands.map(\.command.job) == [job])
        effects = manager.receive(.jobEvent("alpha", event(job, .running, at: at(9_100))), at: at(9_100))
        #expect(effects.commands.isEmpty)
        #expect(manager.receive(.wake, at: at(24_000)).commands.isEmpty)
        #expect(manager.receive(.wake, at: at(24_100)).commands.map(\.command.command) == [.status])
    }

    @Test("runs a dependent service once, after all its upstream services have succeeded")
    func dependencies() throws {
        var (manager, effects) = Fixture.manager(
            Fixture.config(Fixture.plan("a"), Fixture.plan("b"), Fixture.plan("c", after: ["a", "b"])))
        let jobs = effects.commands.map(\.command.job)
        #expect(jobs.count == 2)
        effects = manager.receive(.jobEvent("alpha", event(jobs[0], .succeeded, at: at(100))), at: at(100))
        #expect(effects.commands.isEmpty)
        effects = manager.receive(.jobEvent("alpha", event(jobs[1], .succeeded, at: at(200))), at: at(200))
        let dependent = try #require(effects.commands.first)
        #expect(dependent.command.request?.labels?["service"] == "c")
        effects = manager.receive(
            .jobEvent("alpha", event(dependent.command.job, .succeeded, at: at(300))), at: at(300))
        #expect(effects.commands.isEmpty, "both upstream runs are consumed")
        // Doubled and late events change nothing.
        #expect(manager.receive(.jobEvent("alpha", event(jobs[1], .succeeded, at: at(400))), at: at(400)).isEmpty)
    }

    @Test("asks all providers and merges; the result names each of them")
    func fanOut() throws {
        let plan = Fixture.plan(
            "recommend", type: "recommend", once: true, providers: ["beta", "gamma"],
            merge: MergeRule(strategy: .reciprocalRankFusion), attempts: 1)
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        #expect(effects.commands.map(\.provider) == ["beta", "gamma"])
        let jobs = effects.commands.map(\.command.job)
        let ranking: JSONObject = ["ranking": ["value": [["item": 1], ["item": 2]]]]
        effects = manager.receive(
            .jobEvent("beta", event(jobs[0], .succeeded, outputs: ranking, at: at(10))), at: at(10))
        #expect(effects.results.isEmpty)
        let problem = Problem(.jobFailed, "no data")
        effects = manager.receive(.jobEvent("gamma", event(jobs[1], .failed, error: problem, at: at(20))), at: at(20))
        let result = try #require(effects.results.first)
        #expect(result.state == .partial)
        #expect(result.providers.map(\.outcome) == [.used, .failed])
        #expect(result.providers[1].error == problem)
    }

    @Test("retries a failed job with a new id, not at once, and not when the error says so")
    func retries() {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest", once: true)))
        let job = effects.commands[0].command.job
        effects = manager.receive(
            .jobEvent("alpha", event(job, .failed, error: Problem(.jobFailed, "x", retryable: true), at: at(10))),
            at: at(10))
        #expect(effects.commands.isEmpty)
        effects = manager.receive(.wake, at: at(1_010))
        #expect(effects.commands.count == 1)
        #expect(effects.commands[0].command.job != job)
        #expect(effects.commands[0].command.request?.labels?["attempt"] == "2")
        effects = manager.receive(
            .jobEvent("alpha", event(effects.commands[0].command.job, .failed, at: at(1_100))), at: at(1_100))
        #expect(effects.results.map(\.state) == [.failed], "two attempts are all")

        var (other, first) = Fixture.manager(Fixture.config(Fixture.plan("harvest", once: true)))
        first = other.receive(
            .jobEvent(
                "alpha",
                event(
                    first.commands[0].command.job, .failed, error: Problem(.invalidConfig, "x", retryable: false),
                    at: at(10))),
            at: at(10))
        #expect(first.results.map(\.state) == [.failed])
    }

    @Test("skips a tick while the run before has not ended, and says so")
    func overlap() {
        var (manager, _) = Fixture.manager(Fixture.config(Fixture.plan("harvest", every: 10)))
        // Nobody has acknowledged tick 0 yet, so it comes along once more.
        let ticks = manager.receive(.wake, at: at(10_000)).entries.compactMap(\.tick).filter {
            $0.due == at(10_000).wall
        }
        #expect(ticks.map(\.outcome) == [.skipped])
        #expect(ticks[0].reason?.contains("overlap") == true)
    }

    @Test("after an absence fires the newest tick and accounts for the missed ones")
    func missed() throws {
        let resume = WorkManagerResume(ticks: ["harvest": at(10_000).wall], succeeded: [:], consumed: [:], open: [])
        let (_, effects) = Fixture.manager(
            Fixture.config(Fixture.plan("harvest", every: 10)), epoch: 2, resume: resume, now: at(57_000))
        let ticks = effects.entries.compactMap(\.tick)
        #expect(ticks.map(\.outcome) == [.superseded, .fired])
        #expect(ticks[0].due == at(20_000).wall)
        #expect(ticks[0].count == 3)
        #expect(ticks[1].due == at(50_000).wall)
    }

    @Test("at the deadline ends the run with what it has, stops the rest, and follows the job to its end")
    func deadline() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest", once: true, deadline: 30)))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(100))), at: at(100))
        effects = manager.receive(.wake, at: at(30_000))
        #expect(effects.results.map(\.state) == [.failed])
        #expect(effects.results[0].providers.map(\.outcome) == [.missing])
        #expect(effects.commands.map(\.command.command) == [.stop])
        effects = manager.receive(.jobEvent("alpha", event(job, .stopped, at: at(31_000))), at: at(31_000))
        #expect(effects.entries.compactMap(\.job).map(\.state) == [.stopped])
        #expect(effects.results.isEmpty)
    }

    @Test("a terminal state stands, whatever comes later")
    func terminalStands() {
        var (manager, effects) = Fixture.manager(
            Fixture.config(
                Fixture.plan(
                    "r", type: "recommend", once: true, providers: ["beta", "gamma"],
                    merge: MergeRule(strategy: .reciprocalRankFusion))))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("beta", event(job, .succeeded, at: at(10))), at: at(10))
        effects = manager.receive(.jobEvent("beta", event(job, .failed, at: at(20))), at: at(20))
        #expect(effects.entries.isEmpty)
    }

    @Test("carries on what its predecessor left: asks after jobs, submits what was never sent, fires no tick twice")
    func resumes() {
        let plan = Fixture.plan("harvest", every: 60)
        let (_, before) = Fixture.manager(Fixture.config(plan))
        let job = before.commands[0].command.job
        let run = before.entries[0].run
        func open(_ state: JobState) -> WorkManagerResume {
            WorkManagerResume(
                ticks: ["harvest": at(0).wall], succeeded: [:], consumed: [:],
                open: [
                    OpenRun(
                        run: run!.id, service: "harvest", due: at(0).wall, started: at(0).wall,
                        deadline: at(180_000).wall,
                        plan: plan, jobs: [OpenJob(id: job, provider: "alpha", attempt: 1, state: state, revision: 4)])
                ])
        }
        var (manager, effects) = Fixture.manager(Fixture.config(plan), epoch: 2, resume: open(.running), now: at(5_000))
        #expect(effects.commands.map(\.command.command) == [.status])
        #expect(effects.commands.map(\.command.epoch) == [2])
        effects = manager.receive(.jobEvent("alpha", event(job, .succeeded, epoch: 2, at: at(6_000))), at: at(6_000))
        #expect(effects.results.map(\.state) == [.succeeded])
        #expect(effects.entries.compactMap(\.job).map(\.revision) == [5])

        let (_, pending) = Fixture.manager(Fixture.config(plan), epoch: 2, resume: open(.pending), now: at(5_000))
        #expect(pending.commands.map(\.command.command) == [.submit])
        #expect(pending.commands[0].command.job == job)
        #expect(pending.entries.compactMap(\.tick).isEmpty)
    }

    @Test("tells a new gateway process its open jobs at once")
    func gatewayRestart() {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest")))
        let job = effects.commands[0].command.job
        func health(_ boot: Int64) -> Health {
            Health(status: .pass, checked: at(0).wall, circuit: .closed, gateway: "g1", boot: boot)
        }
        _ = manager.receive(.health("alpha", health(1)), at: at(50))
        _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(100))), at: at(100))
        #expect(manager.receive(.health("alpha", health(1)), at: at(200)).commands.isEmpty)
        effects = manager.receive(.health("alpha", health(2)), at: at(300))
        #expect(effects.commands.map(\.command.command) == [.status])
    }

    @Test("ends when a gateway refuses its own epoch, not when it refuses another's")
    func fenced() {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest")), epoch: 2)
        let job = effects.commands[0].command.job
        let stale = Problem(.staleEpoch, "over")
        effects = manager.receive(
            .jobEvent("alpha", event(job, .rejected, epoch: 1, error: stale, at: at(10))), at: at(10))
        #expect(effects.isEmpty)
        effects = manager.receive(
            .jobEvent("alpha", event(job, .rejected, epoch: 2, error: stale, at: at(10))), at: at(10))
        #expect(effects == [.fenced(2)])
    }

    @Test("answers heartbeats of its epoch with what runs")
    func heartbeat() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest")))
        let job = effects.commands[0].command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, progress: 40, at: at(100))), at: at(100))
        effects = manager.receive(
            .heartbeat(Heartbeat(beat: 7, epoch: 1, intervalSeconds: 5, ackSeq: 0)), at: at(4_000))
        let status = try #require(effects.status)
        #expect(status.beat == 7)
        #expect(status.jobs == ["running": 1])
        #expect(status.active.map(\.progress) == [40])
        #expect(status.active[0].ageSeconds == 4)
        #expect(
            manager.receive(.heartbeat(Heartbeat(beat: 8, epoch: 2, intervalSeconds: 5, ackSeq: 0)), at: at(4_000))
                .status == nil)
    }

    @Test("a new configuration leaves running runs alone and counts from then on")
    func reconfigure() {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest", every: 10)))
        let job = effects.commands[0].command.job
        _ = manager.receive(
            .reconfigure(Fixture.config(Fixture.plan("other", every: 10), generation: 2)), at: at(1_000))
        #expect(manager.config.generation == 2)
        effects = manager.receive(.jobEvent("alpha", event(job, .succeeded, at: at(2_000))), at: at(2_000))
        #expect(effects.results.map(\.service) == ["harvest"])
        _ = manager.receive(.reconfigure(Fixture.config(Fixture.plan("harvest"), generation: 1)), at: at(3_000))
        #expect(manager.config.generation == 2, "an older one changes nothing")
    }

    @Test("gives a reason when a run fails, also to what waits for it, and clears it")
    func reasons() {
        let config = Fixture.config(Fixture.plan("a", every: 10, attempts: 1), Fixture.plan("b", after: ["a"]))
        var (manager, effects) = Fixture.manager(config)
        #expect(effects.entries.compactMap(\.reason).isEmpty, "waiting for the first run is normal")
        effects = manager.receive(
            .jobEvent(
                "alpha",
                event(effects.commands[0].command.job, .failed, error: Problem(.jobFailed, "disk full"), at: at(10))),
            at: at(10))
        let reasons = effects.entries.compactMap(\.reason)
        #expect(reasons.map(\.subject) == ["service/a", "service/b"])
        #expect(reasons.allSatisfy { $0.text?.contains("disk full") == true })
        effects = manager.receive(.wake, at: at(10_000))
        effects += manager.receive(
            .jobEvent("alpha", event(effects.commands[0].command.job, .succeeded, at: at(11_000))), at: at(11_000))
        #expect(
            Set(effects.entries.compactMap(\.reason).filter(\.cleared).map(\.subject)) == ["service/a", "service/b"])
    }
}
