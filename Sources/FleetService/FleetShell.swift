import Glibc
import Logging
import Mosquitto
import OMSBus
import OMSCore
import OMSModel
import OMSProtocol
package import OMSRuntime

/// Carries out what the `Fleet` core decides. Everything happens on the loop's thread.
package actor FleetShell {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    private var core: Fleet
    private let logger: Logger
    private var bus: Bus?
    private var timer = WakeTimer()
    private let box: BlackBox?
    /// The filters of each tenant whose subscription is awaited, and whose each one is.
    private var awaited: [TenantID: Set<String>] = [:]
    private var owners: [String: TenantID] = [:]

    /// - Parameter crashOn: for tests: dies while it looks after this tenant's Work Manager.
    init(loop: EventLoop, core: Fleet, box: BlackBox?, crashOn: TenantID? = nil, logger: Logger) {
        self.loop = loop
        self.core = core
        self.logger = logger
        self.box = box
        if box != nil || crashOn != nil {
            self.core.onHandling = { tenant in
                box?.handle(tenant.text)
                if let crashOn, tenant == crashOn { kill(getpid(), SIGKILL) }
            }
        }
    }

    func start(_ options: BusOptions) throws {
        let configuration = try options.configuration(
            clientID: "fleet-\(core.id)-\(core.boot)", role: .fleet)
        let bus = Bus(loop: loop, source: "fleet/\(core.id)", boot: core.boot, logger: logger) { [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        self.bus = bus
        let filters =
            [TopicKind.wmControl.subscription, TopicKind.providerHealth.subscription]
            + [Topic.fleetPresence(core.id).subscription]
        let will = Message(.fleetPresence(core.id), .presence(core.presence(.lost)))
        bus.assumeIsolated { $0.start(configuration, will: will, subscribe: filters) }
    }

    /// Says goodbye: whatever ran here has ended with this process, and the registry may act on it at once.
    func stop() async {
        timer.cancel(on: loop)
        await bus?.close(farewell: Message(.fleetPresence(core.id), .presence(core.presence(.offline))))
        bus = nil
    }

    private func received(_ event: BusEvent) {
        switch event {
        case .connected: perform(core.receive(.connected, at: ServiceHost.now))
        case .disconnected: break
        case .message(let message): perform(core.receive(.received(message), at: ServiceHost.now))
        case .subscribed(let filter):
            guard let tenant = owners[filter], awaited[tenant]?.remove(filter) != nil,
                awaited[tenant]?.isEmpty == true
            else { return }
            awaited[tenant] = nil
            perform(core.receive(.subscribed(tenant), at: ServiceHost.now))
        case .subscriptionRefused(let filter, let why):
            guard let tenant = owners[filter] else { return }
            perform(core.receive(.deaf(tenant, why: why), at: ServiceHost.now))
        }
    }

    private func perform(_ effects: [Fleet.Effect]) {
        var effects = effects
        // What did not leave goes back to the core, which makes it smaller or gives it up; its every answer is smaller.
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

    private func carryOut(_ effects: [Fleet.Effect]) -> [NotSent] {
        var refusals: [NotSent] = []
        box?.clear()
        for effect in effects {
            switch effect {
            case .publish(let message):
                if let refusal = bus?.assumeIsolated({ $0.publish(message) }) { refusals.append(refusal) }
            case .subscribe(let tenant):
                let filters = Self.subscriptions(of: tenant)
                awaited[tenant] = Set(filters.map(\.filter))
                for filter in filters { owners[filter.filter] = tenant }
                bus?.assumeIsolated { $0.subscribe(filters) }
            case .unsubscribe(let tenant):
                let filters = Self.subscriptions(of: tenant).map(\.filter)
                awaited[tenant] = nil
                for filter in filters { owners[filter] = nil }
                bus?.assumeIsolated { $0.unsubscribe(filters) }
            case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
            case .report(let report): log(report)
            }
        }
        return refusals
    }

    /// What a hosted Work Manager hears. Job events of all its providers come through one filter.
    private static func subscriptions(of tenant: TenantID) -> [MQTTSubscription] {
        [
            Topic.wmHeartbeat(tenant).subscription, Topic.wmCommitted(tenant).subscription,
            Topic.wmEpoch(tenant).subscription, Topic.wmState(tenant).guardedSubscription,
            MQTTSubscription("tenant/\(tenant)/sp/+/job/event", qos: TopicKind.jobEvent.row.qos),
        ]
    }

    private func log(_ report: Fleet.Report) {
        switch report {
        case .started(let tenant, let epoch, let generation, let adopted):
            logger.notice(
                "work manager started",
                metadata: [
                    LoggingKeys.tenant: "\(tenant)", LoggingKeys.epoch: "\(epoch)",
                    LoggingKeys.version: "\(generation)",
                    LoggingKeys.count: "\(adopted)",
                ])
        case .reconfigured(let tenant, let generation):
            logger.notice(
                "work manager reconfigured",
                metadata: [LoggingKeys.tenant: "\(tenant)", LoggingKeys.version: "\(generation)"])
        case .ended(let tenant, let epoch, let why):
            logger.notice(
                "work manager ended",
                metadata: [
                    LoggingKeys.tenant: "\(tenant)", LoggingKeys.epoch: "\(epoch)", LoggingKeys.reason: "\(why)",
                ])
        case .refused(let tenant, let why):
            logger.warning(
                "control command refused", metadata: [LoggingKeys.tenant: "\(tenant)", LoggingKeys.reason: "\(why)"])
        }
    }
}
