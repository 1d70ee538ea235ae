import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What must hold of every plan, over worlds made from seeds.
@Suite("Properties of the planner")
struct PlannerProperties {
    struct World {
        var spec = TenantSpec(scenarios: [])
        var scenarios: [ScenarioID: ScenarioSpec] = [:]
        var providers: [ProviderID: ProviderView] = [:]

        init(seed: UInt64) {
            var random = SplitMix64(seed: seed)
            let types: [ServiceType] = ["harvest", "recommend", "optimise"]
            for number in 0..<Int.random(in: 1...12, using: &random) {
                guard let id = ProviderID("sp-\(number)") else { continue }
                providers[id] = ProviderView(
                    services: types.filter { _ in Bool.random(using: &random) }.map {
                        ServiceDescription(
                            id: ServiceID($0.text) ?? "x", type: $0, version: "1",
                            available: Int.random(in: 0..<8, using: &random) > 0)
                    }, isUsable: Int.random(in: 0..<5, using: &random) > 0, why: "down")
            }
            for number in 0..<3 {
                guard let id = ScenarioID("s-\(number)") else { continue }
                var services: [ServiceID: ServiceSpec] = [:]
                for index in 0..<Int.random(in: 1...3, using: &random) {
                    guard let name = ServiceID("x-\(index)") else { continue }
                    let use = [ProviderPolicy.Use.one, .all, .sticky][Int.random(in: 0..<3, using: &random)]
                    services[name] = ServiceSpec(
                        type: types[Int.random(in: 0..<3, using: &random)],
                        frequency: Frequency(everySeconds: 600), parameters: ["for": "{tenant}"],
                        providers: ProviderPolicy(
                            use: use, atLeast: use == .all ? Int.random(in: 1...3, using: &random) : nil),
                        merge: MergeRule(strategy: use == .all ? .reciprocalRankFusion : .first))
                }
                scenarios[id] = ScenarioSpec(services: services)
                spec.scenarios.append(id)
            }
        }

        func plan(_ tenant: TenantID = "men", previous: WorkManagerConfig? = nil, at time: Int64 = 0) -> PlanOutcome {
            Planner.plan(
                tenant, spec, scenarios: scenarios, providers: ProviderViews(providers), previous: previous,
                now: at(time).wall)
        }

        private func at(_ milliseconds: Int64) -> Moment { OMSCoreTests.at(milliseconds) }
    }

    private func config(_ outcome: PlanOutcome) -> WorkManagerConfig? {
        if case .plan(let config, _) = outcome { config } else { nil }
    }

    @Test("the same input gives the same plan, and planning again changes nothing, at any later time")
    func deterministic() {
        for seed in 1...2_000 as ClosedRange<UInt64> {
            let world = World(seed: seed)
            #expect(world.plan() == World(seed: seed).plan())
            guard let first = config(world.plan()) else { continue }
            #expect(config(world.plan(previous: first, at: 86_400_000)) == first, "seed \(seed)")
        }
    }

    @Test("every provider of a plan is usable, offers the type, and is there once; the scenario is the first possible")
    func sound() {
        for seed in 1...2_000 as ClosedRange<UInt64> {
            let world = World(seed: seed)
            guard let plan = config(world.plan()) else {
                // Then each scenario alone is impossible too.
                for id in world.spec.scenarios {
                    var alone = world
                    alone.spec.scenarios = [id]
                    #expect(config(alone.plan()) == nil, "seed \(seed)")
                }
                continue
            }
            for better in world.spec.scenarios.prefix(while: { $0 != plan.scenario }) {
                var alone = world
                alone.spec.scenarios = [better]
                #expect(config(alone.plan()) == nil, "seed \(seed)")
            }
            for service in plan.services {
                #expect(Set(service.providers.map(\.provider)).count == service.providers.count)
                for choice in service.providers {
                    let view = world.providers[choice.provider]
                    #expect(view?.isUsable == true)
                    #expect(view?.services.contains { $0.type == service.type && $0.available } == true)
                }
            }
        }
    }

    @Test(
        "minimal: what happens to a provider that a plan does not name changes the plan only if a better scenario opens"
    )
    func minimal() {
        for seed in 1...2_000 as ClosedRange<UInt64> {
            var world = World(seed: seed)
            guard let before = config(world.plan()) else { continue }
            let named = Set(before.services.flatMap { $0.providers.map(\.provider) })
            for id in world.providers.keys.sorted() where !named.contains(id) {
                world.providers[id]?.isUsable = false
            }
            #expect(config(world.plan(previous: before)) == before, "seed \(seed)")
        }
    }

    @Test("a loss and a return give the plan of before, but for what is sticky")
    func noTrace() {
        for seed in 1...2_000 as ClosedRange<UInt64> {
            var world = World(seed: seed)
            for (id, scenario) in world.scenarios {
                for (service, spec) in scenario.services where spec.providers?.use == .sticky {
                    world.scenarios[id]?.services[service]?.providers = ProviderPolicy(use: .one)
                }
            }
            guard let before = config(world.plan()), let victim = before.services[0].providers.first?.provider else {
                continue
            }
            world.providers[victim]?.isUsable = false
            let meanwhile = config(world.plan(previous: before)) ?? before
            world.providers[victim]?.isUsable = true
            let after = config(world.plan(previous: meanwhile))
            #expect(after?.scenario == before.scenario, "seed \(seed)")
            #expect(after?.services.map(\.providers) == before.services.map(\.providers), "seed \(seed)")
        }
    }

    @Test("many providers for one result: tenants spread over them, and a loss concerns only those that had it")
    func spreads() {
        var world = World(seed: 1)
        world.providers = [:]
        for number in 0..<100 {
            guard let id = ProviderID("sp-\(number)") else { continue }
            world.providers[id] = ProviderView(
                services: [ServiceDescription(id: "h", type: "harvest", version: "1", available: true)], isUsable: true)
        }
        world.scenarios = [
            "s": ScenarioSpec(services: ["x": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 600))])
        ]
        world.spec.scenarios = ["s"]
        var first: [ProviderID: Int] = [:]
        var users = 0
        var touched = 0
        for number in 0..<2_000 {
            guard let tenant = TenantID("t-\(number)"), let before = config(world.plan(tenant)) else { continue }
            let chosen = before.services[0].providers.map(\.provider)
            first[chosen[0], default: 0] += 1
            if chosen.contains("sp-7") { users += 1 }
            var without = world
            without.providers["sp-7"]?.isUsable = false
            if config(without.plan(tenant, previous: before)) != before { touched += 1 }
        }
        #expect(
            first.count > 95 && (first.values.max() ?? 0) < 60,
            "\(first.count) used, at most \(first.values.max() ?? 0) each")
        #expect(touched == users && (20...160).contains(users), "\(users) had it, \(touched) changed")
    }
}
