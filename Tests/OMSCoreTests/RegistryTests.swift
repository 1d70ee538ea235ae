import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The registry")
struct RegistryTests {
    @Test("attaches a provider, plans when it is seen, publishes the epoch before the bootstrap")
    func bootstrap() throws {
        var bench = RegistryBench()
        bench.feed(.wake)
        bench.feed(.connected)
        bench.presence(.fleetPresence("f1"), boot: 4)
        bench.presence(.gatewayPresence("g1"))
        bench.apply()
        #expect(bench.responses().map(\.status) == [200])
        #expect(bench.sent.contains { $0.topic == .gatewayControl("g1") })
        bench.pass(2_000)
        #expect(bench.controls().isEmpty, "nothing is planned on a provider that nobody has seen")
        bench.catalog()
        bench.health(.pass)
        bench.pass(200)
        let kinds = bench.sent.map(\.topic.kind)
        #expect(try #require(kinds.firstIndex(of: .wmEpoch)) < #require(kinds.firstIndex(of: .wmControl)))
        let control = bench.controls()[0]
        #expect(control.command == .bootstrap)
        #expect((control.epoch, control.generation, control.boot) == (1, 1, 4))
        #expect(control.config?.services.map(\.id) == ["harvest"])
        // Lost on the way: again, until it is acknowledged.
        bench.pass(3_100)
        #expect(bench.controls().map(\.epoch) == [1])
        bench.acknowledge(control)
        bench.pass(5_000)
        #expect(bench.controls().isEmpty)
        #expect(bench.beats.count >= 4)
    }

    @Test("a wish for a run goes to the Work Manager, as often as it is repeated, and its answer to who asked")
    func wishes() throws {
        var bench = RegistryBench.active()
        func ask(_ id: String, _ params: JSONObject) {
            bench.sent = []
            bench.feed(
                .received(
                    Message(
                        .command,
                        .request(ClientRequest(id: id, client: "cli-1", method: "run", params: .object(params))))))
        }
        func answers() -> [Int] {
            bench.sent.compactMap { if case .response(let answer) = $0.payload { answer.status } else { nil } }
        }
        let params: JSONObject = [
            "tenant": "men", "service": "harvest", "due": .string(at(bench.now).wall.description),
        ]
        for _ in 0..<2 {
            ask("q1", params)
            let control = try #require(bench.controls().first)
            #expect(control.command == .trigger && control.id == "q1" && control.trigger?.service == "harvest")
            #expect(answers().isEmpty)
        }
        let ack = WMAck(id: "q1", command: .trigger, phase: .done, epoch: 1, generation: 1, fleet: "f1")
        bench.feed(.received(Message(.wmAck("men"), .wmAck(ack))))
        #expect(answers() == [200])
        ask("q2", params.merging(["tenant": "nobody"]) { $1 })
        #expect(answers() == [404])
        ask("q3", params.merging(["due": .string(at(-9_000_000).wall.description)]) { $1 })
        #expect(answers() == [400])
    }

    @Test("a first epoch that the database could not take is tried again, without anybody's help")
    func firstEpochFails() {
        var bench = RegistryBench()
        bench.failingEpochs = 2
        bench.feed(.wake)
        bench.feed(.connected)
        bench.presence(.fleetPresence("f1"))
        bench.presence(.gatewayPresence("g1"))
        bench.apply()
        bench.catalog()
        bench.health(.pass)
        bench.pass(5_000)
        #expect(bench.failingEpochs == 0)
        #expect(bench.controls().first?.epoch == 1)
    }

    @Test("a new process of the fleet is proof that the old one is gone: a new epoch, at once")
    func fleetRestart() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f1"), .lost, boot: 1)
        bench.pass(200)
        #expect(bench.controls().isEmpty, "silence alone proves nothing")
        bench.presence(.fleetPresence("f1"), boot: 2)
        bench.pass(200)
        let controls = bench.controls()
        #expect(controls.map(\.epoch) == [2])
        #expect(controls.map(\.boot) == [2])
        // The late will of the old process says nothing about the new one.
        bench.presence(.fleetPresence("f1"), .lost, boot: 1)
        bench.acknowledge(controls[0])
        bench.pass(5_000)
        #expect(bench.controls().isEmpty)
    }

    @Test("a fleet that is merely silent keeps its tenants, also when another one is free")
    func silentFleet() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        bench.answersBeats = false
        bench.presence(.fleetPresence("f1"), .lost, boot: 1)
        bench.pass(29_000)
        #expect(bench.controls().isEmpty, "it may be alive behind a broken line")
        // Then the door is shut to it, and another fleet goes on.
        bench.pass(5_000)
        let kinds = bench.sent.map(\.topic.kind)
        let control = bench.controls()
        #expect(control.map(\.fleet).first == "f2" && control.first?.epoch == 2)
        #expect(kinds.contains(.gatewayControl))
    }

    @Test("a goodbye of the fleet moves its tenants to another one")
    func fleetLeaves() {
        var bench = RegistryBench.active()
        bench.presence(.fleetPresence("f2"), boot: 7)
        bench.presence(.fleetPresence("f1"), .offline, boot: 1)
        bench.pass(200)
        #expect(bench.controls().map(\.fleet) == ["f2"])
    }

    @Test("commits journals in order, skips what it has, waits at gaps, and acknowledges after the commit only")
    func journals() {
        var bench = RegistryBench.active()
        bench.holdsCommits = true
        bench.journal(1, 3)
        bench.journal(1, 5)
        bench.journal(9, 2)
        #expect(bench.committed.isEmpty)
        #expect(
            bench.held.map {
                if case .commit(_, let journal) = $0.request { [journal.firstSeq, journal.entries.count] } else { [] }
            }
                == [[1, 3], [4, 2]])
        bench.feed(.stored(ticket: bench.held[0].ticket, .committed(3)))
        #expect(bench.committed == [3])
        bench.feed(.stored(ticket: bench.held[1].ticket, .failed(Problem(.unavailable, "down"))))
        #expect(bench.committed == [3])
        bench.holdsCommits = false
        bench.journal(4, 2)
        #expect(bench.committed == [3, 5])
        bench.journal(1, 5)
        #expect(bench.committed == [3, 5, 5], "the acknowledgement was lost: say it again")
        bench.journal(epoch: 0, 1, 1)
        bench.journal(epoch: 2, 1, 1)
        #expect(bench.committed.count == 3, "only the epoch in force has a journal")
    }

    @Test("a provider that is unwell for a moment changes no plan; for long it does, and coming back changes it back")
    func hysteresis() {
        var bench = RegistryBench.active()
        let plans = { (bench: RegistryBench) in
            bench.requests.filter { if case .savePlan = $0 { true } else { false } }.count
        }
        bench.apply([
            ["kind": "Provider", "name": "beta", "spec": ["base_url": "http://b"]],
            [
                "kind": "Scenario", "name": "s",
                "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 60]]]],
            ],
        ])
        let before = plans(bench)
        bench.health(.unreachable)
        bench.pass(10_000)
        bench.health(.pass)
        bench.pass(60_000)
        #expect(plans(bench) == before)
        #expect(
            !bench.sent.contains {
                if case .event(let event) = $0.payload { event.kind == "tenant.no-scenario" } else { false }
            })
        bench.health(.unreachable)
        bench.pass(31_000)
        #expect(
            bench.sent.contains {
                if case .event(let event) = $0.payload { event.kind == "tenant.no-scenario" } else { false }
            })
        #expect(bench.controls().isEmpty, "a Work Manager without a better plan goes on")
    }

    @Test("a changed scenario reaches a running Work Manager as a reconfiguration, repeated until it runs")
    func reconfigure() {
        var bench = RegistryBench.active()
        var changed = RegistryBench.documents
        changed[1] = [
            "kind": "Scenario", "name": "s",
            "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 30]]]],
        ]
        bench.apply(changed)
        bench.pass(200)
        let first = bench.controls()
        #expect(first.map(\.command) == [.reconfigure])
        #expect(first.map(\.generation) == [2])
        bench.feed(.received(Message(.wmStatus("men"), .wmStatus(RegistryBench.status(1, epoch: 1, generation: 1)))))
        #expect(bench.controls().map(\.generation) == [2])
    }

    @Test("a silent Work Manager of a live process is asked to end, then sealed and swept, then replaced")
    func silentManager() {
        var bench = RegistryBench.active()
        bench.pass(10_000)
        #expect(bench.controls().isEmpty)
        bench.answersBeats = false
        bench.pass(10_000)
        #expect(bench.controls().isEmpty, "suspect and lost, but not yet given up: late is no error")
        bench.pass(25_000)
        #expect(bench.controls().first?.command == .drain)
        bench.pass(35_000)
        #expect(bench.controls().last.map { [$0.epoch] } == [2])
    }

    @Test("after a restart goes on with what is in the database: same epoch, no bootstrap")
    func restart() {
        var bench = RegistryBench()
        let config = WorkManagerConfig(
            tenant: "men", generation: 3, scenario: "s",
            services: [
                ServicePlan(
                    id: "harvest", type: "harvest", frequency: Frequency(everySeconds: 60, spread: true), after: [],
                    anchor: at(0).wall,
                    timeoutSeconds: 300, deadlineSeconds: 660, maxAttempts: 2,
                    providers: [ProviderChoice(provider: "alpha", service: "h")], merge: MergeRule(strategy: .first))
            ])
        bench.snapshot = Snapshot(
            providers: ["alpha": (ProviderSpec(baseURL: "http://sp"), 1)],
            scenarios: [
                "s": ScenarioSpec(services: [
                    "harvest": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 60))
                ])
            ],
            tenants: ["men": TenantSpec(scenarios: ["s"])],
            managers: [
                "men": StoredManager(epoch: 5, since: at(0).wall, fleet: "f1", boot: 1, ackSeq: 7, config: config)
            ])
        // Retained state comes before the database has answered.
        bench.catalog()
        bench.health(.pass)
        bench.presence(.fleetPresence("f1"))
        bench.presence(.gatewayPresence("g1"))
        bench.feed(.connected)
        bench.feed(.wake)
        bench.pass(2_000)
        #expect(bench.controls().isEmpty)
        #expect(!bench.requests.contains { if case .savePlan = $0 { true } else { false } })
        #expect(bench.beats.first.map { [$0.epoch, $0.ackSeq] } == [5, 7])
        bench.sent = []
        bench.journal(epoch: 5, 8, 1)
        #expect(bench.committed == [8])
    }

    @Test("wrong documents are refused whole, each field named; unknown methods too")
    func refusals() {
        var bench = RegistryBench.active()
        bench.apply([
            ["kind": "Tenant", "name": "x", "spec": ["scenarios": ["nowhere"]]],
            [
                "kind": "Scenario", "name": "y",
                "spec": [
                    "services": ["a": ["type": "t", "frequency": ["once": true], "providers": ["only": ["zeta"]]]]
                ],
            ],
        ])
        let response = bench.responses()[0]
        #expect(response.status == 422)
        #expect(
            response.error?.errors?.map(\.pointer) == [
                "/documents/0/spec/scenarios/0", "/documents/1/spec/services/a/providers/only/0",
            ])
        #expect(
            !bench.requests.contains {
                if case .apply(let documents, _, _) = $0 { documents.count == 2 } else { false }
            })
        bench.feed(
            .received(Message(.command, .request(ClientRequest(id: "z", client: "c", method: "explode", params: [:])))))
        #expect(bench.responses().last?.status == 400)
    }

    @Test("a withdrawn service is announced, and new work goes to another provider without a replacement")
    func withdrawn() {
        var bench = RegistryBench.active()
        bench.apply([["kind": "Provider", "name": "beta", "spec": ["base_url": "http://b"]]])
        func see(_ provider: ProviderID, available: Bool) {
            let service = ServiceDescription(id: "h", type: "harvest", version: "1", available: available)
            bench.feed(
                .received(
                    Message(
                        .providerCatalog(provider),
                        .catalog(Catalog(gateway: "g1", fetched: at(0).wall, stale: false, services: [service])))))
            bench.feed(
                .received(
                    Message(
                        .providerHealth(provider),
                        .health(Health(status: .pass, checked: at(0).wall, circuit: .closed, gateway: "g1", boot: 1)))))
        }
        see("beta", available: true)
        bench.pass(200)
        _ = bench.controls()
        see("alpha", available: false)
        bench.pass(200)
        let controls = bench.controls()
        #expect(controls.map(\.command) == [.reconfigure])
        #expect(controls.last?.config?.services[0].providers.map(\.provider) == ["beta"])
        let texts = bench.sent.compactMap { if case .event(let event) = $0.payload { event.text } else { nil } }
        #expect(texts.contains { $0.contains("h withdrawn: running jobs finish, new ones go elsewhere") })
    }

    @Test("a conformance report is stored for a registered provider only")
    func verification() {
        var bench = RegistryBench.active()
        func send(_ params: JSONValue) -> Int? {
            bench.feed(
                .received(
                    Message(
                        .command, .request(ClientRequest(id: "v", client: "c", method: "verification", params: params)))
                ))
            return bench.responses().last?.status
        }
        #expect(send(["provider": "nobody", "report": ["verdict": "pass"]]) == 404)
        #expect(send(["provider": "alpha", "report": [:]]) == 400)
        #expect(send(["provider": "alpha", "report": ["verdict": "fail", "rules": []]]) == 200)
        #expect(
            bench.requests.contains {
                if case .saveVerification("alpha", passed: false, _, _) = $0 { true } else { false }
            })
    }

    @Test("a suspended tenant's Work Manager is shut down, and comes back when it is resumed")
    func suspend() {
        var bench = RegistryBench.active()
        bench.apply([["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"], "suspended": true]]])
        bench.pass(200)
        let controls = bench.controls()
        #expect(controls.map(\.command) == [.drain])
        bench.acknowledge(controls[0], lastSeq: 0)
        bench.pass(10_000)
        #expect(bench.controls().isEmpty)
        #expect(bench.closings.map(\.isGraceful) == [true])
        bench.apply([["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"]]]])
        bench.pass(200)
        #expect(bench.controls().map(\.epoch) == [2])
    }
}
