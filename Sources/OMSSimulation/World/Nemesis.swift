import OMSModel
import OMSProtocol

/// Draws what goes wrong, and when.
enum Nemesis {
    static func plan(_ setting: Setting, seed: UInt64) -> [Fault] {
        var random = SimRandom(seed: seed, stream: 2)
        let seconds = setting.faultsEnd / SimClock.second
        let count = random.int(1...max(2, Int(seconds / 12)))
        var faults: [Fault] = []
        for _ in 0..<count {
            let at = random.int(5_000...max(5_001, seconds * 1_000 - 5_000)) * SimClock.millisecond
            faults.append(Fault(at: at, kind: draw(setting, &random)))
        }
        return faults.sorted { $0.at < $1.at }
    }

    /// One or two backups, each put back later.
    static func restores(_ setting: Setting, seed: UInt64) -> [Fault] {
        var random = SimRandom(seed: seed, stream: 4)
        let seconds = setting.faultsEnd / SimClock.second
        return (0..<random.int(1...2)).flatMap { _ -> [Fault] in
            let taken = random.int(1_000...max(1_001, seconds * 1_000 - 20_000)) * SimClock.millisecond
            let later =
                random.int(2_000...max(2_001, seconds * 1_000 - taken / SimClock.millisecond)) * SimClock.millisecond
            let down = random.int(200...30_000) * SimClock.millisecond
            return [Fault(at: taken, kind: .backup), Fault(at: taken + later, kind: .restore(down: down))]
        }
    }

    /// In some seeds: a provider that never ends what is stopped, while jobs hang and a tenant is replaced.
    static func immortals(_ setting: Setting, seed: UInt64, always: Bool) -> [Fault] {
        var random = SimRandom(seed: seed, stream: 7)
        guard random.chance(0.3) || always else { return [] }
        let seconds = setting.faultsEnd / SimClock.second
        let at = random.int(5_000...max(5_001, seconds * 1_000 - 40_000)) * SimClock.millisecond
        let time = random.int(15...90) * SimClock.second
        let provider = random.pick(setting.providers).id
        var faults = [
            Fault(at: at, kind: .neverStops(provider, time)),
            Fault(at: at, kind: .weather(provider, "hanging", ProviderWeather(hangs: 0.7), time)),
        ]
        if random.chance(0.5) || always {
            let deadline = random.pick([0, 30, 120])
            faults.append(
                Fault(
                    at: at + random.int(1...20) * SimClock.second,
                    kind: .replace(random.pick(setting.tenants), deadlineSeconds: deadline)))
        }
        return faults
    }

    /// A database that falls back under registries that run, that refuses everything, or single facts.
    static func database(_ setting: Setting, seed: UInt64) -> [Fault] {
        var random = SimRandom(seed: seed, stream: 8)
        let milliseconds = setting.faultsEnd / SimClock.millisecond
        func moment() -> SimTime { random.int(1_000...max(1_001, milliseconds - 5_000)) * SimClock.millisecond }
        var faults: [Fault] = []
        for _ in 0..<random.int(1...2) {
            let taken = moment()
            let later = random.int(500...30_000) * SimClock.millisecond
            faults.append(Fault(at: taken, kind: .backup))
            // Not after everything was declared for the last time: what is lost then, nobody would declare again.
            let at = min(taken + later, setting.faultsEnd - SimClock.second)
            faults.append(Fault(at: at, kind: .fallBack(breaksSessions: random.chance(0.5))))
        }
        for _ in 0..<random.int(1...2) {
            faults.append(Fault(at: moment(), kind: .databaseRefuses(duration(&random))))
        }
        faults.append(Fault(at: moment(), kind: .factsRefused))
        return faults
    }

    /// A broker whose `max_packet_size` was made smaller, for a while or for good.
    static func sizes(_ setting: Setting, _ random: inout SimRandom) -> [Fault] {
        let milliseconds = setting.faultsEnd / SimClock.millisecond
        return (0..<random.int(1...2)).map { _ in
            let at = random.int(500...max(501, milliseconds - 20_000)) * SimClock.millisecond
            // Below that a tenant's configuration finds no way.
            let bytes = Int(random.pick([8_000, 12_000, 40_000])) + 3 * setting.parameterBytes
            let time = random.chance(0.5) ? nil : duration(&random)
            return Fault(at: at, kind: .smallMessages(bytes: bytes, time))
        }
    }

    /// What a rule is there for, and what chance brings together too rarely.
    static func focused(_ setting: Setting, on mutant: Mutant, seed: UInt64) -> [Fault] {
        var random = SimRandom(seed: seed, stream: 3)
        if mutant == .providerForgetsStops {
            let late = ProviderWeather(lateSubmits: 0.9)
            return setting.providers.map { provider in
                Fault(
                    at: random.int(5...30) * SimClock.second,
                    kind: .weather(provider.id, "late with submits", late, 120 * SimClock.second))
            }
        }
        if mutant == .controlOfOtherBoot {
            // Orders that are under way while their process ends and the next one begins.
            let fleets = setting.nodes.indices.filter { setting.nodes[$0].role == .fleet }
            return (0..<3).flatMap { _ -> [Fault] in
                let at = random.int(5...max(6, setting.faultsEnd / SimClock.second - 20)) * SimClock.second
                let fleet = random.pick(fleets)
                let kills = (1...3).map { number in
                    Fault(
                        at: at + number * random.int(1_500...4_000) * SimClock.millisecond,
                        kind: .kill(node: fleet, silently: false, down: random.int(100...900) * SimClock.millisecond))
                }
                return kills + [
                    Fault(
                        at: at,
                        kind: .storm(
                            loss: 0.05, doubling: 0.3, delay: 3_000 * SimClock.millisecond, 15 * SimClock.second))
                ]
            }
        }
        if mutant == .termIgnored {
            // Sessions that break give the lock from one registry to the other.
            return (0..<5).map { _ in
                Fault(
                    at: random.int(5...max(6, setting.faultsEnd / SimClock.second - 20)) * SimClock.second,
                    kind: .databaseFlaky(random.int(5...20) * SimClock.second))
            }
        }
        guard mutant == .staleDecisions else { return [] }
        return (0..<4).map { _ in
            let gateway = random.pick(setting.nodes.indices.filter { setting.nodes[$0].role == .gateway })
            return Fault(
                at: random.int(5_000...max(5_001, setting.faultsEnd / SimClock.millisecond - 5_000))
                    * SimClock.millisecond,
                kind: .cut(
                    node: gateway, effects: random.int(0...3), kills: false,
                    down: random.int(70...120) * SimClock.second))
        }
    }

    private static func draw(_ setting: Setting, _ random: inout SimRandom) -> Fault.Kind {
        let node = random.int(0...setting.nodes.count - 1)
        let time = duration(&random)
        let provider = random.pick(setting.providers).id
        let tenant = random.pick(setting.tenants)
        let gateways = setting.nodes.indices.filter { setting.nodes[$0].role == .gateway }
        let gateway = random.pick(gateways)
        let weather = random.pick(ProviderWeather.kinds)
        switch random.int(0...109) {
        case 0..<14: return .kill(node: node, silently: random.chance(0.2), down: time)
        case 14..<26:
            return .cut(node: node, effects: random.int(0...12), kills: random.chance(0.6), down: time)
        case 26..<36: return .pause(node: node, time)
        case 36..<40: return .goodbye(node: node, down: time)
        case 40..<50: return .partition(node: node, time)
        case 50..<55: return .broker(down: min(time, 20 * SimClock.second))
        case 55..<59: return .databaseDown(time)
        case 59..<62: return .databaseStalls(time)
        case 62..<66: return .databaseFlaky(time)
        case 66..<80: return .weather(provider, weather.name, weather.weather, time)
        case 80..<84: return .providerRestart(provider, forgetting: random.chance(0.5))
        case 84..<86: return .ledgerFull(node: gateway, time)
        case 86..<88: return .ledgerSlow(node: gateway, time)
        case 88..<91: return .wallStep(node: node, milliseconds: step(&random))
        case 91..<95:
            return .storm(
                loss: random.pick([0.05, 0.3, 0.6]), doubling: random.pick([0.05, 0.3]),
                delay: random.pick([100, 3_000]) * SimClock.millisecond, time)
        case 95..<97: return random.chance(0.4) ? .offboard(tenant, time) : .suspend(tenant, time)
        case 97..<98: return .reparameterise("main")
        case 98..<99: return .respecify(provider)
        case 99..<105: return .replace(tenant, deadlineSeconds: random.pick([0, 5, 30, 120]))
        case 105..<107: return .abort(tenant)
        default: return .drainFleet(random.pick(["f1", "f2"]), time)
        }
    }

    /// Some pass before anybody notices, some outlast every patience.
    private static func duration(_ random: inout SimRandom) -> SimTime {
        let milliseconds: Int64
        switch random.int(0...8) {
        case 0, 4: milliseconds = random.int(100...1_500)
        case 1, 5: milliseconds = random.int(1_000...8_000)
        case 2, 6: milliseconds = random.int(5_000...30_000)
        case 3, 7: milliseconds = random.int(20_000...90_000)
        default: milliseconds = random.int(60_000...150_000)
        }
        return milliseconds * SimClock.millisecond
    }

    private static func step(_ random: inout SimRandom) -> Int64 {
        let size = random.pick([200, 3_000, 30_000, 600_000] as [Int64])
        return random.chance(0.5) ? size : -size
    }
}
