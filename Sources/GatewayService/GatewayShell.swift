import Curl
import FoundationEssentials
import Logging
import Mosquitto
package import OMSBus
package import OMSCore
import OMSModel
import OMSProtocol
package import OMSRuntime

/// Carries out what the `Gateway` core decides: bus on this loop, REST calls on the HTTP pool's thread.
package actor GatewayShell: ServiceShell {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    package var core: Gateway
    package var line = ServiceLine()
    private let logger: Logger
    private let pool: HTTPPool
    private let credentials: CredentialStore
    private let ledger: Ledger?
    private var crashPoint: CrashPoint?
    /// Since the last write that failed none has succeeded.
    private var isLedgerFailing = false
    private var gate = EffectGate()
    private let desk: AnswerDesk
    /// Names the provider whose answer is being handled, if this process should die of it.
    private let box: BlackBox?
    /// By the filter of its orders.
    private var orders: [String: ProviderID] = [:]
    private var linesOfAhead = LogThrottle()
    private var linesOfIllegal = LogThrottle()
    private var linesOfUnknown = LogThrottle()
    /// Sees all that the core decides: what a broker is in service, a test's eyes are without one.
    private let observer: (@Sendable (Gateway.Effect) -> Void)?

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

    func start(_ options: BusOptions) throws { try open(options, logger: logger) }

    func stop() async {
        await close()
        pool.shutdown()
        desk.shutdown()
        ledger?.shutdown()
    }

    package func subscribed(_ filter: String) {
        if let provider = orders[filter] { feed(.hears(provider)) }
    }

    package func subscriptionRefused(_ filter: String, why: String) {
        if let provider = orders[filter] { feed(.deaf(provider, why: why)) }
    }

    package func carryOut(_ effects: [Gateway.Effect]) {
        box?.clear()
        let admission = gate.admit(effects, at: MonotonicClock.milliseconds)
        write(admission.entries, for: admission.ticket)
        if let batch = admission.batch { carryOut(batch) }
    }

    private func write(_ entries: [LedgerEntry], for ticket: Int?) {
        guard !entries.isEmpty else { return }
        guard let ledger else { return recorded(ticket, nil) }
        let loop = loop
        ledger.write(entries) { [weak self] failure in
            guard ticket != nil || failure != nil else { return }
            loop.post { [weak self] in self?.assumeIsolated { $0.recorded(ticket, failure) } }
        }
    }

    private func recorded(_ ticket: Int?, _ failure: String?) {
        note(failure)
        guard let ticket else { return }
        gate.written(ticket, failure: failure.map { "the gateway's ledger cannot be written (\($0))" })
        while let batch = gate.release() {
            carryOut(batch)
            if let lost = batch.unrecorded { feed(.unrecorded(lost)) }
        }
        perform([])
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

    private func carryOut(_ released: EffectGate.Batch) {
        var batch = released
        while let step = batch.next(at: MonotonicClock.milliseconds) {
            switch step {
            case .refuse(let call, let why): answered(call, 0, .failed(.notSent, .ledger, why))
            case .skip: break
            case .perform(let effect): carryOut(effect)
            }
        }
    }

    private func carryOut(_ effect: Gateway.Effect) {
        observer?(effect)
        switch effect {
        case .publish(let message): send(message)
        case .call(let call): make(call)
        case .subscribe(let provider):
            orders[Subscription.jobCommands(for: provider).filter] = provider
            line.bus?.assumeIsolated { $0.subscribe(Gateway.subscriptions(for: provider)) }
        case .unsubscribe(let provider):
            orders[Subscription.jobCommands(for: provider).filter] = nil
            line.bus?.assumeIsolated { $0.unsubscribe(Gateway.subscriptions(for: provider)) }
        case .record: break  // the gate took it
        case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
        case .report(let report): log(report)
        }
    }

    private func make(_ call: ProviderCall) {
        let request: HTTPRequest
        do {
            request = try RequestBuilder.request(for: call, credentials: credentials)
        } catch {
            // Nothing left this process: the core may try again when the credential is there.
            return answered(call, 0, .failed(.notSent, .other, "\(error)"))
        }
        let isSubmit = call.kind.isSubmit
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
            self?.assumeIsolated { $0.feed(.answer(call: id, latency: latency, cost: cost, answer)) }
        }
    }

    private func log(_ report: Gateway.Report) {
        switch report {
        case .attached(let provider):
            logger.notice("provider attached", metadata: [LoggingKeys.provider: "\(provider)"])
        case .detached(let provider):
            logger.notice("provider detached", metadata: [LoggingKeys.provider: "\(provider)"])
        case .health(let provider, let status, let circuit, let problem):
            var metadata: Logger.Metadata = [
                LoggingKeys.provider: "\(provider)", LoggingKeys.status: "\(status.rawValue)",
                LoggingKeys.state: "circuit \(circuit.rawValue)",
            ]
            if let problem { metadata[LoggingKeys.reason] = "\(problem.detail ?? problem.type)" }
            switch status {
            case .pass, .unknown: logger.notice("provider health changed", metadata: metadata)
            case .warn, .fail, .unreachable, .quarantined: logger.warning("provider health changed", metadata: metadata)
            }
        case .illegal(let provider, let job, let what):
            // It may do so with each job and at every look.
            guard let count = linesOfIllegal.admit(provider.text, at: MonotonicClock.milliseconds) else { return }
            logger.warning(
                "provider broke the state rules; the old state stands",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.job: "\(job)", LoggingKeys.detail: "\(what)",
                    LoggingKeys.count: "\(count)",
                ])
        case .refused(let tenant, let job, let epoch, let fence):
            logger.warning(
                "command of an old epoch refused",
                metadata: [
                    LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)", LoggingKeys.epoch: "\(epoch)",
                    LoggingKeys.limit: "\(fence)",
                ])
        case .ahead(let tenant, let job, let epoch, let fence):
            guard let count = linesOfAhead.admit(tenant.text, at: MonotonicClock.milliseconds) else { return }
            logger.warning(
                "command of an epoch that the registry has not announced; left to be repeated",
                metadata: [
                    LoggingKeys.tenant: "\(tenant)", LoggingKeys.job: "\(job)", LoggingKeys.epoch: "\(epoch)",
                    LoggingKeys.limit: "\(fence)", LoggingKeys.count: "\(count)",
                ])
        case .quarantined(let provider, let deaths):
            logger.error(
                "provider quarantined: this gateway died while it read its answers; oms provider release, or a changed document, ends that",
                metadata: [LoggingKeys.provider: "\(provider)", LoggingKeys.count: "\(deaths)"])
        case .unknown(let provider, let job, let problem):
            guard let count = linesOfUnknown.admit(provider.text, at: MonotonicClock.milliseconds) else { return }
            logger.warning(
                "outcome unknown, asking the provider",
                metadata: [
                    LoggingKeys.provider: "\(provider)", LoggingKeys.job: "\(job)",
                    LoggingKeys.reason: "\(problem.detail ?? problem.type)", LoggingKeys.count: "\(count)",
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
