import Logging
package import OMSBus
package import OMSCore
import OMSModel
package import OMSProtocol
package import OMSRuntime
import OMSStore
import Postgres

/// Carries out what the `Registry` core decides: bus on this loop, PostgreSQL on the store's own thread.
package actor RegistryShell: ServiceShell {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    package var core: Registry
    package var line = ServiceLine()
    private let logger: Logger
    private var store: Store?
    private var questions: [Asker: Questions] = [:]
    private let poison: PoisonFile?
    private var notHandled = LogThrottle()
    private var linesOfLateness = LogThrottle(burst: 20)

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
        let loop = loop
        let answered: @Sendable (Int, StoreReply) -> Void = { [weak self] ticket, reply in
            loop.post { [weak self] in self?.assumeIsolated { $0.feed(.stored(ticket: ticket, reply)) } }
        }
        store = Store(registry: core.id.text, configuration: database, logger: logger, reply: answered)
        for asker in Asker.allCases {
            questions[asker] = Questions(asker, configuration: database, logger: logger, reply: answered)
        }
        poison?.watchThisThread()
        try open(options, logger: logger)
        perform([])
    }

    func stop() async {
        await close()
        store?.shutdown()
        store = nil
        for session in questions.values { session.shutdown() }
        questions = [:]
    }

    package func connected() {
        feed(.connected)
        tellPoison()
    }

    /// What ended two processes before is not handled again; what is handled is noted first.
    package func heard(_ message: Message) {
        let now = ServiceHost.now
        guard let poison else { return feed(.received(message)) }
        let name = PoisonList.name(of: message)
        guard poison.begin(name, at: now.wall) else { return setAside(name, at: now) }
        if let crashOn, name.hasPrefix(crashOn) { BlackBox.trap() }
        feed(.received(message))
        poison.end()
    }

    private func setAside(_ name: String, at now: Moment) {
        guard let count = notHandled.admit(name, at: now.monotonic) else { return }
        logger.error(
            "a message that ended this process twice is not handled",
            metadata: [LoggingKeys.topic: "\(name)", LoggingKeys.count: "\(count)"])
    }

    private func tellPoison() {
        guard let poison else { return }
        let now = ServiceHost.now
        for name in poison.list.setAside(at: now.wall) {
            let text =
                "messages like '\(name)' ended this registry twice and are not handled for a day; it goes on without them. "
                + "Mend their sender, or update, and remove the file 'poison' in --state-dir to try again"
            feed(.noted(kind: "registry.set-aside", nil, text))
        }
    }

    package func carryOut(_ effects: [Registry.Effect]) {
        for effect in effects {
            switch effect {
            case .publish(let message):
                if case .event(let event) = message.payload { log(event) }
                send(message)
            case .store(let ticket, .query(let request, let asker)): questions[asker]?.ask(ticket, request)
            case .store(let ticket, let request): store?.submit(ticket, request)
            case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
            }
        }
    }

    /// The log is the only place that keeps events, so nearly all are in it. Of late heartbeats, which one cause makes for a
    /// thousand tenants and `report.tenant_status` shows, some are enough.
    private func log(_ event: OperatorEvent) {
        let isOneOfMany = event.kind == "tenant.heartbeats-missed"
        guard let count = isOneOfMany ? linesOfLateness.admit(event.kind, at: MonotonicClock.milliseconds) : 1 else {
            return
        }
        var metadata: Logger.Metadata = [LoggingKeys.code: "\(event.kind)", LoggingKeys.detail: "\(event.text)"]
        if count > 1 { metadata[LoggingKeys.count] = "\(count - 1) more of this kind before it" }
        logger.log(level: event.isTrouble ? .warning : .notice, "event", metadata: metadata)
    }
}
