import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Documents.swift` and `Store+Observations.swift`.
extension SimDatabase {
    mutating func load() -> Snapshot {
        for tenant in reasons.keys { reasons[tenant]?["tenant"] = nil }
        var snapshot = Snapshot()
        snapshot.providers = providers
        snapshot.scenarios = scenarios.mapValues(\.0)
        snapshot.tenants = specs.mapValues(\.0)
        for tenant in managers.keys { snapshot.managers[tenant] = stored(tenant) }
        snapshot.operations = openOperations
        snapshot.giveUps = givenUp.values.filter { $0.doneAt == nil }.sorted { $0.wish.job < $1.wish.job }
        snapshot.attachments = attachments
        snapshot.nodes = nodes.values.sorted { ($0.role.rawValue, $0.node) < ($1.role.rawValue, $1.node) }
        return snapshot
    }

    private func stored(_ tenant: TenantID) -> StoredManager? {
        guard let manager = managers[tenant] else { return nil }
        let last = epochs[tenant]?.last
        return StoredManager(
            epoch: last?.epoch ?? 0, isEnded: last?.ended != nil, since: last?.started ?? now, fleet: last?.fleet,
            boot: last?.boot ?? 0, ackSeq: last?.ackSeq ?? 0, config: manager.config)
    }

    mutating func apply(_ documents: [Document]) -> StoreReply {
        var past: [TenantID: StoredManager] = [:]
        for case .tenant(let id, _) in documents { past[id] = stored(id) }
        return .applied(documents.map { apply($0) }, past: past)
    }

    private mutating func apply(_ document: Document) -> AppliedDocument {
        switch document {
        case .provider(let id, let spec):
            let (change, version) = Self.upsert(&providers[id], spec)
            return AppliedDocument(kind: "Provider", name: id.text, change: change, version: version)
        case .scenario(let id, let spec):
            let (change, version) = Self.upsert(&scenarios[id], spec)
            return AppliedDocument(kind: "Scenario", name: id.text, change: change, version: version)
        case .tenant(let id, let spec):
            let (change, version) = Self.upsert(&specs[id], spec)
            return AppliedDocument(kind: "Tenant", name: id.text, change: change, version: version)
        }
    }

    private static func upsert<Spec: Equatable>(
        _ row: inout (Spec, Int)?, _ spec: Spec
    ) -> (AppliedDocument.Change, Int) {
        guard let known = row else {
            row = (spec, 1)
            return (.created, 1)
        }
        if known.0 == spec { return (.unchanged, known.1) }
        row = (spec, known.1 + 1)
        return (.changed, known.1 + 1)
    }

    mutating func savePlan(_ tenant: TenantID, _ config: WorkManagerConfig) {
        managers[tenant, default: Manager()].config = config
        managers[tenant]?.generation = config.generation
        configurations[tenant, default: []].append(config)
    }

    mutating func observe(_ observation: Observation) {
        switch observation {
        case .managerState(let tenant, let state, _): managers[tenant]?.state = state
        case .reason(let tenant, let reason): reasons[tenant, default: [:]]["tenant"] = reason
        case .presence(let role, let node, let presence, _):
            let key = NodeKey(role: role, node: node)
            nodes[key] = StoredNode(
                role: role, node: node, presence: presence, isDraining: nodes[key]?.isDraining ?? false)
        case .health(let provider, let health): attachments[provider] = attachments[provider] ?? health.gateway
        case .catalog, .status: break
        }
    }
}
