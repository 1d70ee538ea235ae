import Glibc
import Logging
import Mosquitto
package import OMSBus
package import OMSCore
import OMSModel
import OMSProtocol
package import OMSRuntime

/// Carries out what the `Fleet` core decides. Everything happens on the loop's thread.
package actor FleetShell: ServiceShell {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    package var core: Fleet
    package var line = ServiceLine()
    private let logger: Logger
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

    func start(_ options: BusOptions) throws { try open(options, logger: logger) }

    func stop() async { await close() }

    package func subscribed(_ filter: String) {
        guard let tenant = owners[filter], awaited[tenant]?.remove(filter) != nil, awaited[tenant]?.isEmpty == true
        else { return }
        awaited[tenant] = nil
        feed(.subscribed(tenant))
    }

    package func subscriptionRefused(_ filter: String, why: String) {
        if let tenant = owners[filter] { feed(.deaf(tenant, why: why)) }
    }

    package func carryOut(_ effects: [Fleet.Effect]) {
        box?.clear()
        for effect in effects {
            switch effect {
            case .publish(let message): send(message)
            case .subscribe(let tenant):
                let subscriptions = Fleet.subscriptions(of: tenant)
                awaited[tenant] = Set(subscriptions.map(\.filter))
                for subscription in subscriptions { owners[subscription.filter] = tenant }
                line.bus?.assumeIsolated { $0.subscribe(subscriptions) }
            case .unsubscribe(let tenant):
                let subscriptions = Fleet.subscriptions(of: tenant)
                awaited[tenant] = nil
                for subscription in subscriptions { owners[subscription.filter] = nil }
                line.bus?.assumeIsolated { $0.unsubscribe(subscriptions) }
            case .superseded(let boot): ServiceHost.superseded(by: boot, logger)
            case .report(let report): log(report)
            }
        }
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
