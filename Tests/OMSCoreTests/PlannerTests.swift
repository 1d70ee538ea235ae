import OMSModel
import Testing

@testable import OMSCore

@Suite("The planner")
struct PlannerTests {
    private func view(_ types: ServiceType..., usable: Bool = true) -> ProviderView {
        ProviderView(
            services: types.map {
                ServiceDescription(id: ServiceID($0.text)!, type: $0, version: "1", available: true)
            },
            isUsable: usable, why: usable ? nil : "unreachable: connection refused")
    }
    private let full = ScenarioSpec(services: [
        "harvest": ServiceSpec(
            type: "harvest", frequency: Frequency(everySeconds: 60),
            dataSource: DataLocation(uri: "file:///{tenant}-{day}.csv"),
            parameters: ["path": "{tenant}", "keep": "{unknown}"]),
        "recommend": ServiceSpec(
            type: "recommend", after: ["harvest"], providers: ProviderPolicy(use: .all, atLeast: 2),
            merge: MergeRule(strategy: .reciprocalRankFusion)),
    ])
    private let degraded = ScenarioSpec(services: [
        "harvest": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 600))
    ])

    private func plan(
        _ providers: [ProviderID: ProviderView], spec: TenantSpec? = nil, previous: WorkManagerConfig? = nil
    )
        -> PlanOutcome
    {
        Planner.plan(
            "men", spec ?? TenantSpec(scenarios: ["full", "degraded"], variables: ["day": "monday"]),
            scenarios: ["full": full, "degraded": degraded], providers: ProviderViews(providers), previous: previous,
            now: at(0).wall)
    }

    @Test("takes the preferred scenario when the providers can, fills variables, keeps anchors")
    func preferred() throws {
        let providers =
            ["alpha": view("harvest"), "beta": view("recommend"), "gamma": view("recommend")]
            as [ProviderID: ProviderView]
        var before = Fixture.plan("harvest", every: 60)
        before.anchor = at(-5_000).wall
        let previous = Fixture.config(before)
        guard case .plan(let config, _) = plan(providers, previous: previous) else {
            Issue.record("no plan")
            return
        }
        #expect(config.scenario == "full")
        #expect(config.services.map(\.id) == ["harvest", "recommend"])
        #expect(config.services[0].dataSource?.uri == "file:///men-monday.csv")
        #expect(config.services[0].parameters == ["path": "men", "keep": "{unknown}"])
        #expect(config.services.map(\.anchor) == [at(-5_000).wall, at(0).wall])
        #expect(config.services[1].providers.map(\.provider) == ["beta", "gamma"])
        #expect(config.services[0].deadlineSeconds == 660)
        #expect(plan(providers, previous: previous) == plan(providers, previous: previous))
    }

    @Test("falls back to the next scenario and says why the better one cannot be")
    func fallback() {
        guard
            case .plan(let config, let explanation) = plan([
                "alpha": view("harvest"), "beta": view("recommend"), "gamma": view("recommend", usable: false),
            ])
        else {
            Issue.record("no plan")
            return
        }
        #expect(config.scenario == "degraded")
        #expect(explanation.contains("recommend needs 2 providers"))
        #expect(explanation.contains("gamma is not usable (unreachable: connection refused)"))
    }

    @Test("keeps the anchor of the same rhythm; another one begins now and remembers the one before")
    func anchors() throws {
        func planned(_ frequency: Frequency, _ previous: WorkManagerConfig?, _ now: Timestamp) throws -> ServicePlan {
            let scenario = ScenarioSpec(services: ["x": ServiceSpec(type: "harvest", frequency: frequency)])
            guard
                case .plan(let config, _) = Planner.plan(
                    "men", TenantSpec(scenarios: ["s"]), scenarios: ["s": scenario],
                    providers: ProviderViews(["alpha": view("harvest")]), previous: previous, now: now)
            else { throw CronError(text: "no plan") }
            return config.services[0]
        }
        let first = try planned(Frequency(everySeconds: 600), nil, at(0).wall)
        #expect(first.anchor == at(0).wall && first.frequency?.spread == true)
        let same = try planned(Frequency(everySeconds: 600, jitterSeconds: 5), Fixture.config(first), at(9_000).wall)
        #expect(same.anchor == at(0).wall && same.earlier == nil && same.frequency?.spread == nil)
        let other = try planned(Frequency(cron: "0 3 * * *"), Fixture.config(same), at(9_000).wall)
        #expect(other.anchor == at(9_000).wall)
        #expect(other.earlier == EarlierSchedule(frequency: same.frequency!, anchor: at(0).wall))
        #expect(try planned(Frequency(everySeconds: 59), nil, at(0).wall).frequency?.spread == nil)
    }

    @Test("without any satisfied scenario gives the reason")
    func unsatisfied() {
        guard case .unsatisfied(let code, let text) = plan(["beta": view("recommend")]) else {
            Issue.record("a plan out of nothing")
            return
        }
        #expect(code == "no-scenario")
        #expect(text.contains("beta does not offer it"))
        guard case .unsatisfied("suspended", _) = plan([:], spec: TenantSpec(scenarios: ["full"], suspended: true))
        else {
            Issue.record("suspended tenants get no plan")
            return
        }
    }
}

@Suite("Documents")
struct DocumentReaderTests {
    private func errors(_ value: JSONValue) -> [String] {
        DocumentReader.read(value).errors.map { "\($0.pointer): \($0.detail)" }
    }
    private func service(_ members: JSONObject) -> JSONValue {
        ["kind": "Scenario", "name": "s", "spec": ["services": ["x": .object(members)]]]
    }

    @Test("good ones are read")
    func good() {
        let provider = DocumentReader.read([
            "kind": "Provider", "name": "alpha", "spec": ["base_url": "https://a.example/oms/", "poll_s": 2],
        ])
        #expect(provider.document == .provider("alpha", ProviderSpec(baseURL: "https://a.example/oms", pollSeconds: 2)))
        #expect(provider.errors.isEmpty)
        #expect(
            errors(service(["type": "harvest", "frequency": ["every_s": 5, "jitter_s": 2], "parameters": ["a": 1]]))
                .isEmpty)
    }

    @Test("an unknown field is an error that proposes the nearest known one")
    func unknownField() {
        #expect(
            errors(["kind": "Provider", "name": "a", "spec": ["base_ur": "https://a", "base_url": "https://a"]])
                == ["/spec/base_ur: unknown field; did you mean 'base_url'?"])
        #expect(
            errors(service(["type": "t", "frequency": ["every": 5, "once": true]]))[0].hasPrefix(
                "/spec/services/x/frequency/every: unknown field"))
    }

    @Test("each wrong field is named, all at once")
    func everything() {
        let found = errors(
            service([
                "type": "Harvest!", "frequency": ["every_s": 0], "timeout_s": "ten", "providers": ["use": "most"],
                "after": [],
            ]))
        #expect(found.contains { $0.hasPrefix("/spec/services/x/type: 'Harvest!' is not a name") })
        #expect(found.contains { $0.hasPrefix("/spec/services/x/frequency/every_s: must be from 1") })
        #expect(found.contains("/spec/services/x/timeout_s: must be a whole number"))
        #expect(found.contains { $0.hasPrefix("/spec/services/x/providers/use: 'most' is none of 'one', 'all', ") })
    }

    @Test("rules between fields")
    func between() {
        #expect(errors(service(["type": "t"]))[0].contains("needs 'frequency'"))
        #expect(
            errors(service(["type": "t", "frequency": ["once": true], "after": ["x"]])).contains {
                $0.contains("excludes 'frequency'")
            })
        for (frequency, remedy) in [
            (["cron": "0 25 * * *"], "/frequency/cron: field hour: 25 is not from 0 to 23"),
            (
                ["cron": "0 2 * * *", "time_zone": "Europe/Berln"],
                "/time_zone: 'Europe/Berln' is no IANA time zone; did you mean 'Europe/Berlin'?"
            ),
            (["every_s": 60, "cron": "* * * * *"], "/frequency: needs exactly one of"),
            (["every_s": 60, "time_zone": "UTC"], "/time_zone: belongs to 'cron'"),
            (["cron": "* * * * *", "spread": true], "/spread: belongs to every_s"),
            (["every_s": 60, "spread": true, "jitter_s": 5], "/spread: excludes 'jitter_s'"),
        ] as [(JSONValue, String)] {
            let found = errors(service(["type": "t", "frequency": frequency]))
            #expect(found.count == 1 && found[0].contains(remedy), "\(found)")
        }
        #expect(
            errors(service(["type": "t", "frequency": ["every_s": 5], "overlap": "skip", "queue_limit": 5]))
                == ["/spec/services/x/queue_limit: belongs to overlap 'queue-all'"])
        #expect(
            errors(service(["type": "t", "after": ["x"], "overlap": "skip"])).contains {
                $0.contains("/overlap: belongs to 'frequency'")
            })
        #expect(
            errors(service(["type": "t", "frequency": ["once": true], "providers": ["use": "all"]])).contains {
                $0.contains("/merge: is needed")
            })
        for (members, remedy) in [
            (["providers": ["use": "quorum"]], "/providers/count: is missing: how many results"),
            (["providers": ["use": "one", "count": 2]], "/providers/count: belongs to use 'quorum'"),
            (["providers": ["use": "quorum", "count": 2]], "/merge: is needed with providers.use 'quorum'"),
            (
                ["providers": ["use": "quorum", "count": 3, "only": ["a", "b"]]], "/count: is more than the 2 providers"
            ),
            (["providers": ["weights": ["a": 1]]], "/providers/weights: belongs to use 'weighted'"),
            (["providers": ["use": "weighted", "weights": ["a": -1]]], "/weights/a: must be a number above 0"),
            (
                ["providers": ["use": "weighted", "only": ["b"], "weights": ["a": 1]]],
                "/weights/a: is not among the providers"
            ),
            (["providers": ["use": "failover", "only": ["a", "a"]]], "/only: names a provider twice"),
            (["providers": ["use": "sticky", "at_least": 2]], "/at_least: belongs to use 'all'"),
            (["timeouts": ["queue": 5]], "/timeouts/queue: unknown field; did you mean 'queue_s'?"),
            (["timeout_s": 60, "timeouts": ["no_progress_s": 60]], "/no_progress_s: must be less than timeout_s (60)"),
            (
                ["merge": ["strategy": "first", "deliver_after_s": 5]],
                "/deliver_after_s: belongs to providers.use 'all'"
            ),
        ] as [(JSONObject, String)] {
            let found = errors(
                service(members.merging(["type": "t", "frequency": ["once": true]]) { mine, _ in mine }))
            #expect(found.contains { $0.contains(remedy) }, "\(found)")
        }
        for (merge, remedy) in [
            (["strategy": "union"], "/merge/key: is missing"),
            (["strategy": "union", "key": "id", "conflict": "newest"], "/merge/by: is missing: the member that says"),
            (["strategy": "union", "key": "id", "by": "at"], "/merge/by: belongs to conflict"),
            (["strategy": "best"], "/merge/objective: is missing"),
            (["strategy": "best", "objective": "x", "require": [["output": "y"]]], "/require/0: needs 'at_least'"),
            (["strategy": "mean", "k": 5], "/merge/k: belongs to strategy 'reciprocal-rank-fusion', not to 'mean'"),
            (["strategy": "mean", "weights": ["a": 0]], "/merge/weights/a: must be a number above 0"),
            (["strategy": "pooled-proportions", "alpha": 2], "/merge/alpha: must be above 0.0 and below 0.5"),
            (["strategy": "mean", "deliver_after_s": 60], "/deliver_after_s: must be less than deadline_s (60)"),
            (["strategy": "vote"], "/merge/strategy: 'vote' is none of"),
            (["key": "id"], "/merge/strategy: is missing"),
        ] as [(JSONValue, String)] {
            let found = errors(
                service([
                    "type": "t", "frequency": ["once": true], "deadline_s": 60, "providers": ["use": "all"],
                    "merge": merge,
                ]))
            #expect(found.contains { $0.contains(remedy) }, "\(found)")
        }
        #expect(
            errors([
                "kind": "Scenario", "name": "s",
                "spec": ["services": ["a": ["type": "t", "after": ["b"]], "b": ["type": "t", "after": ["a"]]]],
            ])
            .contains { $0.contains("in a circle") })
        #expect(
            errors(["kind": "Scenario", "name": "s", "spec": ["services": ["a": ["type": "t", "after": ["z"]]]]])
                .contains { $0.contains("no service 'z'") })
    }

    @Test(
        "addresses of providers",
        arguments: ["ftp://x", "http://", "https://user:secret@host", "http://a b", "http://h/?q", "javascript:x"])
    func addresses(url: String) {
        #expect(!errors(["kind": "Provider", "name": "a", "spec": ["base_url": .string(url)]]).isEmpty)
    }

    @Test("what is no document at all")
    func nonsense() {
        #expect(errors("x") == ["/: must be a mapping of fields"])
        #expect(errors(["kind": "Tenant"]).contains("/name: is missing"))
        #expect(
            errors(["kind": "Tenent", "name": "a", "spec": [:]])[0].contains("none of 'Provider', 'Scenario', 'Tenant'")
        )
        #expect(errors(["kind": "Tenant", "name": "a", "spec": ["scenarios": []]])[0].contains("at least one"))
    }
}
