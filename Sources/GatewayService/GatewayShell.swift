import Curl
import FoundationEssentials
import Logging
import Mosquitto
import OMSBus
import OMSCore
import OMSModel
import OMSProtocol
package import OMSRuntime

/// Carries out what the `Gateway` core decides: bus on this loop, REST calls on the HTTP pool's thread.
package actor GatewayShell {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    private var core: Gateway
    private let logger: Logger
    private let pool: HTTPPool
    private let credentials: CredentialStore
    private let ledger: Ledger?
    private var crashPoint: CrashPoint?
    /// Since the last write that failed none has succeeded.
    private var isLedgerFailing = false
    /// Effects that wait, in order, for what must be on disk before them.
    private var held: [Batch] = []
    private var firstHeld = 0
    private let desk: AnswerDesk
    /// Names the provider whose answer is being handled, if this process should die of it.
    private let box: BlackBox?
    private var bus: Bus?
    /// By the filter of its orders.
    private var orders: [String: ProviderID] = [:]
    private var timer = WakeTimer()
    private var linesOfAhead = OncePerMinute<TenantID>()
    /// Sees all that the core decides: what a broker is in service, a test's eyes are without one.
    private let observer: (@Sendable (Gateway.Effect) -> Void)?

    private struct Batch {
        var effects: [Gateway.Effect]
        var isReady: Bool
        /// When the core decided so (monotonic).
        var decided: Int64
        /// Why it could not be written: nothing of it may be sent to a provider.
        var failure: String?
    }

    /// - Parameter ledger: nil only where nothing has to survive, as in tests of the answers.
    init(
        loop: EventLoop, core: Gateway, pool: HTTPPool, credentials: CredentialStore, ledger: Ledger?,
        box: BlackBox? = nil, crashPoint: CrashPoint? = nil, crashOn: ProviderID? = nil, logger: Logger,
        observer: (@Sendable (Gateway.Effect) -> Void)? = nil
    ) {
        self.box = box
        desk = AnswerDesk(box: box, crashOn: crashOn)
        self.ledger = ledger
        self.crashPoint = crashPoint
        self.observer = observer
        self.loop = loop
        self.core = core
        self.pool = pool
        self.credentials = credentials
        self.logger = logger
        guard let box else { return }
        self.core.onHandling = { provider, version in box.handle(PoisonNote(provider, version).text) }
        loop.post { box.markTraps(slot: 0) }
    }

    func start(_ options: BusOptions) throws {
        let configuration = try options.configuration(
            clientID: "gateway-\(core.id)-\(core.boot)", role: .gateway)
        let bus = Bus(loop: loop, source: "gateway/\(core.id)", boot: core.boot, logger: logger) { [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        self.bus = bus
        let filters = [
            Topic.gatewayControl(core.id).subscription, TopicKind.wmEpoch.subscription,
            Topic.gatewayPresence(core.id).subscription,
        ]
        let will = Message(.gatewayPresence(core.id), .presence(core.presence(.lost)))
        bus.assumeIsolated { $0.start(configuration, will: will, subscribe: filters) }
    }

    func stop() async {
        timer.cancel(on: loop)
        await bus?.close(farewell: Message(.gatewayPresence(core.id), .presence(core.presence(.offline))))
        bus = nil
        pool.shutdown()
        desk.shutdown()
        ledger?.shutdown()
    }

    /// An event that did not come from the bus.
    func feed(_ event: Gateway.Event) { perform(core.receive(event, at: ServiceHost.now)) }

    private func received(_ event: BusEvent) {
        switch event {
        case .connected: perform(core.receive(.connected, at: ServiceHost.now))
        case .message(let message): perform(core.receive(.received(message), at: ServiceHost.now))
        case .disconnected: perform(core.receive(.disconnected, at: ServiceHost.now))
        case .subscribed(let filter):
            if let provider = orders[filter] { perform(core.receive(.hears(provider), at: ServiceHost.now)) }
        case .subscriptionRefused(let filter, let why):
            if let provider = orders[filter] { perform(core.receive(.deaf(provider, why: why), at: ServiceHost.now)) }
        }
    }

    private func perform(_ effects: [Gateway.Effect]) {
        box?.clear()
        record(effects)
        timer.set(core.nextWake(at: ServiceHost.now), on: loop) { [weak self] in
            self?.assumeIsolated { shell in
                shell.timer.fired()
                shell.perform(shell.core.receive(.wake, at: ServiceHost.now))
            }
        }
    }

    /// Intent before effect: a batch with a blocking entry, and all that come after it, wait for the disk.
    private func record(_ effects: [Gateway.Effect]) {
        guard let ledger else { return carryOut(effects, failure: nil, decided: MonotonicClock.milliseconds) }
        let entries = effects.compactMap { if case .record(let entry) = $0 { entry } else { nil } }
        let isBlocking = entries.contains { $0.isBlocking }
        if !isBlocking {
            if !entries.isEmpty {
                let loop = loop
                ledger.write(entries) { [weak self] failure in
                    guard failure != nil else { return }
                    loop.post { [weak self] in self?.assumeIsolated { $0.note(failure) } }
                }
            }
            if held.isEmpty { return carryOut(effects, failure: nil, decided: MonotonicClock.milliseconds) }
        }
        let number = firstHeld + held.count
        held.append(Batch(effects: effects, isReady: !isBlocking, decided: MonotonicClock.milliseconds))
        guard isBlocking else { return }
        let loop = loop
        ledger.write(entries) { [weak self] failure in
            loop.post { [weak self] in self?.assumeIsolated { $0.recorded(number, failure) } }
        }
    }

    private func recorded(_ number: Int, _ failure: String?) {
        note(failure)
        let failure = failure.map { "the gateway's ledger cannot be written (\($0))" }
        held[number - firstHeld].isReady = true
        // What came after may rest on it: a repeated seal is confirmed because the first one is being written.
        if failure != nil { for index in held.indices.dropFirst(number - firstHeld) { held[index].failure = failure } }
        while let batch = held.first, batch.isReady {
            held.removeFirst()
            firstHeld += 1
            carryOut(batch.effects, failure: batch.failure, decided: batch.decided)
            if batch.failure != nil {
                let entries = batch.effects.compactMap { if case .record(let entry) = $0 { entry } else { nil } }
                perform(core.receive(.unrecorded(entries), at: ServiceHost.now))
            }
        }
    }

    /// Says when it begins and when it is over, and not for each of the attempts in between.
    private func note(_ failure: String?) {
        guard isLedgerFailing != (failure != nil) else { return }
        isLedgerFailing = failure != nil
        if let failure {
            logger.error(
                "ledger not written, nothing is submitted until it is", metadata: [LoggingKeys.error: "\(failure)"])
        } else {
            logger.notice("ledger written again")
        }
    }

    /// A decision to act at a provider that is as old as this is not carried out any more: the process was stopped, or its
    /// disk was slow, and the provider may be another gateway's by now. Well below the hold time.
    private static let decisionMilliseconds: Int64 = 10_000

    private func carryOut(_ effects: [Gateway.Effect], failure: String?, decided: Int64) {
        for effect in effects {
            observer?(effect)
            switch effect {
            case .publish(let message):
                // What is not on disk is not promised to anybody: whoever asked asks again.
                if failure == nil, let refusal = bus?.assumeIsolated({ $0.publish(message) }) {
                    // Not from within: what the core makes of it comes after what it has decided before.
                    loop.post { [weak self] in
                        self?.assumeIsolated { $0.perform($0.core.receive(.notSent(refusal), at: ServiceHost.now)) }
                    }
                }
            case .call(let call):
                if let failure, case .submit = call.kind {
                    answered(call, 0, .failed(.notSent, .ledger, failure))
                } else if call.kind.acts, MonotonicClock.milliseconds - decided > Self.decisionMilliseconds {
                    answered(call, 0, .failed(.notSent, .ledger, "decided too long ago: this process was stopped"))
                } else {
                    make(call)
                }
            case .subscribe(let provider):
                orders[Self.commands(for: provider).filter] = provider
                bus?.assumeIsolated { $0.subscribe(Self.subscriptions(for: provider)) }
            case .unsubscribe(let provider):
                orders[Self.commands(for: provider).filter] = nil
                bus?.assumeIsolated { $0.unsubscribe(Self.subscriptions(for: provider).map(\.filter)) }
            case .record: break  // was taken out before
            case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
            case .report(let report): log(report)
            }
        }
    }

    private static func commands(for provider: ProviderID) -> MQTTSubscription {
        MQTTSubscription("tenant/+/sp/\(provider)/job/command", qos: TopicKind.jobCommand.row.qos)
    }

    /// Its orders, and whether somebody takes away what this gateway says of it.
    private static func subscriptions(for provider: ProviderID) -> [MQTTSubscription] {
        [
            commands(for: provider), Topic.providerHealth(provider).guardedSubscription,
            Topic.providerCatalog(provider).guardedSubscription,
        ]
    }

    private func make(_ call: ProviderCall) {
        let request: HTTPRequest
        do {
            request = try RequestBuilder.request(for: call, credentials: credentials)
        } catch {
            // Nothing left this process: the core may try again when the credential is there.
            return answered(call, 0, .failed(.notSent, .other, "\(error)"))
        }
        let isSubmit = if case .submit = call.kind { true } else { false }
        if isSubmit { crashPoint?.pass(.beforeSend) }
        let began = MonotonicClock.milliseconds
        let (loop, desk) = (loop, desk)
        let secret = RequestBuilder.secret(in: request)
        pool.start(request) { [weak self] outcome in
            let latency = Int(MonotonicClock.milliseconds - began)
            desk.read(outcome, to: call, secret: secret) { [weak self] answer, cost in
                loop.post { [weak self] in
                    self?.assumeIsolated { shell in
                        if isSubmit { shell.crashPoint?.pass(.beforeOutcome) }
                        shell.answered(call, latency, cost: cost, answer)
                    }
                }
            }
        }
        if isSubmit, crashPoint != nil {
            // Give libcurl's thread a moment, so that the request is on its way.
            loop.schedule(after: .milliseconds(2)) { [weak self] in self?.assumeIsolated { $0.passAfterSend() } }
        }
    }

    private func passAfterSend() { crashPoint?.pass(.afterSend) }

    private func answered(_ call: ProviderCall, _ latency: Int, cost: Int64 = 0, _ answer: ProviderAnswer) {
        logger.debug(
            "provider answered",
            metadata: [LoggingKeys.provider: "\(call.provider)", LoggingKeys.durationMilliseconds: "\(latency)"])
        // Never from within `perform`: a refused request must not recurse.
        let id = call.id
        loop.post { [weak self] in
            self?.assumeIsolated { shell in
                shell.perform(
                    shell.core.receive(.answer(call: id, latency: latency, cost: cost, answer), at: ServiceHost.now))
            }
        }
    }

    private func log(_ report: Gateway.Report) {
        switch report {
        case .attached(let provider):
            logger.notice("provider attached", metadata: [LoggingKeys.provider: "\(provider)"])
        case .detached(let provider):
            logger.notice("provider detached", metadata: [LoggingKeys.provider: "\(provider)"])
        case .health(let provider, let status, let circuit, let problem):
            let metadata: Logger.Metadata = [
                LoggingKeys.provider: "\(provider)", LoggingKeys.status: "\(status.rawValue)",
                LoggingKeys.state: "circuit \(circuit.rawValue)", LoggingKeys.reason: "\(problem?.detail ?? "")",
            ]
            switch status {
            case .pass, .unknown: logger.notice("provider health changed", metadata: metadata)
            case .warn, .fail, .unreachable, .quarantined: logger.warning("provider health changed", metadata: metadata)
            }
        case .illegal(let provider, let job, let what):
            logger.warning(
                "provider broke the state rules; the old state stands",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.job: "\(job)", LoggingKeys.detail: "\(what)",
                ])
        case .refused(let tenant, let job, let epoch, let fence):
            logger.warning(
                "command of an old epoch refused",
                metadata: [
                    LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)", LoggingKeys.epoch: "\(epoch)",
                    LoggingKeys.limit: "\(fence)",
                ])
        case .ahead(let tenant, let job, let epoch, let fence):
            guard let count = linesOfAhead.pass(tenant, at: MonotonicClock.milliseconds) else { return }
            logger.warning(
                "command of an epoch that the registry has not announced; left to be repeated",
                metadata: [
                    LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)", LoggingKeys.epoch: "\(epoch)",
                    LoggingKeys.limit: "\(fence)", LoggingKeys.count: "\(count)",
                ])
        case .quarantined(let provider, let deaths):
            logger.error(
                "provider quarantined: this gateway died while it read its answers; change the provider's document to release it",
                metadata: [LoggingKeys.provider: "\(provider)", LoggingKeys.count: "\(deaths)"])
        case .unknown(let provider, let job, let problem):
            logger.warning(
                "outcome unknown, asking the provider",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.job: "\(job)",
                    LoggingKeys.reason: "\(problem.detail ?? problem.type)",
                ])
        case .stuck(let provider, let tenant, let job):
            logger.warning(
                "a job goes on after its stop; it takes no place any more",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)",
                ])
        case .gaveUp(let provider, let tenant, let job):
            logger.notice(
                "a job was given up by an operator",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)",
                ])
        case .signOfLife(let provider, let tenant, let job, let state):
            logger.warning(
                "the provider speaks of a job that was given up",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)",
                    LoggingKeys.state: "\(state.rawValue)",
                ])
        case .full(let provider):
            logger.warning(
                "too many jobs wait for a provider; commands are left to be repeated",
                metadata: [LoggingKeys.provider: "\(provider)"])
        }
    }
}
