import Logging
import OMSBus
import OMSCore
import OMSModel
import OMSProtocol
package import OMSRuntime
import OMSStore
import Postgres

/// Carries out what the `Registry` core decides: bus on this loop, PostgreSQL on the store's own thread.
package actor RegistryShell {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    private var core: Registry
    private let logger: Logger
    private var bus: Bus?
    private var store: Store?
    private var questions: [Asker: Questions] = [:]
    private var timer = WakeTimer()
    private let poison: PoisonFile?
    /// What was not handled, and when that was last told (monotonic).
    private var notHandled: [String: (count: Int, toldAt: Int64)] = [:]

    /// For tests.
    private let crashOn: String?

    init(loop: EventLoop, core: Registry, poison: sending PoisonFile? = nil, crashOn: String? = nil, logger: Logger) {
        self.poison = poison
        self.crashOn = crashOn
        self.loop = loop
        self.core = core
        self.logger = logger
    }

    func start(_ options: BusOptions, database: PostgresConfiguration) throws {
        let configuration = try options.configuration(
            clientID: "registry-\(core.id)-\(core.boot)", role: .registry)
        let loop = loop
        let answered: @Sendable (Int, StoreReply) -> Void = { [weak self] ticket, reply in
            loop.post { [weak self] in self?.assumeIsolated { $0.stored(ticket, reply) } }
        }
        store = Store(registry: core.id.text, configuration: database, logger: logger, reply: answered)
        for asker in Asker.allCases {
            questions[asker] = Questions(asker, configuration: database, logger: logger, reply: answered)
        }
        poison?.watchThisThread()
        let bus = Bus(loop: loop, source: "oms/\(core.id)", boot: core.boot, logger: logger) { [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        self.bus = bus
        let kinds: [TopicKind] = [
            .fleetPresence, .gatewayPresence, .gatewayAck, .providerCatalog, .providerHealth, .wmAck, .wmStatus,
            .wmJournal, .query, .command,
        ]
        let filters =
            kinds.map(\.subscription) + [
                Topic.registryPresence(core.id).subscription, TopicKind.wmEpoch.guardedSubscription,
            ]
        let will = Message(.registryPresence(core.id), .presence(core.presence(.lost)))
        bus.assumeIsolated { $0.start(configuration, will: will, subscribe: filters) }
        perform([])
    }

    func stop() async {
        timer.cancel(on: loop)
        await bus?.close(farewell: Message(.registryPresence(core.id), .presence(core.presence(.offline))))
        bus = nil
        store?.shutdown()
        store = nil
        for session in questions.values { session.shutdown() }
        questions = [:]
    }

    private func received(_ event: BusEvent) {
        switch event {
        case .connected:
            perform(core.receive(.connected, at: ServiceHost.now))
            tellPoison()
        case .message(let message): handle(message)
        case .disconnected: perform(core.receive(.disconnected, at: ServiceHost.now))
        case .subscribed, .subscriptionRefused: break  // nothing is subscribed beyond what a connection begins with
        }
    }

    /// What ended two processes before is not handled again; what is handled is noted first.
    private func handle(_ message: Message) {
        let now = ServiceHost.now
        guard let poison else { return perform(core.receive(.received(message), at: now)) }
        let name = PoisonList.name(of: message)
        guard poison.begin(name, at: now.wall) else { return setAside(name, at: now) }
        if let crashOn, name.hasPrefix(crashOn) { BlackBox.trap() }
        perform(core.receive(.received(message), at: now))
        poison.end()
    }

    private func setAside(_ name: String, at now: Moment) {
        var known = notHandled[name] ?? (0, .min / 2)
        known.count += 1
        defer { notHandled[name] = known }
        guard now.monotonic - known.toldAt >= 60_000 else { return }
        known.toldAt = now.monotonic
        logger.error(
            "a message that ended this process twice is not handled",
            metadata: [LoggingKeys.topic: "\(name)", LoggingKeys.count: "\(known.count)"])
    }

    private func tellPoison() {
        guard let poison else { return }
        let now = ServiceHost.now
        for name in poison.list.setAside(at: now.wall) {
            let text =
                "messages like '\(name)' ended this registry twice and are not handled for a day; it goes on without them. "
                + "Mend their sender, or update, and remove the file 'poison' in --state-dir to try again"
            perform(core.receive(.noted(kind: "registry.set-aside", nil, text), at: now))
        }
    }

    private func stored(_ ticket: Int, _ reply: StoreReply) {
        perform(core.receive(.stored(ticket: ticket, reply), at: ServiceHost.now))
    }

    private func perform(_ effects: [Registry.Effect]) {
        var effects = effects
        // What did not leave goes back to the core, which makes it smaller or says so; its every answer is smaller.
        for _ in 0..<Self.maxRefusals where !effects.isEmpty {
            effects = carryOut(effects).flatMap { core.receive(.notSent($0), at: ServiceHost.now) }
        }
        _ = carryOut(effects)
        timer.set(core.nextWake(at: ServiceHost.now), on: loop) { [weak self] in
            self?.assumeIsolated { shell in
                shell.timer.fired()
                shell.perform(shell.core.receive(.wake, at: ServiceHost.now))
            }
        }
    }

    /// In a row, before what is left waits for its repetition.
    private static let maxRefusals = 16

    private func carryOut(_ effects: [Registry.Effect]) -> [NotSent] {
        var refusals: [NotSent] = []
        for effect in effects {
            switch effect {
            case .publish(let message):
                if case .event(let event) = message.payload {
                    logger.notice(
                        "event",
                        metadata: [LoggingKeys.code: "\(event.kind)", LoggingKeys.detail: "\(event.text)"])
                }
                if let refusal = bus?.assumeIsolated({ $0.publish(message) }) { refusals.append(refusal) }
            case .store(let ticket, .query(let request, let asker)): questions[asker]?.ask(ticket, request)
            case .store(let ticket, let request): store?.submit(ticket, request)
            case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
            }
        }
        return refusals
    }
}
