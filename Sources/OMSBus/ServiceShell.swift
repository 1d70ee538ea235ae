package import Logging
import Mosquitto
package import OMSProtocol
package import OMSRuntime

/// What the shells of all services do: one core, one bus, one timer, on one loop.
package protocol ServiceShell: Actor {
    associatedtype Core: ServiceCore

    nonisolated var loop: EventLoop { get }
    var core: Core { get set }
    var line: ServiceLine { get set }

    /// Carries out what the core decided. What does not leave is noted in `line.refused` (see `send`).
    func carryOut(_ effects: [Core.Effect])
    /// A message has come. Without an own one, the core gets it.
    func heard(_ message: Message)
    func connected()
    func subscribed(_ filter: String)
    func subscriptionRefused(_ filter: String, why: String)
}

/// A shell's way to the bus, and its core's alarm clock.
package struct ServiceLine {
    package var bus: Bus?
    package var timer = WakeTimer()
    /// Messages that did not leave and of which the core has not been told.
    package var refused: [NotSent] = []
    var isTelling = false

    package init() {}
}

extension ServiceShell {
    package func heard(_ message: Message) { happened(.received(message)) }
    package func connected() { happened(.connected) }
    package func subscribed(_ filter: String) {}
    package func subscriptionRefused(_ filter: String, why: String) {}

    package func open(_ options: BusOptions, logger: Logger) throws {
        let configuration = try options.configuration(
            clientID: "\(Core.role.rawValue)-\(core.id)-\(core.boot)", role: Core.role)
        let bus = Bus(loop: loop, source: "\(Core.source)/\(core.id)", boot: core.boot, logger: logger) {
            [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        line.bus = bus
        let will = Message(core.presenceTopic, .presence(core.presence(.lost)))
        let subscriptions = core.subscriptions
        bus.assumeIsolated { $0.start(configuration, will: will, subscribe: subscriptions) }
    }

    /// Says goodbye, so that others need not wait to act on it.
    package func close() async {
        line.timer.cancel(on: loop)
        await line.bus?.close(farewell: Message(core.presenceTopic, .presence(core.presence(.offline))))
        line.bus = nil
    }

    private func received(_ event: BusEvent) {
        switch event {
        case .connected: connected()
        case .disconnected: happened(.disconnected)
        case .message(let message): heard(message)
        case .subscribed(let filter): subscribed(filter)
        case .subscriptionRefused(let filter, let why): subscriptionRefused(filter, why: why)
        }
    }

    package func happened(_ what: BusHappening) {
        guard let event = Core.event(what) else { return }
        feed(event)
    }

    package func feed(_ event: Core.Event) { perform(core.receive(event, at: ServiceHost.now)) }

    package func send(_ message: Message) {
        if let refusal = line.bus?.assumeIsolated({ $0.publish(message) }) { line.refused.append(refusal) }
    }

    package func perform(_ effects: [Core.Effect]) {
        carryOut(effects)
        tellRefusals()
        line.timer.set(core.nextWake(at: ServiceHost.now), on: loop) { [weak self] in
            self?.assumeIsolated { shell in
                shell.line.timer.fired()
                shell.happened(.wake)
            }
        }
    }

    /// What did not leave goes back to the core, which makes it smaller or gives it up: its every answer is smaller. What
    /// is left after some rounds waits for its repetition.
    private func tellRefusals() {
        guard !line.isTelling else { return }
        line.isTelling = true
        defer { line.isTelling = false }
        for _ in 0..<maxRounds where !line.refused.isEmpty {
            let refused = line.refused
            line.refused = []
            carryOut(
                refused.flatMap { refusal in
                    Core.event(.notSent(refusal)).map { core.receive($0, at: ServiceHost.now) } ?? []
                })
        }
        line.refused = []
    }

    private var maxRounds: Int { 16 }
}
