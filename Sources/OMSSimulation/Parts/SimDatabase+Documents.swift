import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Documents.swift` and `Store+Observations.swift`.
extension SimDatabase {
    func load() -> Snapshot {
        var snapshot = Snapshot()
        snapshot.providers = providers
        snapshot.scenarios = scenarios.mapValues(\.0)
        snapshot.tenants = specs.mapValues(\.0)
        for (tenant, manager) in managers {
            let open = epochs[tenant]?.last { $0.ended == nil }
            snapshot.managers[tenant] = StoredManager(
                epoch: open?.epoch ?? 0, since: open?.started ?? now, fleet: open?.fleet, boot: open?.boot ?? 0,
                ackSeq: open?.ackSeq ?? 0, config: manager.config)
        }
        return snapshot
    }

    mutating func apply(_ document: Document) -> AppliedDocument {
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
        case .presence, .health, .catalog, .status: break
        }
    }
}
