import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("A provider whose answers end gateways")
struct QuarantineTests {
    private func gateway(deaths: Int, version: Int = 1) -> GatewayBench {
        GatewayBench(
            ledger: LedgerContents(suspects: [SuspectProvider(provider: "alpha", version: version, deaths: deaths)]))
    }

    @Test("after one death it is asked after the others, and told in the presence")
    func suspected() {
        var bench = gateway(deaths: 1)
        #expect(bench.gateway.presence(.online).suspectProviders?.map(\.deaths) == [1])
        bench.now = 4_900
        bench.feed(.wake)
        bench.feed(GatewayBench.attach())
        #expect(bench.calls.isEmpty)
        bench.now = 5_000
        bench.feed(.wake)
        #expect(bench.calls.contains { $0.kind == .status })
    }

    @Test("after the second death it is not called at all, its health says why, and its jobs wait")
    func quarantined() {
        var bench = gateway(deaths: 2)
        #expect(bench.health.last?.status == .quarantined)
        #expect(bench.health.last?.error?.detail == "quarantined: the gateway died twice while reading its answer")
        bench.command(.submit, jobID(1))
        bench.command(.stop, jobID(2))
        for _ in 0..<60 {
            bench.now += 5_000
            bench.feed(.wake)
        }
        #expect(bench.calls.isEmpty && bench.gateway.doors["alpha"] != nil)
        #expect(bench.gateway.nextWake(at: at(bench.now)) > 1_000_000 + bench.now + 100, "nothing spins")
    }

    @Test("a changed document releases it, and the ledger forgets")
    func released() {
        var bench = gateway(deaths: 2)
        bench.feed(
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(
                        GatewayControl(
                            id: "2", command: .attach, provider: "alpha", spec: ProviderSpec(baseURL: "http://sp"),
                            version: 2)))))
        #expect(bench.records == [.forgiven("alpha")])
        #expect(bench.gateway.presence(.online).suspectProviders == nil)
        #expect(bench.calls.contains { $0.kind == .status })
        #expect(bench.health.last?.status == .unknown)
    }

    @Test("deaths of other gateways come with the attachment")
    func told() {
        var bench = GatewayBench()
        bench.feed(
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(
                        GatewayControl(
                            id: "2", command: .attach, provider: "beta", spec: ProviderSpec(baseURL: "http://beta"),
                            version: 4, deaths: 2)))))
        bench.pass(60_000)
        #expect(bench.health.contains { $0.status == .quarantined })
        #expect(!bench.calls.contains { $0.provider == "beta" })
        #expect(bench.gateway.presence(.online).suspectProviders == nil, "its own deaths are none")
    }
}

@Suite("A provider whose answers end gateways, at the registry")
struct QuarantineRegistryTests {
    private func deaths(_ bench: RegistryBench, _ node: NodeID) -> [Int?] {
        bench.sent.compactMap {
            guard $0.topic == .gatewayControl(node), case .gatewayControl(let control) = $0.payload,
                control.command == .attach
            else { return nil }
            return control.deaths
        }
    }

    private func presence(_ boot: Int64, _ deaths: Int, version: Int = 1) -> Presence {
        Presence(
            state: .online, boot: boot, since: at(0).wall, release: "t", protocols: [1],
            suspectProviders: [SuspectProvider(provider: "alpha", version: version, deaths: deaths)])
    }

    @Test("deaths count over all gateways, and go with the provider to the next one")
    func moves() {
        var bench = RegistryBench.active()
        bench.obedientGateways["g1"] = 2
        bench.feed(.received(Message(.gatewayPresence("g1"), .presence(presence(2, 1)))))
        #expect(deaths(bench, "g1").last == 1)
        // Its second death: another gateway gets it, with both.
        bench.obedientGateways = ["g2": 1]
        var lost = presence(2, 1)
        lost.state = .lost
        bench.feed(.received(Message(.gatewayPresence("g1"), .presence(lost))))
        bench.feed(.received(Message(.gatewayPresence("g2"), .presence(presence(1, 1)))))
        bench.pass(60_000)
        #expect(deaths(bench, "g2").last == 2)
    }

    @Test("deaths of an older document do not count")
    func changed() {
        var bench = RegistryBench.active()
        bench.obedientGateways["g1"] = 2
        bench.feed(.received(Message(.gatewayPresence("g1"), .presence(presence(2, 7, version: 99)))))
        #expect(deaths(bench, "g1").last == .some(nil))
    }

    @Test("what is quarantined is out at once, and an operator is told")
    func told() {
        var bench = RegistryBench.active()
        let health = Health(
            status: .quarantined, checked: at(1).wall, circuit: .open, gateway: "g1", boot: 1,
            error: Problem(.quarantined, SuspectProvider.text(deaths: 2)))
        bench.feed(.received(Message(.providerHealth("alpha"), .health(health))))
        #expect(bench.registry.providers["alpha"]?.isOut == true)
        let events = bench.sent.compactMap { if case .event(let event) = $0.payload { event } else { nil } }
        #expect(events.contains { $0.kind == "provider.quarantined" && $0.text.contains("died twice") })
    }

    @Test("an operator releases it: a new version of the same document, which gateways are told, and an event")
    func released() {
        var bench = RegistryBench.active()
        #expect(bench.command("provider.release", ["provider": "nobody"])?.status == 404)
        #expect(bench.command("provider.release", ["provider": 7])?.status == 400)
        let refusal = bench.command("provider.release", ["provider": "alpha"])
        #expect(refusal?.status == 409 && refusal?.error?.detail?.contains("is not quarantined") == true)
        let before = bench.registry.providers["alpha"]
        let health = Health(
            status: .quarantined, checked: at(1).wall, circuit: .open, gateway: "g1", boot: 1,
            error: Problem(.quarantined, SuspectProvider.text(deaths: 2)))
        bench.feed(.received(Message(.providerHealth("alpha"), .health(health))))
        bench.sent = []
        #expect(bench.command("provider.release", ["provider": "alpha"])?.status == 200)
        let after = bench.registry.providers["alpha"]
        #expect(after?.spec == before?.spec && after?.version == (before?.version ?? 0) + 1)
        let attached = bench.sent.compactMap {
            if case .gatewayControl(let control) = $0.payload, control.command == .attach {
                control.version
            } else {
                nil
            }
        }
        #expect(attached.contains { $0 == after?.version })
        let events = bench.sent.compactMap { if case .event(let event) = $0.payload { event } else { nil } }
        #expect(events.contains { $0.kind == "provider.released" && $0.text.contains("released by") })
    }

    @Test("a catalogue that differs only in words for people makes no new plan")
    func words() {
        var bench = RegistryBench.active()
        var catalog =
            bench.registry.providers["alpha"]?.catalog
            ?? Catalog(
                gateway: "g1", fetched: at(0).wall, etag: nil, stale: false, services: [])
        bench.pass(5_000)
        let before = bench.registry.timers[.plan]
        catalog.services = catalog.services.map {
            var service = $0
            service.description = "changed"
            return service
        }
        bench.feed(.received(Message(.providerCatalog("alpha"), .catalog(catalog))))
        #expect(bench.registry.timers[.plan] == before)
        catalog.services = catalog.services.map {
            var service = $0
            service.available.toggle()
            return service
        }
        bench.feed(.received(Message(.providerCatalog("alpha"), .catalog(catalog))))
        #expect(bench.registry.timers[.plan] != before)
    }
}
