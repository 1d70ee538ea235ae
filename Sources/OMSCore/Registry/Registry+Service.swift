package import OMSProtocol

extension Registry: ServiceCore {
    package static var role: Role { .registry }
    package static var source: String { "oms" }

    package var presenceTopic: Topic { .registryPresence(id) }

    package var subscriptions: [Subscription] {
        let kinds: [TopicKind] = [
            .fleetPresence, .gatewayPresence, .gatewayAck, .providerCatalog, .providerHealth, .wmAck, .wmStatus,
            .wmJournal, .query, .command,
        ]
        return kinds.map(Subscription.every) + [.one(presenceTopic), .ownStates(.wmEpoch)]
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
