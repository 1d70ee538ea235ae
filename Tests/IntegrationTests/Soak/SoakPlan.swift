import OMSCore

/// Everything that happens to the system in one soak, from one seed: the same seed gives the same list.
struct SoakPlan: Sendable {
    enum Action: Sendable {
        case signal(Target, Signal)
        case resume(Target)
        case link(String, LinkFault)
        /// The next answers of a provider go wrong.
        case provider(Int)
        case replace(String)
        case suspend(String, Bool)
        case drain(fleet: String, Bool)
    }

    enum Signal: String, Sendable { case kill, pause, restart }

    enum Target: String, Sendable, CaseIterable {
        case fleet1 = "wm-fleet", fleet2 = "wm-fleet-2"
        case gateway1 = "sp-gateway", gateway2 = "sp-gateway-2"
        case registry1 = "oms-registry", registry2 = "oms-registry-2"
        case broker = "mosquitto", postgres
    }

    struct Step: Sendable, CustomStringConvertible {
        /// Milliseconds from the start.
        var at: Int64
        var action: Action
        /// Of a fault: what it counts as. Nil for its end, and for the operator's work.
        var kind: String?

        var description: String {
            let seconds = Double(at) / 1000
            return switch action {
            case .signal(let target, let signal): "\(seconds) s: \(signal.rawValue) \(target.rawValue)"
            case .resume(let target): "\(seconds) s: resume \(target.rawValue)"
            case .link(let name, let fault): "\(seconds) s: link of \(name): \(fault)"
            case .provider(let index): "\(seconds) s: provider sp-\(index + 1) answers badly"
            case .replace(let tenant): "\(seconds) s: replace \(tenant)"
            case .suspend(let tenant, let isOn): "\(seconds) s: \(isOn ? "suspend" : "resume") \(tenant)"
            case .drain(let fleet, let isOn): "\(seconds) s: \(isOn ? "drain" : "undrain") \(fleet)"
            }
        }
    }

    let seed: UInt64
    private(set) var steps: [Step] = []
    private var random: SplitMix64
    /// A target is left alone for a moment between two faults, so that none is away for longer than a gateway's hold.
    private var freeFrom: [String: Int64] = [:]

    init(seed: UInt64, seconds: Int, tenants: [String], providers: Int) {
        self.seed = seed
        random = SplitMix64(seed: seed)
        let end = Int64(seconds) * 1000
        var bag: [Fault] = []
        var now: Int64 = 0
        while now < end {
            if bag.isEmpty { bag = Fault.allCases.shuffled(using: &random) }
            add(bag.removeLast(), at: now, providers)
            now += Int64.random(in: 2_800...4_600, using: &random)
        }
        now = 2_000
        while now < end {
            operate(at: now, tenants)
            now += Int64.random(in: 2_500...7_500, using: &random)
        }
        steps.sort { $0.at < $1.at }
    }

    var faults: [String: Int] { steps.compactMap(\.kind).reduce(into: [:]) { $0[$1, default: 0] += 1 } }

    static let services: [Target] = [.fleet1, .fleet2, .gateway1, .gateway2, .registry1, .registry2]
    static func databaseLink(_ registry: Target) -> String { "\(registry.rawValue)/postgres" }

    private enum Fault: CaseIterable {
        case killFleet, killGateway, killRegistry, killBroker, killPostgres
        case pauseFleet, pauseGateway, pauseRegistry, pauseBroker, pausePostgres
        case restartFleet, restartGateway, restartRegistry, restartBroker, restartPostgres
        case cut, stall, stallOneWay, delay, tear, clog
        case cutDatabase, stallDatabase, tearDatabase, cutCommit
        case badProvider
    }

    private mutating func add(_ fault: Fault, at now: Int64, _ providers: Int) {
        switch fault {
        case .killFleet: signal(.kill, [.fleet1, .fleet2], now)
        case .killGateway: signal(.kill, [.gateway1, .gateway2], now)
        case .killRegistry: signal(.kill, [.registry1, .registry2], now)
        case .killBroker: signal(.kill, [.broker], now)
        case .killPostgres: signal(.kill, [.postgres], now)
        case .pauseFleet: signal(.pause, [.fleet1, .fleet2], now)
        case .pauseGateway: signal(.pause, [.gateway1, .gateway2], now)
        case .pauseRegistry: signal(.pause, [.registry1, .registry2], now)
        case .pauseBroker: signal(.pause, [.broker], now)
        case .pausePostgres: signal(.pause, [.postgres], now)
        case .restartFleet: signal(.restart, [.fleet1, .fleet2], now)
        case .restartGateway: signal(.restart, [.gateway1, .gateway2], now)
        case .restartRegistry: signal(.restart, [.registry1, .registry2], now)
        case .restartBroker: signal(.restart, [.broker], now)
        case .restartPostgres: signal(.restart, [.postgres], now)
        case .cut: link(.cut, "cut", 500...6_000, now)
        case .stall: link(.stall(toServer: true, toClient: true), "half-open", 2_000...16_000, now)
        case .stallOneWay:
            let toServer = Bool.random(using: &random)
            link(.stall(toServer: toServer, toClient: !toServer), "one-way", 2_000...16_000, now)
        case .delay: link(.delay(milliseconds: .random(in: 50...400, using: &random)), "delay", 3_000...8_000, now)
        case .tear: link(.tear(toServer: .random(using: &random)), "torn frame", 4_000...4_000, now)
        case .clog: clog(now)
        case .cutDatabase: database(.cut, "database cut", 500...5_000, now)
        case .stallDatabase:
            database(.stall(toServer: true, toClient: true), "database half-open", 2_000...10_000, now)
        case .tearDatabase: database(.tear(toServer: true), "database torn", 4_000...4_000, now)
        case .cutCommit: database(.cutAtCommit, "cut at COMMIT", 4_000...4_000, now)
        case .badProvider:
            steps.append(
                Step(at: now, action: .provider(.random(in: 0..<providers, using: &random)), kind: "bad provider"))
        }
    }

    private mutating func signal(_ signal: Signal, _ choice: [Target], _ now: Int64) {
        let target = choice.randomElement(using: &random) ?? .broker
        let at = max(now, freeFrom[target.rawValue] ?? 0)
        let service = target.rawValue.replacing("-2", with: "")
        steps.append(Step(at: at, action: .signal(target, signal), kind: "\(signal.rawValue) \(service)"))
        var over = at
        if signal == .pause {
            let isServer = target == .broker || target == .postgres
            over += .random(in: isServer ? 1_000...6_000 : 1_000...9_000, using: &random)
            steps.append(Step(at: over, action: .resume(target)))
        }
        freeFrom[target.rawValue] = over + 3_000
    }

    private mutating func link(_ fault: LinkFault, _ kind: String, _ length: ClosedRange<Int64>, _ now: Int64) {
        let target = Self.services.randomElement(using: &random) ?? .fleet1
        breakLink(target.rawValue, fault, kind, length, now)
    }

    private mutating func database(_ fault: LinkFault, _ kind: String, _ length: ClosedRange<Int64>, _ now: Int64) {
        // Only the active one has much to lose, and the plan does not know which that is.
        breakLink(Self.databaseLink(.registry1), fault, kind, length, now)
        breakLink(Self.databaseLink(.registry2), fault, nil, length, now)
    }

    private mutating func breakLink(
        _ name: String, _ fault: LinkFault, _ kind: String?, _ length: ClosedRange<Int64>, _ now: Int64
    ) {
        let at = max(now, freeFrom[name] ?? 0)
        let over = at + .random(in: length, using: &random)
        steps.append(Step(at: at, action: .link(name, fault), kind: kind))
        steps.append(Step(at: over, action: .link(name, .none)))
        freeFrom[name] = over + 3_000
    }

    /// Links go one after the other and come back in another order.
    private mutating func clog(_ now: Int64) {
        let lost = Self.services.shuffled(using: &random).prefix(4)
        var at = now
        for target in lost {
            breakLink(
                target.rawValue, .stall(toServer: true, toClient: true), target == lost.first ? "swizzle-clog" : nil,
                1_000...7_000, at)
            at += 400
        }
    }

    private mutating func operate(at now: Int64, _ tenants: [String]) {
        guard let tenant = tenants.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<7: steps.append(Step(at: now, action: .replace(tenant)))
        case 7..<9:
            steps.append(Step(at: now, action: .suspend(tenant, true)))
            let over = now + .random(in: 3_000...9_000, using: &random)
            steps.append(Step(at: over, action: .suspend(tenant, false)))
        default:
            let fleet = Bool.random(using: &random) ? "fleet-1" : "fleet-2"
            steps.append(Step(at: now, action: .drain(fleet: fleet, true)))
            let over = now + .random(in: 4_000...10_000, using: &random)
            steps.append(Step(at: over, action: .drain(fleet: fleet, false)))
        }
    }
}
