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
        bench.runFigures = (0, 20)
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
        bench.runFigures = (3, 20)
        bench.pass(10_000)
        #expect(changedTenants(bench).isEmpty)
        let last = bench.requests.compactMap { if case .saveRollout(let rollout) = $0 { rollout } else { nil } }.last
        #expect(last?.phase == .aborted && last?.reason?.contains("3 of 20 runs failed") == true)
        #expect(bench.registry.scenarios["s"]?.services["harvest"]?.timeoutSeconds == nil)
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
