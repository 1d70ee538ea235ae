import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Staged roll-out")
struct RolloutTests {
    static let changed: JSONValue = [
        "kind": "Scenario", "name": "s",
        "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 60], "timeout_s": 7]]],
    ]

    private func bench(tenants: Int) -> RegistryBench {
        var bench = RegistryBench.active()
        bench.apply((0..<tenants).map { ["kind": "Tenant", "name": .string("t\($0)"), "spec": ["scenarios": ["s"]]] })
        bench.pass(500)
        return bench
    }

    private func changedTenants(_ bench: RegistryBench) -> Set<TenantID> {
        Set(bench.registry.tenants.filter { $0.value.config?.services[0].timeoutSeconds == 7 }.keys)
    }

    @Test("waves nest and grow; each waits for its time and its runs; at the end the scenario is applied")
    func waves() {
        var bench = bench(tenants: 99)
        let answer = bench.command(
            "rollout",
            ["documents": [Self.changed], "waves": [20, 60, 100], "soak_s": 30, "abort_percent": 10, "min_runs": 5])
        #expect(answer?.status == 200)
        bench.pass(1_000)
        let first = changedTenants(bench)
        #expect((5...40).contains(first.count), "\(first.count) of 100")
        bench.pass(60_000)
        #expect(changedTenants(bench) == first, "no runs have ended yet")
        bench.runFigures = [RunFigures("harvest", finished: 20)]
        bench.pass(10_000)
        let second = changedTenants(bench)
        #expect(second.isSuperset(of: first) && second.count > first.count && second.count < 100)
        bench.pass(80_000)
        #expect(changedTenants(bench).count == 100)
        #expect(bench.registry.rollout == nil)
        #expect(bench.registry.scenarios["s"]?.services["harvest"]?.timeoutSeconds == 7)
    }

    @Test("worse results take it back everywhere, with the reason; a second one meanwhile is refused")
    func aborts() {
        var bench = bench(tenants: 49)
        _ = bench.command("rollout", ["documents": [Self.changed], "waves": [50, 100], "soak_s": 30, "min_runs": 5])
        bench.pass(1_000)
        #expect(!changedTenants(bench).isEmpty)
        #expect(bench.command("rollout", ["documents": [Self.changed]])?.status == 409)
        bench.runFigures = [RunFigures("harvest", failed: 3, finished: 20)]
        bench.pass(10_000)
        #expect(changedTenants(bench).isEmpty)
        let last = bench.requests.compactMap { if case .saveRollout(let rollout) = $0 { rollout } else { nil } }.last
        #expect(last?.phase == .aborted && last?.reason?.contains("3 of 20 runs failed") == true)
        #expect(bench.registry.scenarios["s"]?.services["harvest"]?.timeoutSeconds == nil)
    }

    private static func rollout(waves: [Int] = [50, 100], minRuns: Int = 4) -> Rollout {
        Rollout(
            id: "r", scenario: "s", spec: ScenarioSpec(services: [:]), waves: waves, wave: 0,
            waveStarted: Timestamp("2026-01-01T00:00:00Z")!,
            soakSeconds: 30, abortPercent: 10, minRuns: minRuns, deadlineSeconds: 600, phase: .running, initiator: "op",
            startedAt: Timestamp("2026-01-01T00:00:00Z")!)
    }

    private func verdict(_ services: [RunFigures], after seconds: Int64 = 40, tenants: Int = 5) -> Rollout.Verdict {
        let rollout = Self.rollout()
        return rollout.judge(
            tenants: tenants, services: services,
            at: Timestamp(milliseconds: rollout.waveStarted.milliseconds + seconds * 1000))
    }

    @Test("a service that runs seldom and fails is not hidden by one that runs often")
    func eachService() {
        let often = RunFigures("often", finished: 1_000)
        #expect(verdict([often]) == .nextWave)
        guard case .abort(let why) = verdict([often, RunFigures("seldom", failed: 4, finished: 4)]) else {
            Issue.record("4 of 4 failed")
            return
        }
        #expect(why.contains("4 of 4 runs failed in service seldom"))
        // Too few to be judged, too bad to go on.
        guard case .wait(let what) = verdict([often, RunFigures("seldom", failed: 1, finished: 3)]) else {
            Issue.record("1 of 3 failed")
            return
        }
        #expect(what.contains("seldom"))
    }

    @Test("runs that have begun and not ended hold the wave: their failures may be on the way")
    func unknownService() {
        let often = RunFigures("often", finished: 1_000)
        guard case .wait(let what) = verdict([often, RunFigures("slow", open: 2)]) else {
            Issue.record("nobody knows how `slow` does")
            return
        }
        #expect(what == "service slow: 2 runs have begun, none has ended")
        #expect(verdict([often, RunFigures("slow", finished: 1, open: 2)]) == .nextWave)
    }

    @Test("a wave does not wait for ever: taken back after its deadline, passed over if nobody belongs to it")
    func deadline() {
        #expect(verdict([], after: 40) == .wait("0 of 4 runs have ended in wave 1 (50 %)"))
        #expect(
            verdict([], after: 600)
                == .abort("0 of 4 runs have ended in wave 1 (50 %), and the deadline of a wave (600 s) is over"))
        #expect(verdict([], after: 20, tenants: 0) == .wait("wave 1 (50 %) shows itself until its 30 s are over"))
        #expect(verdict([], after: 40, tenants: 0) == .nextWave)
    }

    @Test("only runs by a configuration with the change count, from each tenant's first generation that has it")
    func generations() {
        var bench = bench(tenants: 9)
        let before = bench.registry.tenants.mapValues(\.generation)
        _ = bench.command("rollout", ["documents": [Self.changed], "waves": [100], "soak_s": 30, "min_runs": 5])
        bench.pass(6_000)
        let asked = bench.requests.compactMap { if case .rolloutFigures(_, let from, _) = $0 { from } else { nil } }
            .last
        #expect(asked?.count == 10)
        for (tenant, from) in asked ?? [:] { #expect(from == (before[tenant] ?? 0) + 1, "\(tenant)") }
        // What it waits for can be read.
        #expect(bench.registry.rollout?.reason == "wave 1 (100 %) shows itself until its 30 s are over")
        // A tenant that comes into the wave's scenario later counts from then on.
        bench.apply([["kind": "Tenant", "name": "late", "spec": ["scenarios": ["s"]]]])
        bench.pass(6_000)
        let later = bench.requests.compactMap { if case .rolloutFigures(_, let from, _) = $0 { from } else { nil } }
            .last
        #expect(later?["late"] == 1 && later?.count == 11)
    }

    @Test("what is stored decides: an end whose answer was lost is not decided a second time")
    func lostAnswer() {
        var bench = bench(tenants: 9)
        _ = bench.command("rollout", ["documents": [Self.changed], "waves": [100], "soak_s": 30, "min_runs": 5])
        bench.pass(1_000)
        var aborted = bench.registry.rollout
        aborted?.phase = .aborted
        aborted?.reason = "it was bad"
        bench.storedRollout = aborted
        bench.runFigures = [RunFigures("harvest", finished: 20)]
        bench.pass(40_000)
        #expect(bench.registry.rollout == nil)
        #expect(changedTenants(bench).isEmpty)
        #expect(bench.registry.scenarios["s"]?.services["harvest"]?.timeoutSeconds == nil)
    }

    @Test("one question at a time; an operator may begin the next wave, and take everything back")
    func operatorsWord() {
        var bench = bench(tenants: 99)
        _ = bench.command("rollout", ["documents": [Self.changed], "waves": [20, 60, 100], "soak_s": 3_000])
        bench.pass(1_000)
        let first = changedTenants(bench).count
        #expect(bench.command("rollout.promote", [:])?.result?["wave"] == 2)
        bench.pass(1_000)
        #expect(changedTenants(bench).count > first)
        // The scenario is not changed under the roll-out; what is declared as it is may be declared again.
        let other: JSONValue = [
            "kind": "Scenario", "name": "s",
            "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 61]]]],
        ]
        #expect(bench.command("apply", ["documents": [other]])?.status == 409)
        #expect(bench.command("apply", ["documents": [RegistryBench.documents[1]]])?.status == 200)
        #expect(bench.command("rollout.promote", [:])?.result?["wave"] == 3)
        bench.pass(1_000)
        #expect(changedTenants(bench).count == 100)
        #expect(bench.command("rollout.abort", [:])?.result?["phase"] == "aborted")
        bench.pass(1_000)
        #expect(changedTenants(bench).isEmpty)
        _ = bench.command("rollout", ["documents": [Self.changed], "waves": [100], "soak_s": 3_000])
        #expect(bench.command("rollout.promote", [:])?.result?["phase"] == "done")
        bench.pass(1_000)
        #expect(bench.registry.rollout == nil && changedTenants(bench).count == 100)
        #expect(bench.registry.versions["Scenario/s"] == 2)
    }

    @Test("a change that comes while a plan is being saved is planned too")
    func changeWhileSaving() {
        var bench = RegistryBench.active()
        func timeouts(_ seconds: Int64) -> JSONValue {
            let service: JSONValue = ["type": "harvest", "frequency": ["every_s": 60], "timeout_s": .int(seconds)]
            return ["kind": "Scenario", "name": "s", "spec": ["services": ["harvest": service]]]
        }
        bench.holdsPlans = true
        bench.apply([timeouts(5)])
        bench.pass(200)
        bench.apply([timeouts(6)])
        bench.pass(200)
        bench.release()
        bench.pass(200)
        #expect(bench.registry.tenants["men"]?.config?.services[0].timeoutSeconds == 6)
    }

    @Test("changes that never stop coming do not put the plan off")
    func changesWithoutEnd() {
        var bench = RegistryBench.active()
        bench.apply([Self.changed])
        for index in 0..<20 {
            bench.pass(20)
            bench.apply([["kind": "Tenant", "name": .string("t\(index)"), "spec": ["scenarios": ["s"]]]])
        }
        #expect(bench.registry.tenants["men"]?.config?.services[0].timeoutSeconds == 7)
    }

    @Test("wrong waves, new scenarios and other kinds are refused with the remedy")
    func refusals() {
        var bench = RegistryBench.active()
        #expect(bench.command("rollout", ["documents": [Self.changed], "waves": [50, 40, 100]])?.status == 400)
        #expect(bench.command("rollout", ["documents": [Self.changed], "waves": [50]])?.status == 400)
        var other = Self.changed.objectValue ?? [:]
        other["name"] = "unheard"
        #expect(bench.command("rollout", ["documents": [.object(other)]])?.status == 400)
        #expect(bench.command("rollout.abort", [:])?.status == 404)
    }
}
