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

    init(loop: EventLoop, core: Registry, logger: Logger) {
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
        let bus = Bus(loop: loop, source: "oms/\(core.id)", boot: core.boot, logger: logger) { [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        self.bus = bus
        let kinds: [TopicKind] = [
            .fleetPresence, .gatewayPresence, .gatewayAck, .providerCatalog, .providerHealth, .wmAck, .wmStatus,
            .wmJournal, .query, .command,
        ]
        let filters = kinds.map(\.subscription) + [Topic.registryPresence(core.id).subscription]
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
        case .connected: perform(core.receive(.connected, at: ServiceHost.now))
        case .message(let message): perform(core.receive(.received(message), at: ServiceHost.now))
        case .disconnected: perform(core.receive(.disconnected, at: ServiceHost.now))
        case .subscribed: break
        }
    }

    private func stored(_ ticket: Int, _ reply: StoreReply) {
        perform(core.receive(.stored(ticket: ticket, reply), at: ServiceHost.now))
    }

    private func perform(_ effects: [Registry.Effect]) {
        for effect in effects {
            switch effect {
            case .publish(let message):
                if case .event(let event) = message.payload {
                    logger.notice(
                        "event",
                        metadata: [LoggingKeys.code: "\(event.kind)", LoggingKeys.detail: "\(event.text)"])
                }
                bus?.assumeIsolated { $0.publish(message) }
            case .store(let ticket, .query(let request, let asker)): questions[asker]?.ask(ticket, request)
            case .store(let ticket, let request): store?.submit(ticket, request)
            case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
            }
        }
        timer.set(core.nextWake(at: ServiceHost.now), on: loop) { [weak self] in
            self?.assumeIsolated { shell in
                shell.timer.fired()
                shell.perform(shell.core.receive(.wake, at: ServiceHost.now))
            }
        }
    }
}
