import OMSModel
import OMSProtocol

/// A subscription as the shells make them: by kind, for one topic, or with one wildcard.
enum SimFilter: Hashable {
    case kind(TopicKind)
    case topic(Topic)
    case eventsOfTenant(TenantID)
    case commandsForProvider(ProviderID)

    func matches(_ topic: Topic) -> Bool {
        switch self {
        case .kind(let kind): return topic.kind == kind
        case .topic(let mine): return topic == mine
        case .eventsOfTenant(let tenant):
            if case .jobEvent(tenant, _) = topic { return true }
            return false
        case .commandsForProvider(let provider):
            if case .jobCommand(_, provider) = topic { return true }
            return false
        }
    }
}

/// What each shell subscribes to (RegistryShell, FleetShell and GatewayShell are the originals).
enum ShellSubscriptions {
    static func registry(_ id: NodeID) -> [SimFilter] {
        let kinds: [TopicKind] = [
            .fleetPresence, .gatewayPresence, .gatewayAck, .providerCatalog, .providerHealth, .wmAck, .wmStatus,
            .wmJournal, .query, .command,
        ]
        return kinds.map(SimFilter.kind) + [.topic(.registryPresence(id))]
    }

    static func fleet(_ id: NodeID) -> [SimFilter] {
        [.kind(.wmControl), .kind(.providerHealth), .topic(.fleetPresence(id))]
    }

    static func workManager(_ tenant: TenantID) -> [SimFilter] {
        [
            .topic(.wmHeartbeat(tenant)), .topic(.wmCommitted(tenant)), .topic(.wmEpoch(tenant)),
            .eventsOfTenant(tenant),
        ]
    }

    static func gateway(_ id: NodeID) -> [SimFilter] {
        [.topic(.gatewayControl(id)), .kind(.wmEpoch), .topic(.gatewayPresence(id))]
    }
}
