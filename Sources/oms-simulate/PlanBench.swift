import OMSCore
import OMSModel
import OMSProtocol

/// How long planning takes for many tenants: the real registry core, without a broker and with a database that says yes.
enum PlanBench {
    static func run(tenants: Int, providers: Int) -> String {
        var bench = Bench()
        bench.load(tenants: tenants, providers: providers)
        let first = bench.timed { $0.pass(2_000) }
        let planned = bench.plans
        bench.health(of: 7, .unreachable)
        bench.pass(29_000)
        let before = bench.plans
        let lost = bench.timed { $0.pass(2_000) }
        let touched = bench.plans - before
        // Nothing changed: what a plan costs that changes nothing.
        bench.poke()
        let idle = bench.timed { $0.pass(1_000) }
        return """
            \(tenants) tenants, \(providers) providers, \(Bench.servicesEach) services each, one core
            first plan of all:          \(first) ms, \(planned) configurations
            one provider lost:          \(lost) ms, \(touched) configurations changed (those that used it)
            a plan that changes nothing: \(idle) ms
            """
    }

    private struct Bench {
        static let servicesEach = 3
        var registry = Registry(
            id: "r1", boot: 1, release: "bench", heartbeatSeconds: 60,
            at: Moment(monotonic: 0, wall: Timestamp(milliseconds: 1_700_000_000_000)))
        var now: Int64 = 0
        var plans = 0

        var moment: Moment {
            Moment(monotonic: now, wall: Timestamp(milliseconds: 1_700_000_000_000 + now))
        }

        mutating func feed(_ event: Registry.Event) {
            var events = [event][...]
            while let event = events.popFirst() {
                for effect in registry.receive(event, at: moment) {
                    guard case .store(let ticket, let request) = effect else { continue }
                    switch request {
                    case .load: events.append(.stored(ticket: ticket, .loaded(snapshot)))
                    case .savePlan:
                        plans += 1
                        events.append(.stored(ticket: ticket, .saved))
                    case .observe: events.append(.stored(ticket: ticket, .observed))
                    default: break  // no fleet is online: nothing else is asked
                    }
                }
            }
        }

        var snapshot = Snapshot()

        mutating func load(tenants: Int, providers: Int) {
            for number in 0..<providers {
                if let id = ProviderID("sp-\(number)") {
                    snapshot.providers[id] = (ProviderSpec(baseURL: "http://sp-\(number)"), 1)
                }
            }
            // Each scenario uses two providers of its own: a loss concerns a fiftieth of the tenants, or so.
            let scenarios = providers / 2
            for number in 0..<scenarios {
                guard let id = ScenarioID("s-\(number)") else { continue }
                let only = [2 * number, 2 * number + 1].compactMap { ProviderID("sp-\($0)") }
                var services: [ServiceID: ServiceSpec] = [:]
                for service in 0..<Self.servicesEach {
                    guard let name = ServiceID("service-\(service)") else { continue }
                    services[name] = ServiceSpec(
                        type: "work", frequency: Frequency(everySeconds: 3600), parameters: ["for": "{tenant}"],
                        providers: ProviderPolicy(use: .one, only: service == 0 ? nil : only))
                }
                snapshot.scenarios[id] = ScenarioSpec(services: services)
            }
            for number in 0..<tenants {
                if let id = TenantID("t-\(number)"), let scenario = ScenarioID("s-\(number % scenarios)") {
                    snapshot.tenants[id] = TenantSpec(scenarios: [scenario])
                }
            }
            feed(.wake)
            feed(.connected)
            for number in 0..<providers {
                if let id = ProviderID("sp-\(number)") {
                    feed(
                        .received(
                            Message(
                                .providerCatalog(id),
                                .catalog(
                                    Catalog(
                                        gateway: "g1", fetched: moment.wall, stale: false,
                                        services: [
                                            ServiceDescription(id: "w", type: "work", version: "1", available: true)
                                        ])))))
                    health(of: number, .pass)
                }
            }
        }

        mutating func health(of number: Int, _ status: Health.Status) {
            guard let id = ProviderID("sp-\(number)") else { return }
            feed(
                .received(
                    Message(
                        .providerHealth(id),
                        .health(Health(status: status, checked: moment.wall, circuit: .closed, gateway: "g1", boot: 1)))
                ))
        }

        /// Something that asks for a plan and changes none.
        mutating func poke() {
            let presence = Presence(state: .lost, boot: now, since: moment.wall, release: "b", protocols: [1])
            feed(.received(Message(.fleetPresence("f9"), .presence(presence))))
        }

        mutating func pass(_ milliseconds: Int64) {
            let end = now + milliseconds
            while now < end {
                now = min(end, registry.nextWake(at: moment))
                feed(.wake)
            }
        }

        mutating func timed(_ body: (inout Bench) -> Void) -> Int {
            let start = ContinuousClock.now
            body(&self)
            return Int((ContinuousClock.now - start) / .milliseconds(1))
        }
    }
}
