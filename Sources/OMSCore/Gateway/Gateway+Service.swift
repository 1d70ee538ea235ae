package import OMSModel
package import OMSProtocol

extension Gateway: ServiceCore {
    package static var role: Role { .gateway }

    package var presenceTopic: Topic { .gatewayPresence(id) }

    package var subscriptions: [Subscription] { [.one(.gatewayControl(id)), .every(.wmEpoch), .one(presenceTopic)] }

    /// Its orders, and whether somebody takes away what this gateway says of it.
    package static func subscriptions(for provider: ProviderID) -> [Subscription] {
        [.jobCommands(for: provider), .ownState(.providerHealth(provider)), .ownState(.providerCatalog(provider))]
    }

    package static func event(_ happening: BusHappening) -> Event? {
        switch happening {
        case .connected: .connected
        case .disconnected: .disconnected
        case .received(let message): .received(message)
        case .notSent(let refusal): .notSent(refusal)
        case .wake: .wake
        }
    }
}
