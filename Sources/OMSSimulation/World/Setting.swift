import OMSCore
import OMSModel
import OMSProtocol

/// Everything about a history that is decided before it begins: who takes part, what is declared, what goes wrong.
struct Setting {
    let seed: UInt64
    var nodes: [(role: Role, id: NodeID)] = []
    var tenants: [TenantID] = []
    var providers: [(id: ProviderID, traits: ProviderTraits)] = []
    var scenarios: [ScenarioID: JSONValue] = [:]
    var heartbeatSeconds = 5
    var timing = GatewayTiming()
    var retention = Retention(keepMilliseconds: nil)
    var background = World.Storm()
    /// Milliseconds after which a doubled message may still come a second time.
    var latestDouble: Int64 = 5_000
    var brokerQueue = 1_000
    /// What providers say of some of their jobs, in bytes; and the parameters of a service.
    var bulk = 0
    var parameterBytes = 0
    var faults: [Fault] = []
    /// From here on nothing new goes wrong.
    var faultsEnd: SimTime
    var end: SimTime

    /// So long after the last fault everything that was due before it has ended.
    static let quietSeconds: SimTime = 300

    init(
        seed: UInt64, minutes: Double, standby: Bool = false, restores: Bool = false, retention: Bool = false,
        cron: Bool = false, database: Bool = false, sizes: Bool = false, focus: Mutant? = nil
    ) {
        self.seed = seed
        var random = SimRandom(seed: seed, stream: 1)
        let most = Int64(minutes * 60)
        let faulty = most <= 60 ? most : random.int(60...most)
        faultsEnd = faulty * SimClock.second
        end = faultsEnd + Self.quietSeconds * SimClock.second
        nodes = [(.registry, "r1"), (.fleet, "f1"), (.fleet, "f2"), (.gateway, "g1"), (.gateway, "g2")]
        if random.chance(0.3), standby { nodes.append((.registry, "r2")) }
        tenants = Array((["t1", "t2", "t3"] as [TenantID]).prefix(random.int(1...3)))
        for id in (["p1", "p2", "p3"] as [ProviderID]).prefix(random.int(2...3)) {
            providers.append((id, ProviderTraits(id, random: &random)))
        }
        heartbeatSeconds = random.pick([1, 2, 5])
        timing.lostAfterMilliseconds = 150_000
        background.loss = random.pick([0, 0, 0.002, 0.02])
        background.doubling = random.pick([0, 0, 0.01, 0.05])
        background.longestDelay = random.pick([5, 50, 2_000]) * SimClock.millisecond
        brokerQueue = random.pick([1_000, 1_000, 40])
        scenarios = ["main": Self.mainScenario(&random), "plain": Self.plainScenario(&random)]
        if cron { useCron(seed) }
        faults = Nemesis.plan(self, seed: seed)
        faults += Nemesis.immortals(self, seed: seed, always: focus == .giveUpUntold)
        if restores { faults += Nemesis.restores(self, seed: seed) }
        if database { faults += Nemesis.database(self, seed: seed) }
        if sizes {
            var random = SimRandom(seed: seed, stream: 10)
            bulk = Int(random.pick([2_000, 12_000, 60_000]))
            parameterBytes = Int(random.pick([0, 0, 2_500]))
            faults += Nemesis.sizes(self, &random)
        }
        // A backup that is older than the retention is not promised anything (docs/operate/operations.md).
        if retention, !restores, !database { self.retention = Self.retention(seed) }
        if let focus { faults += Nemesis.focused(self, on: focus, seed: seed) }
    }

    /// A history of minutes: in half of the seeds it is kept for a part of that, much shorter than gateways remember.
    private static func retention(_ seed: UInt64) -> Retention {
        var random = SimRandom(seed: seed, stream: 4)
        guard random.chance(0.5) else { return Retention(keepMilliseconds: nil) }
        var retention = Retention(keepMilliseconds: random.pick([20, 90, 240] as [Int64]) * 1000)
        retention.firstMilliseconds = 5_000
        retention.everyMilliseconds = random.pick([5_000, 20_000])
        retention.retryMilliseconds = 10_000
        retention.rows = Int(random.pick([1, 5, 1_000]))
        return retention
    }

    private static func mainScenario(_ random: inout SimRandom) -> JSONValue {
        let onReplace: JSONValue = .string(random.pick(["stop", "stop", "adopt", "wait"]))
        func everyOne(_ random: inout SimRandom) -> JSONValue {
            [
                "type": "recommend", "timeout_s": .int(random.pick([10, 20, 40])),
                "max_attempts": .int(random.int(1...3)), "deadline_s": .int(random.pick([20, 45, 90])),
                "frequency": ["every_s": .int(random.pick([15, 30, 60]))], "providers": ["use": "all"],
                "merge": ["strategy": "reciprocal-rank-fusion"], "parameters": ["variant": 0],
                "on_replace": onReplace,
            ]
        }
        func one(_ random: inout SimRandom) -> JSONValue {
            [
                "type": "harvest", "timeout_s": 20, "max_attempts": .int(random.int(1...2)),
                "deadline_s": .int(random.pick([30, 60])), "frequency": ["every_s": .int(random.pick([20, 40]))],
            ]
        }
        let dependent: JSONValue = ["type": "recommend", "timeout_s": 20, "deadline_s": 60, "after": ["load"]]
        return ["services": ["rank": everyOne(&random), "load": one(&random), "report": dependent]]
    }

    /// By the wall clock of their place instead of by a rhythm; from a stream of its own, so that the rest stays as it is.
    private mutating func useCron(_ seed: UInt64) {
        var random = SimRandom(seed: seed, stream: 6)
        for id in scenarios.keys.sorted() {
            guard case .object(var top)? = scenarios[id], case .object(var services)? = top["services"] else {
                continue
            }
            for name in services.keys.sorted() {
                guard case .object(var service)? = services[name], service["frequency"] != nil else { continue }
                service["frequency"] = [
                    "cron": .string(random.pick(["* * * * *", "*/2 * * * *", "H/3 * * * *"])),
                    "time_zone": .string(random.pick(["UTC", "Europe/Berlin", "Asia/Kathmandu"])),
                ]
                services[name] = .object(service)
            }
            top["services"] = .object(services)
            scenarios[id] = .object(top)
        }
    }

    private static func plainScenario(_ random: inout SimRandom) -> JSONValue {
        [
            "services": [
                "load": ["type": "harvest", "timeout_s": 20, "deadline_s": 60, "frequency": ["every_s": 30]]
            ]
        ]
    }

    // MARK: - Documents

    var documents: [Document] {
        let values =
            providers.map { providerDocument($0.id, variant: 0) }
            + scenarios.keys.sorted().map { scenarioDocument($0, variant: 0) }
            + tenants.map { tenantDocument($0, suspended: false) }
        return values.map { value in
            let (document, errors) = DocumentReader.read(value)
            guard let document else { preconditionFailure("the simulation declares nonsense: \(errors)") }
            return document
        }
    }

    func providerDocument(_ id: ProviderID, variant: Int) -> JSONValue {
        [
            "kind": "Provider", "name": .string(id.text),
            "spec": [
                "base_url": .string("http://\(id)"), "poll_s": .int(Int64(1 + variant % 3)),
                "max_running": .int(Int64(4 + variant % 5)),
            ],
        ]
    }

    func scenarioDocument(_ id: ScenarioID, variant: Int) -> JSONValue {
        var spec = scenarios[id] ?? ["services": [:]]
        if case .object(var top) = spec, case .object(var services)? = top["services"],
            case .object(var load)? = services["load"]
        {
            load["parameters"] = ["variant": .int(Int64(variant))]
            if parameterBytes > 0 {
                load["parameters"] = [
                    "variant": .int(Int64(variant)), "text": .string(String(repeating: "p", count: parameterBytes)),
                ]
            }
            services["load"] = .object(load)
            top["services"] = .object(services)
            spec = .object(top)
        }
        return ["kind": "Scenario", "name": .string(id.text), "spec": spec]
    }

    func tenantDocument(_ id: TenantID, suspended: Bool) -> JSONValue {
        [
            "kind": "Tenant", "name": .string(id.text),
            "spec": ["scenarios": ["main", "plain"], "suspended": .bool(suspended)],
        ]
    }
}
