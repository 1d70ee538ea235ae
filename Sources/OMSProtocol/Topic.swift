package import OMSModel

/// A concrete topic. What holds for its kind (QoS, retain, expiry, who writes and reads) is in `TopicTable`.
package enum Topic: Hashable, Sendable {
    case registryPresence(NodeID)
    case fleetPresence(NodeID)
    case gatewayPresence(NodeID)
    case gatewayControl(NodeID)
    case gatewayAck(NodeID)
    case wmControl(TenantID)
    case wmAck(TenantID)
    case wmHeartbeat(TenantID)
    case wmStatus(TenantID)
    case wmEpoch(TenantID)
    case wmState(TenantID)
    case wmJournal(TenantID)
    case wmCommitted(TenantID)
    case serviceResult(TenantID, ServiceID)
    case jobCommand(TenantID, ProviderID)
    case jobEvent(TenantID, ProviderID)
    case providerCatalog(ProviderID)
    case providerHealth(ProviderID)
    case query
    case command
    case response(NodeID)
    case event

    package var kind: TopicKind {
        switch self {
        case .registryPresence: .registryPresence
        case .fleetPresence: .fleetPresence
        case .gatewayPresence: .gatewayPresence
        case .gatewayControl: .gatewayControl
        case .gatewayAck: .gatewayAck
        case .wmControl: .wmControl
        case .wmAck: .wmAck
        case .wmHeartbeat: .wmHeartbeat
        case .wmStatus: .wmStatus
        case .wmEpoch: .wmEpoch
        case .wmState: .wmState
        case .wmJournal: .wmJournal
        case .wmCommitted: .wmCommitted
        case .serviceResult: .serviceResult
        case .jobCommand: .jobCommand
        case .jobEvent: .jobEvent
        case .providerCatalog: .providerCatalog
        case .providerHealth: .providerHealth
        case .query: .query
        case .command: .command
        case .response: .response
        case .event: .event
        }
    }

    /// The topic as it stands in a packet.
    package var name: String {
        switch self {
        case .registryPresence(let node), .fleetPresence(let node), .gatewayPresence(let node),
            .gatewayControl(let node), .gatewayAck(let node), .response(let node):
            kind.row.filled(node.text)
        case .wmControl(let tenant), .wmAck(let tenant), .wmHeartbeat(let tenant), .wmStatus(let tenant),
            .wmEpoch(let tenant), .wmState(let tenant), .wmJournal(let tenant), .wmCommitted(let tenant):
            kind.row.filled(tenant.text)
        case .serviceResult(let tenant, let service): kind.row.filled(tenant.text, service.text)
        case .jobCommand(let tenant, let provider), .jobEvent(let tenant, let provider):
            kind.row.filled(tenant.text, provider.text)
        case .providerCatalog(let provider), .providerHealth(let provider): kind.row.filled(provider.text)
        case .query, .command, .event: kind.row.pattern
        }
    }

    /// Reads a topic back; nil for anything that is not in the table.
    package init?(_ name: String) {
        let levels = name.split(separator: "/", omittingEmptySubsequences: false)
        guard let kind = TopicTable.kind(ofLevels: levels) else { return nil }
        let values = kind.row.values(in: levels)
        switch kind {
        case .query: self = .query
        case .command: self = .command
        case .event: self = .event
        case .serviceResult:
            guard let tenant = TenantID(values[0]), let service = ServiceID(values[1]) else { return nil }
            self = .serviceResult(tenant, service)
        case .jobCommand, .jobEvent:
            guard let tenant = TenantID(values[0]), let provider = ProviderID(values[1]) else { return nil }
            self = kind == .jobCommand ? .jobCommand(tenant, provider) : .jobEvent(tenant, provider)
        case .providerCatalog, .providerHealth:
            guard let provider = ProviderID(values[0]) else { return nil }
            self = kind == .providerCatalog ? .providerCatalog(provider) : .providerHealth(provider)
        case .registryPresence, .fleetPresence, .gatewayPresence, .gatewayControl, .gatewayAck, .response:
            guard let node = NodeID(values[0]) else { return nil }
            self = Topic.ofNode(kind, node)
        case .wmControl, .wmAck, .wmHeartbeat, .wmStatus, .wmEpoch, .wmState, .wmJournal, .wmCommitted:
            guard let tenant = TenantID(values[0]) else { return nil }
            self = Topic.ofTenant(kind, tenant)
        }
    }

    private static func ofNode(_ kind: TopicKind, _ node: NodeID) -> Topic {
        switch kind {
        case .registryPresence: .registryPresence(node)
        case .fleetPresence: .fleetPresence(node)
        case .gatewayPresence: .gatewayPresence(node)
        case .gatewayControl: .gatewayControl(node)
        case .gatewayAck: .gatewayAck(node)
        case .response: .response(node)
        default: preconditionFailure("\(kind) has no node in its topic")
        }
    }

    private static func ofTenant(_ kind: TopicKind, _ tenant: TenantID) -> Topic {
        switch kind {
        case .wmControl: .wmControl(tenant)
        case .wmAck: .wmAck(tenant)
        case .wmHeartbeat: .wmHeartbeat(tenant)
        case .wmStatus: .wmStatus(tenant)
        case .wmEpoch: .wmEpoch(tenant)
        case .wmState: .wmState(tenant)
        case .wmJournal: .wmJournal(tenant)
        case .wmCommitted: .wmCommitted(tenant)
        default: preconditionFailure("\(kind) is not a topic of a tenant alone")
        }
    }
}
