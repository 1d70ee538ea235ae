import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("What a change takes")
struct PlanChangeTests {
    @Test("nothing for nothing; hot for nearly everything; a replacement where two plans must not run side by side")
    func rules() {
        let old = Fixture.config(Fixture.plan("harvest"), Fixture.plan("rank", after: ["harvest"]))
        #expect(PlanChange(from: old, to: old).isEmpty)
        #expect(PlanChange(from: nil, to: old).isEmpty)
        var new = old
        new.services[0].timeoutSeconds = 7
        new.services[0].parameters = ["top": 3]
        var change = PlanChange(from: old, to: new)
        #expect(change.fields.map(\.field) == ["parameters", "timeout_s"] && !change.needsReplacement)
        #expect(change.text == "harvest: parameters, timeout_s")
        new.services.remove(at: 1)
        change = PlanChange(from: old, to: new)
        #expect(change.fields.last?.field == "removed" && !change.needsReplacement)
        new.services[0].outputSource = DataLocation(uri: "file:///elsewhere")
        change = PlanChange(from: old, to: new)
        #expect(change.needsReplacement)
        #expect(change.replacementReason == "harvest: output_source: what runs still writes to the old place")
    }

    @Test("a time at which the tenant first got a service is no change")
    func anchors() {
        let old = Fixture.config(Fixture.plan("harvest"))
        var new = old
        new.services[0].anchor = at(5_000).wall
        #expect(PlanChange(from: old, to: new).isEmpty)
    }
}

@Suite("Effective values")
struct EffectiveServiceTests {
    private let spec = ServiceSpec(
        type: "recommend", frequency: Frequency(everySeconds: 60), timeoutSeconds: 20,
        parameters: ["top": 10, "table": "logs"])

    @Test("default < scenario < tenant, field by field, parameters one by one, each with its origin")
    func precedence() {
        let effective = EffectiveService(
            "rank", scenario: spec, override: ["max_attempts": 5, "parameters": ["top": 3, "table": nil]])
        #expect(effective.values["timeout_s"] == 20 && effective.origins["timeout_s"] == .scenario)
        #expect(effective.values["max_attempts"] == 5 && effective.origins["max_attempts"] == .tenant)
        #expect(effective.values["on_replace"] == "stop" && effective.origins["on_replace"] == .builtIn)
        #expect(effective.values["parameters"] == ["top": 3])
        #expect(effective.origins["parameters/top"] == .tenant && effective.origins["parameters"] == .scenario)
    }

    @Test("null takes a value back to the default; a tenant's `after` takes the scenario's frequency away")
    func removal() {
        let effective = EffectiveService("rank", scenario: spec, override: ["timeout_s": nil, "after": ["harvest"]])
        #expect(effective.values["timeout_s"] == 300 && effective.origins["timeout_s"] == .builtIn)
        #expect(effective.values["frequency"] == nil && effective.origins["after"] == .tenant)
    }

    @Test("what comes out must be right: errors point into the tenant's document")
    func errors() {
        let errors = FieldErrors()
        let scenario = ScenarioSpec(services: ["rank": spec])
        let made = EffectiveService.scenario(
            scenario, overrides: ["rank": ["timeout_s": 0, "tiemout_s": 3]], at: "/spec/services", errors)
        #expect(Set(errors.list.map(\.pointer)) == ["/spec/services/rank/timeout_s", "/spec/services/rank/tiemout_s"])
        #expect(made.services["rank"]?.timeoutSeconds != 0)
        let fine = FieldErrors()
        let other = EffectiveService.scenario(scenario, overrides: ["rank": ["timeout_s": 7]], at: "", fine)
        #expect(fine.list.isEmpty && other.services["rank"]?.timeoutSeconds == 7)
        #expect(other.services["rank"]?.maxAttempts == nil, "defaults stay the planner's")
    }
}

@Suite("Parameters against a provider's schema")
struct SchemaCheckTests {
    private let schema: JSONValue = [
        "type": "object", "required": ["table"], "additionalProperties": false,
        "properties": [
            "table": ["type": "string", "minLength": 1], "top": ["type": "integer", "minimum": 1, "maximum": 1000],
            "mode": ["enum": ["fast", "exact"]],
            "sources": ["type": "array", "items": ["type": "string"], "uniqueItems": true, "minItems": 1],
            "weight": ["oneOf": [["type": "number", "exclusiveMinimum": 0], ["const": "auto"]]],
        ],
    ]

    @Test("right values pass, with 10.0 for 10")
    func right() {
        #expect(
            SchemaCheck.errors(
                ["table": "logs", "top": 10.0, "mode": "fast", "sources": ["a"], "weight": "auto"], schema
            ).isEmpty)
        #expect(SchemaCheck.errors(["table": "logs", "weight": 0.5], schema).isEmpty)
        #expect(SchemaCheck.errors(["anything": 1], true).isEmpty)
    }

    @Test(
        "each wrong value is named with its place",
        arguments: [
            (["top": 3], "/table", "missing"), (["table": ""], "/table", "at least 1 characters"),
            (["table": "x", "top": 0], "/top", "at least 1"), (["table": "x", "top": 1.5], "/top", "integer"),
            (["table": "x", "mode": "slow"], "/mode", "'fast', 'exact'"),
            (["table": "x", "tpo": 3], "/tpo", "known there: mode, sources, table, top, weight"),
            (["table": "x", "sources": []], "/sources", "at least 1 items"),
            (["table": "x", "sources": ["a", "a"]], "/sources", "repeats"),
            (["table": "x", "sources": ["a", 2]], "/sources/1", "string"),
            (["table": "x", "weight": 0], "/weight", "none of the 2 forms"),
        ] as [(JSONValue, String, String)])
    func wrong(value: JSONValue, pointer: String, detail: String) {
        let errors = SchemaCheck.errors(value, schema)
        #expect(errors.map(\.pointer) == [pointer])
        #expect(errors.first?.detail.contains(detail) == true, "\(errors)")
    }

    @Test("a schema without end, or a flood of mistakes, ends")
    func bounds() {
        var deep: JSONValue = ["type": "integer"]
        var value: JSONValue = 1
        for _ in 0..<500 {
            deep = ["items": deep]
            value = [value]
        }
        #expect(SchemaCheck.errors(value, deep).isEmpty)
        let many = JSONValue.array(Array(repeating: "x", count: 1_000))
        #expect(SchemaCheck.errors(many, ["items": ["type": "integer"]]).count == 20)
    }
}

@Suite("Changes and their price, as the registry sees them")
struct PreviewTests {
    private func scenario(_ fields: JSONValue) -> JSONValue {
        ["kind": "Scenario", "name": "s", "spec": ["services": ["harvest": fields]]]
    }

    private func preview(_ bench: inout RegistryBench, _ documents: [JSONValue]) -> JSONValue? {
        let request = ClientRequest(id: "p", client: "c", method: "plan", params: ["documents": .array(documents)])
        bench.feed(.received(Message(.query, .request(request))))
        return bench.responses().last?.result
    }

    @Test("hot, replace with the operations it would stop, start and stop are told apart, and nothing is done")
    func effects() {
        var bench = RegistryBench.active()
        var status = RegistryBench.status(1, epoch: 1, generation: 1)
        status.active = [
            ActiveOperation(
                service: "harvest", run: RunID(time: at(0).wall, of: "r"), job: jobID(1), provider: "alpha",
                state: .running, ageSeconds: 1)
        ]
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(status))))
        bench.answersBeats = false
        let before = bench.requests.count
        var result = preview(&bench, [scenario(["type": "harvest", "frequency": ["every_s": 30]])])
        #expect(result?["counts"] == ["hot": 1] && result?["destructive"] == false)
        #expect(result?["versions"] == ["Scenario/s": 1])
        result = preview(
            &bench,
            [scenario(["type": "harvest", "frequency": ["every_s": 60], "output_source": ["uri": "file:///x"]])])
        #expect(result?["counts"] == ["replace": 1] && result?["destructive"] == true)
        #expect(result?["stopped_operations"] == 1)
        result = preview(&bench, [["kind": "Tenant", "name": "women", "spec": ["scenarios": ["s"]]]])
        #expect(result?["counts"] == ["start": 1] && result?["unchanged"] == 1)
        result = preview(&bench, [["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"], "suspended": true]]])
        #expect(result?["counts"] == ["stop": 1])
        result = preview(&bench, [scenario(["type": "unheard", "frequency": ["every_s": 60]])])
        #expect(result?["counts"] == ["unsatisfied": 1])
        #expect(bench.requests.count == before, "nothing was stored")
        #expect(bench.controls().isEmpty)
    }

    @Test("a change that needs a replacement is drained in, not sent to the running Work Manager")
    func replacing() {
        var bench = RegistryBench.active()
        bench.apply([
            scenario(["type": "harvest", "frequency": ["every_s": 60], "output_source": ["uri": "file:///x"]])
        ])
        bench.pass(3_000)
        let controls = bench.controls()
        #expect(Set(controls.map(\.command)) == [.drain])
        bench.acknowledge(controls[0], lastSeq: 0)
        bench.pass(200)
        let start = bench.controls().first
        #expect(start?.command == .bootstrap && start?.config?.services[0].outputSource?.uri == "file:///x")
    }

    @Test("a tenant's own values reach its plan; wrong ones are refused with their place")
    func overrides() {
        var bench = RegistryBench.active()
        func tenant(_ services: JSONValue) -> JSONValue {
            ["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"], "services": services]]
        }
        bench.apply([tenant(["harvest": ["timeout_s": 7]])])
        bench.pass(200)
        #expect(bench.controls().last?.config?.services[0].timeoutSeconds == 7)
        bench.apply([tenant(["harvest": ["timeout_s": "soon"], "haverst": [:]])])
        #expect(
            bench.responses().last?.error?.errors?.map(\.pointer) == [
                "/documents/0/spec/services/haverst", "/documents/0/spec/services/harvest/timeout_s",
            ])
    }

    @Test("parameters are judged by the providers' schemas; one that fits is enough")
    func schemas() {
        var bench = RegistryBench.active()
        func see(_ schema: JSONValue?) {
            bench.feed(
                .received(
                    Message(
                        .providerCatalog("alpha"),
                        .catalog(
                            Catalog(
                                gateway: "g1", fetched: at(0).wall, stale: false,
                                services: [
                                    ServiceDescription(
                                        id: "h", type: "harvest", version: "1", available: true,
                                        parametersSchema: schema)
                                ])))))
        }
        see(["type": "object", "required": ["table"]])
        let wrong = scenario(["type": "harvest", "frequency": ["every_s": 60], "parameters": ["tabel": "x"]])
        bench.apply([wrong])
        #expect(
            bench.responses().last?.error?.errors?.map(\.pointer)
                == ["/documents/0/spec/services/harvest/parameters/table"])
        see(nil)
        bench.apply([wrong])
        #expect(bench.responses().last?.status == 200)
    }

    @Test("suspending one service changes the tenant's document, resuming it takes that back whole")
    func suspendService() {
        var bench = RegistryBench.active()
        #expect(bench.command("suspend", ["tenant": "men", "service": "nothing"])?.status == 404)
        #expect(bench.command("suspend", ["tenant": "men", "service": "harvest"])?.status == 200)
        bench.pass(200)
        #expect(bench.controls().last?.config?.services[0].suspended == true)
        _ = bench.command("resume", ["tenant": "men", "service": "harvest"])
        bench.pass(200)
        #expect(bench.controls().last?.config?.services[0].suspended == nil)
        #expect(bench.registry.specs["men"]?.services == nil)
    }
}

@Suite("Which providers count")
struct ProviderPatienceTests {
    private func plans(_ bench: RegistryBench) -> Int {
        bench.requests.count { if case .savePlan = $0 { true } else { false } }
    }

    /// Two scenarios: `s` needs alpha's harvest, `lesser` needs beta's.
    private func bench() -> RegistryBench {
        var bench = RegistryBench.active()
        bench.apply([
            ["kind": "Provider", "name": "beta", "spec": ["base_url": "http://b"]],
            [
                "kind": "Scenario", "name": "lesser",
                "spec": [
                    "services": [
                        "harvest": [
                            "type": "harvest", "frequency": ["every_s": 60],
                            "providers": ["use": "one", "only": ["beta"]],
                        ]
                    ]
                ],
            ],
            [
                "kind": "Scenario", "name": "s",
                "spec": [
                    "services": [
                        "harvest": [
                            "type": "harvest", "frequency": ["every_s": 60],
                            "providers": ["use": "one", "only": ["alpha"]],
                        ]
                    ]
                ],
            ],
            ["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s", "lesser"]]],
        ])
        bench.feed(
            .received(
                Message(
                    .providerCatalog("beta"),
                    .catalog(
                        Catalog(
                            gateway: "g1", fetched: at(0).wall, stale: false,
                            services: [ServiceDescription(id: "h", type: "harvest", version: "1", available: true)])))))
        bench.feed(
            .received(
                Message(
                    .providerHealth("beta"),
                    .health(Health(status: .pass, checked: at(0).wall, circuit: .closed, gateway: "g1", boot: 1)))))
        bench.pass(1_000)
        return bench
    }

    private func scenario(_ bench: RegistryBench) -> ScenarioID? { bench.registry.tenants["men"]?.config?.scenario }

    @Test("a lost provider moves the tenant to its lesser scenario while it runs, and back when it is well for long")
    func failOverAndBack() {
        var bench = bench()
        #expect(scenario(bench) == "s")
        bench.health(.unreachable)
        bench.pass(29_000)
        #expect(scenario(bench) == "s")
        bench.pass(2_000)
        #expect(scenario(bench) == "lesser")
        #expect(bench.controls().allSatisfy { $0.command == .reconfigure }, "no replacement")
        bench.health(.pass)
        bench.pass(14_000)
        #expect(scenario(bench) == "lesser")
        bench.pass(2_000)
        #expect(scenario(bench) == "s")
        #expect(bench.controls().allSatisfy { $0.command == .reconfigure })
    }

    @Test("one that flaps every ten seconds for ten minutes changes no plan, in or out", arguments: [false, true])
    func flapping(isOut: Bool) {
        var bench = bench()
        if isOut {
            bench.health(.unreachable)
            bench.pass(31_000)
        }
        let before = plans(bench)
        for _ in 0..<30 {
            bench.health(.pass)
            bench.pass(10_000)
            bench.health(.unreachable)
            bench.pass(10_000)
        }
        #expect(plans(bench) == before)
        #expect(scenario(bench) == (isOut ? "lesser" : "s"))
    }

    @Test("an announced absence moves the tenant at its beginning, and back at its end, with the reason told")
    func maintenance() {
        var bench = bench()
        bench.apply([
            [
                "kind": "Provider", "name": "alpha",
                "spec": [
                    "base_url": "http://sp",
                    "maintenance": [
                        [
                            "from": .string(at(bench.now + 60_000).wall.description),
                            "until": .string(at(bench.now + 120_000).wall.description), "reason": "new disks",
                        ]
                    ],
                ],
            ]
        ])
        bench.pass(59_000)
        #expect(scenario(bench) == "s")
        bench.pass(2_000)
        #expect(scenario(bench) == "lesser")
        let texts = bench.sent.compactMap { if case .event(let event) = $0.payload { event.text } else { nil } }
        #expect(texts.contains { $0.contains("new disks") })
        bench.pass(60_000)
        #expect(scenario(bench) == "s")
    }
}
