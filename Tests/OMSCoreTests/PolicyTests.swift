import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

private func makePlan(
    _ policy: ProviderPolicy, merge: MergeRule = MergeRule(strategy: .first), safe: Bool? = nil, deadline: Int = 600
) -> ServicePlan {
    var plan = Fixture.plan(
        "r", type: "recommend", once: true, providers: ["a", "b", "c"], merge: merge, timeout: 300, deadline: deadline)
    plan.policy = policy
    plan.safeToRunTwice = safe
    if policy.use == .failover { plan.timeouts = TimeoutRule(queueSeconds: 60, startSeconds: 60) }
    return plan
}

extension WorkManager {
    fileprivate mutating func tell(
        _ provider: ProviderID, _ job: JobID, _ state: JobState, _ outputs: JSONObject? = nil,
        error: Problem? = nil, _ time: Int64
    ) -> [Effect] {
        receive(.jobEvent(provider, event(job, state, outputs: outputs, error: error, at: at(time))), at: at(time))
    }

    fileprivate mutating func tell(_ provider: ProviderID, _ job: JobID, _ state: JobState, _ time: Int64) -> [Effect] {
        tell(provider, job, state, nil, error: nil, time)
    }

    fileprivate mutating func health(_ provider: ProviderID, _ status: Health.Status, _ time: Int64) {
        let health = Health(status: status, checked: at(time).wall, circuit: .closed, gateway: "g1", boot: 1)
        _ = receive(.health(provider, health), at: at(time))
    }
}

@Suite("First wins and quorum")
struct QuorumTests {
    private func list(_ value: JSONValue) -> JSONObject { ["records": ["value": [value]]] }

    @Test("the first result counts; the others are stopped until their end is confirmed, and change nothing")
    func firstWins() {
        var (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .firstWins))))
        let jobs = effects.commands.map(\.command.job)
        #expect(effects.commands.map(\.provider) == ["a", "b", "c"])
        _ = manager.tell("a", jobs[0], .failed, error: Problem(.invalidConfig, "no", retryable: false), 50)
        effects = manager.tell("c", jobs[2], .succeeded, list(3), 100)
        #expect(effects.results.map(\.state) == [.succeeded])
        #expect(effects.results[0].outputs == list(3))
        #expect(effects.results[0].providers.map(\.outcome) == [.failed, .unused, .used])
        #expect(effects.commands.map(\.command.command) == [.stop])
        #expect(effects.commands.map(\.provider) == ["b"])
        #expect(effects.commands[0].command.reason == "enough results are in")
        #expect(manager.runs.count == 1, "until the stop is confirmed")
        effects = manager.receive(.wake, at: at(3_200))
        #expect(effects.commands.map(\.command.command) == [.stop], "asked again")
        // The stop came too late: no second revision out of that.
        effects = manager.tell("b", jobs[1], .succeeded, list(2), 4_000)
        #expect(effects.results.isEmpty)
        #expect(manager.runs.isEmpty)
    }

    @Test("a quorum merges when enough are in, and fails when it cannot be reached")
    func quorum() {
        let policy = ProviderPolicy(use: .quorum, count: 2)
        let plan = makePlan(policy, merge: MergeRule(strategy: .concat))
        var (manager, effects) = Fixture.manager(Fixture.config(plan))
        var jobs = effects.commands.map(\.command.job)
        #expect(manager.tell("c", jobs[2], .succeeded, list(3), 100).results.isEmpty)
        effects = manager.tell("b", jobs[1], .succeeded, list(2), 200)
        #expect(effects.results.map(\.state) == [.succeeded])
        #expect(effects.results[0].outputs == ["records": ["value": [2, 3]]])
        #expect(effects.results[0].providers.map(\.outcome) == [.unused, .used, .used])

        (manager, effects) = Fixture.manager(Fixture.config(plan))
        jobs = effects.commands.map(\.command.job)
        let refusal = Problem(.invalidConfig, "no", retryable: false)
        _ = manager.tell("a", jobs[0], .rejected, error: refusal, 100)
        _ = manager.tell("b", jobs[1], .rejected, error: refusal, 200)
        effects = manager.tell("c", jobs[2], .succeeded, list(3), 300)
        #expect(effects.results.map(\.state) == [.failed])
        #expect(effects.results[0].outputs.isEmpty)
        #expect(effects.results[0].providers.map(\.outcome) == [.failed, .failed, .unused])
        #expect(
            effects.entries.compactMap(\.run).last?.error?.detail == "1 of 2 results that the quorum needs")
    }
}

@Suite("One provider of several")
struct ChoiceTests {
    private func first(_ plan: ServicePlan, tick: Int64 = 0, down: [ProviderID] = []) -> ProviderID? {
        var plan = plan
        plan.frequency = Frequency(everySeconds: 1)
        plan.anchor = at(tick * 1000).wall
        var manager = WorkManager(
            tenant: "men", epoch: 1, fleet: "f1", boot: 1, config: Fixture.config(plan), resume: .empty,
            at: at(tick * 1000))
        for provider in down { manager.health(provider, .unreachable, tick * 1000) }
        return manager.receive(.started, at: at(tick * 1000)).commands.first?.provider
    }

    @Test("weighted: each gets its share of the ticks, the same tick always the same provider")
    func weighted() {
        let plan = makePlan(ProviderPolicy(use: .weighted, weights: ["a": 6, "b": 3]))
        var counts: [ProviderID: Int] = [:]
        var moved = 0
        for tick in 0..<2_000 {
            guard let provider = first(plan, tick: Int64(tick)) else { continue }
            counts[provider, default: 0] += 1
            if tick < 200 {
                #expect(first(plan, tick: Int64(tick)) == provider)
                let without = first(plan, tick: Int64(tick), down: ["c"])
                if provider == "c" { moved += 1 } else { #expect(without == provider, "only its own ticks move") }
                #expect(without != "c")
            }
        }
        // 6 : 3 : 1 of 2,000; 4 standard deviations are 88, 82 and 54.
        #expect(abs(counts["a", default: 0] - 1_200) < 88, "\(counts)")
        #expect(abs(counts["b", default: 0] - 600) < 82, "\(counts)")
        #expect(abs(counts["c", default: 0] - 200) < 54, "\(counts)")
        #expect(moved > 0)
    }

    @Test("one and failover begin with the first that is not known to be down; sticky stays")
    func down() {
        #expect(first(makePlan(ProviderPolicy(use: .one)), down: ["a"]) == "b")
        #expect(first(makePlan(ProviderPolicy(use: .failover)), down: ["a"]) == "b")
        #expect(first(makePlan(ProviderPolicy(use: .failover))) == "a", "fail-back: the next tick begins at the front")
        #expect(first(makePlan(ProviderPolicy(use: .sticky)), down: ["a"]) == "a")
        #expect(first(makePlan(ProviderPolicy(use: .one)), down: ["a", "b", "c"]) == "a")
    }

    @Test("sticky keeps the provider of the plan before, as long as it is able")
    func sticky() throws {
        func view(_ usable: Bool) -> ProviderView {
            ProviderView(
                services: [ServiceDescription(id: "h", type: "harvest", version: "1", available: true)],
                isUsable: usable)
        }
        func plan(_ usable: [ProviderID: Bool], _ before: WorkManagerConfig?) throws -> WorkManagerConfig {
            let scenario = ScenarioSpec(services: [
                "x": ServiceSpec(
                    type: "harvest", frequency: Frequency(everySeconds: 60), providers: ProviderPolicy(use: .sticky))
            ])
            guard
                case .plan(let config, _) = Planner.plan(
                    "men", TenantSpec(scenarios: ["s"]), scenarios: ["s": scenario],
                    providers: ProviderViews(usable.mapValues(view)), previous: before, now: at(0).wall)
            else { throw CronError(text: "no plan") }
            return config
        }
        func order(_ config: WorkManagerConfig) -> [ProviderID] { config.services[0].providers.map(\.provider) }
        let first = try plan(["a": true, "b": true], nil)
        #expect(order(first) == ["a", "b"])
        let second = try plan(["a": false, "b": true], first)
        #expect(order(second) == ["b"])
        let third = try plan(["a": true, "b": true], second)
        #expect(order(third) == ["b", "a"], "no way back")
    }
}

@Suite("Failover")
struct FailoverTests {
    private let busy = Problem(.busy, "full", retryable: true)

    @Test("goes to the next provider by its fault, in the same run; the result is complete and names both")
    func next() {
        var (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .failover))))
        let job = effects.commands[0].command.job
        effects = manager.tell("a", job, .failed, error: busy, 100)
        #expect(effects.commands.map(\.provider) == ["b"])
        let refusal = Problem(.noSuchService, "not here")
        effects = manager.tell("b", effects.commands[0].command.job, .rejected, error: refusal, 200)
        #expect(effects.commands.map(\.provider) == ["c"])
        effects = manager.tell("c", effects.commands[0].command.job, .succeeded, ["x": 1], 300)
        #expect(effects.results.map(\.state) == [.succeeded])
        #expect(effects.results[0].providers.map(\.outcome) == [.failed, .failed, .used])
    }

    @Test("tries the job's own fault again at the same provider")
    func jobFault() {
        var (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .failover))))
        let job = effects.commands[0].command.job
        effects = manager.tell("a", job, .failed, error: Problem(.jobFailed, "bad data"), 100)
        #expect(effects.commands.isEmpty)
        #expect(manager.receive(.wake, at: at(1_100)).commands.map(\.provider) == ["a"])
    }

    @Test("a provider that does not take the job in time is told to stop; the next one is asked when that is confirmed")
    func queueTimeout() {
        var (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .failover))))
        let job = effects.commands[0].command.job
        _ = manager.tell("a", job, .submitting, 1_000)
        #expect(manager.nextWake(at: at(59_000)) <= at(60_000).monotonic)
        effects = manager.receive(.wake, at: at(60_000))
        #expect(effects.commands.map(\.command.command) == [.stop])
        #expect(effects.commands[0].command.reason == "no provider took it within 60 s")
        effects = manager.tell("a", job, .stopped, error: Problem(.stopped, "stopped"), 61_000)
        #expect(effects.commands.map(\.provider) == ["b"])
        #expect(effects.entries.compactMap(\.job).first?.error?.slug == "queue-timeout")
    }

    @Test("never while the job may run at the first provider; unless two executions do no harm")
    func ambiguous() {
        var (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .failover))))
        var job = effects.commands[0].command.job
        _ = manager.tell("a", job, .unknown, 1_000)
        for time in stride(from: Int64(30_000), to: 599_000, by: 30_000) {
            #expect(manager.receive(.wake, at: at(time)).commands.allSatisfy { $0.provider == "a" })
        }
        effects = manager.tell("a", job, .lost, error: Problem(.providerForgot, "gone"), 599_000)
        #expect(effects.commands.isEmpty)
        #expect(effects.results.map(\.state) == [.failed])

        (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .failover), safe: true)))
        job = effects.commands[0].command.job
        effects = manager.tell("a", job, .lost, error: Problem(.providerForgot, "gone"), 1_000)
        #expect(effects.commands.map(\.provider) == ["b"])

        // A stop that nobody confirms.
        for safe in [nil, true] as [Bool?] {
            (manager, effects) = Fixture.manager(Fixture.config(makePlan(ProviderPolicy(use: .failover), safe: safe)))
            job = effects.commands[0].command.job
            _ = manager.tell("a", job, .queued, 1_000)
            effects = manager.receive(.wake, at: at(61_000))
            let next = effects.commands.filter { $0.command.command == .submit }.map(\.provider)
            #expect(next == (safe == true ? ["b"] : []))
            #expect(effects.commands.contains { $0.provider == "a" && $0.command.command == .stop })
        }
    }

    @Test("of two that run after an early failover the first result counts, and the other is stopped")
    func both() {
        var (manager, effects) = Fixture.manager(
            Fixture.config(makePlan(ProviderPolicy(use: .failover), safe: true)))
        let first = effects.commands[0].command.job
        _ = manager.tell("a", first, .queued, 1_000)
        effects = manager.receive(.wake, at: at(61_000))
        guard let second = effects.commands.first(where: { $0.provider == "b" })?.command.job else {
            Issue.record("no failover")
            return
        }
        _ = manager.tell("b", second, .running, 62_000)
        effects = manager.tell("a", first, .succeeded, ["x": 1], 63_000)
        #expect(effects.results.map(\.state) == [.succeeded])
        #expect(effects.results[0].providers.map(\.outcome) == [.used, .unused])
        #expect(effects.commands.map(\.provider) == ["b"] && effects.commands[0].command.command == .stop)
    }
}
