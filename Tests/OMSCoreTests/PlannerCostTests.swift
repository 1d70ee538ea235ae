import OMSModel
import Testing

@testable import OMSCore

@Suite("Catalogues of strangers")
struct PlannerCostTests {
    private func views(_ others: Int, _ services: Int) -> ProviderViews {
        var views: [ProviderID: ProviderView] = [:]
        for index in 0..<others {
            let list = (0..<services).map {
                ServiceDescription(
                    id: ServiceID("s\($0)") ?? "s", type: ServiceType("t\($0)") ?? "t", version: "1", available: true)
            }
            views[ProviderID("p\(index)") ?? "p"] = ProviderView(services: list, isUsable: true)
        }
        return ProviderViews(views)
    }

    private func scenario() throws -> ScenarioSpec {
        let read = DocumentReader.read([
            "kind": "Scenario", "name": "s",
            "spec": [
                "services": [
                    "w": [
                        "type": "t3999", "frequency": ["once": true],
                        "providers": ["use": "one", "only": ["p0", "p1", "p2"]],
                    ]
                ]
            ],
        ])
        guard case .scenario(_, let spec)? = read.document else { throw CancellationError() }
        return spec
    }

    @Test("thousands of services do not make each plan slower")
    func thousands() throws {
        let (views, scenario) = (views(10, 4_000), try scenario())
        let start = ContinuousClock.now
        for _ in 0..<2_000 {
            let outcome = Planner.plan(
                "men", TenantSpec(scenarios: ["s"]), scenarios: ["s": scenario], providers: views, now: at(0).wall)
            guard case .plan(let config, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(config.services[0].providers.map(\.service) == ["s3999", "s3999", "s3999"])
        }
        // 2,000 plans that look through 3 x 4,000 services took 20 s in a debug build.
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test("why nobody can is said in a few words, those who offer it first, whatever they say of themselves")
    func explanation() throws {
        var all: [ProviderID: ProviderView] = [:]
        for index in 0..<200 {
            all[ProviderID("p\(index)") ?? "p"] = ProviderView(
                services: [ServiceDescription(id: "x", type: "other", version: "1", available: true)], isUsable: false,
                why: String(repeating: "long ", count: 500))
        }
        all["zeta"] = ProviderView(
            services: [ServiceDescription(id: "x", type: "t", version: "1", available: false)], isUsable: true)
        let scenario = ScenarioSpec(services: ["w": ServiceSpec(type: "t", frequency: Frequency(once: true))])
        let outcome = Planner.plan(
            "men", TenantSpec(scenarios: ["s"]), scenarios: ["s": scenario], providers: ProviderViews(all),
            now: at(0).wall)
        guard case .unsatisfied(_, let text) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(text.contains("0 can: zeta has withdrawn it, p0 is not usable (long"))
        #expect(text.utf8.count < 1_600)
    }

    @Test("what changed in a catalogue of thousands is a short sentence")
    func difference() {
        let many = (0..<4_000).map {
            ServiceDescription(id: ServiceID("s\($0)") ?? "s", type: "t", version: "1", available: true)
        }
        let text = CatalogDifference.text([], many)
        #expect(text.hasSuffix("; and 3980 more") && text.utf8.count < 2_100)
    }
}
