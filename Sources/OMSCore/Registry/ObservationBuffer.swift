import OMSModel
import OMSProtocol

/// What was seen and is not stored yet: of each thing the newest. Neither a burst of a thousand tenants nor a database
/// that is away can push anything out, and the memory is bounded by the number of things.
struct ObservationBuffer: Sendable {
    private enum Subject: Hashable {
        case presence(Role, NodeID)
        case health(ProviderID)
        case catalog(ProviderID)
        case status(TenantID)
        case managerState(TenantID)
        case reason(TenantID)

        init(_ observation: Observation) {
            switch observation {
            case .presence(let role, let node, _, _): self = .presence(role, node)
            case .health(let provider, _): self = .health(provider)
            case .catalog(let provider, _): self = .catalog(provider)
            case .status(let tenant, _, _): self = .status(tenant)
            case .managerState(let tenant, _, _): self = .managerState(tenant)
            case .reason(let tenant, _): self = .reason(tenant)
            }
        }
    }

    /// In the order in which they were first seen since they were last taken.
    private var subjects: [Subject] = []
    private var newest: [Subject: Observation] = [:]

    var isEmpty: Bool { newest.isEmpty }

    mutating func add(_ observation: Observation) {
        let subject = Subject(observation)
        if newest.updateValue(observation, forKey: subject) == nil { subjects.append(subject) }
    }

    mutating func take(_ count: Int) -> [Observation] {
        let taken = subjects.prefix(count).compactMap { newest.removeValue(forKey: $0) }
        subjects.removeFirst(min(count, subjects.count))
        return taken
    }

    /// They could not be stored; what was seen meanwhile counts more.
    mutating func giveBack(_ observations: [Observation]) {
        for observation in observations where newest[Subject(observation)] == nil { add(observation) }
    }
}
