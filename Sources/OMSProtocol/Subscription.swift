package import OMSModel

/// What a client hears of the bus. Each core says what it subscribes to, so that a service and the simulation of it hear the
/// same.
package enum Subscription: Hashable, Sendable {
    /// Every topic of a kind.
    case every(TopicKind)
    case one(Topic)
    /// Of all providers that work for it.
    case jobEvents(of: TenantID)
    /// Of all tenants.
    case jobCommands(for: ProviderID)
    /// Retained state that this client owns, without what it says itself: it hears when somebody takes it away.
    case ownState(Topic)
    case ownStates(TopicKind)

    /// As it stands in a packet.
    package var filter: String {
        switch self {
        case .every(let kind), .ownStates(let kind): kind.row.filter
        case .one(let topic), .ownState(let topic): topic.name
        case .jobEvents(let tenant): "tenant/\(tenant)/sp/+/job/event"
        case .jobCommands(let provider): "tenant/+/sp/\(provider)/job/command"
        }
    }

    package var kind: TopicKind {
        switch self {
        case .every(let kind), .ownStates(let kind): kind
        case .one(let topic), .ownState(let topic): topic.kind
        case .jobEvents: .jobEvent
        case .jobCommands: .jobCommand
        }
    }

    package var isOfOwnState: Bool {
        switch self {
        case .ownState, .ownStates: true
        case .every, .one, .jobEvents, .jobCommands: false
        }
    }

    package func matches(_ topic: Topic) -> Bool {
        switch self {
        case .every(let kind), .ownStates(let kind): return topic.kind == kind
        case .one(let mine), .ownState(let mine): return topic == mine
        case .jobEvents(let tenant):
            if case .jobEvent(tenant, _) = topic { return true }
            return false
        case .jobCommands(let provider):
            if case .jobCommand(_, provider) = topic { return true }
            return false
        }
    }
}
