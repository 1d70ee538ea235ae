package import OMSModel
package import OMSProtocol

extension Fleet: ServiceCore {
    package static var role: Role { .fleet }

    package var presenceTopic: Topic { .fleetPresence(id) }

    package var subscriptions: [Subscription] { [.every(.wmControl), .every(.providerHealth), .one(presenceTopic)] }

    /// What a hosted Work Manager hears. Job events of all its providers come through one filter.
    package static func subscriptions(of tenant: TenantID) -> [Subscription] {
        [
            .one(.wmHeartbeat(tenant)), .one(.wmCommitted(tenant)), .one(.wmEpoch(tenant)), .ownState(.wmState(tenant)),
            .jobEvents(of: tenant),
        ]
    }

    package static func event(_ happening: BusHappening) -> Event? {
        switch happening {
        case .connected: .connected
        // A Work Manager goes on without the broker, and notices nothing of it.
        case .disconnected: nil
        case .received(let message): .received(message)
        case .notSent(let refusal): .notSent(refusal)
        case .wake: .wake
        }
    }
}
