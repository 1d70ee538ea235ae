package import OMSModel
package import OMSProtocol

/// What the registry asks of PostgreSQL. Each request is one transaction and safe to repeat.
package enum StoreRequest: Hashable, Sendable {
    case load
    /// Register or change documents, all or nothing.
    case apply([Document], by: NodeID)
    /// A new configuration of a tenant, before anybody hears of it.
    case savePlan(TenantID, WorkManagerConfig, explanation: String)
    /// The next epoch of a tenant, and what the last one left open.
    case openEpoch(TenantID, fleet: NodeID, boot: Int64, generation: Int, reason: String)
    /// A piece of the journal together with its number: effects and acknowledgement in one transaction.
    case commit(TenantID, Journal)
    case observe([Observation])
    /// The report of a conformance run, with its evidence.
    case saveVerification(ProviderID, passed: Bool, report: JSONValue, by: NodeID)
    case query(ClientRequest)
}

package enum StoreReply: Hashable, Sendable {
    case loaded(Snapshot)
    case applied([AppliedDocument])
    case saved
    case opened(epoch: Int, since: Timestamp, WorkManagerResume)
    /// Highest number of the tenant's journal that is committed.
    case committed(Int)
    case observed
    case answer(ClientResponse)
    case failed(Problem)
}

/// What is in PostgreSQL at start.
package struct Snapshot: Hashable, Sendable {
    package var providers: [ProviderID: (ProviderSpec, Int)]
    package var scenarios: [ScenarioID: ScenarioSpec]
    package var tenants: [TenantID: TenantSpec]
    package var managers: [TenantID: StoredManager]

    package init(
        providers: [ProviderID: (ProviderSpec, Int)] = [:], scenarios: [ScenarioID: ScenarioSpec] = [:],
        tenants: [TenantID: TenantSpec] = [:], managers: [TenantID: StoredManager] = [:]
    ) {
        self.providers = providers
        self.scenarios = scenarios
        self.tenants = tenants
        self.managers = managers
    }

    package static func == (a: Snapshot, b: Snapshot) -> Bool {
        a.providers.mapValues(\.0) == b.providers.mapValues(\.0) && a.scenarios == b.scenarios
            && a.tenants == b.tenants && a.managers == b.managers
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(tenants) }
}

package struct StoredManager: Hashable, Sendable {
    package var epoch: Int
    package var since: Timestamp
    package var fleet: NodeID?
    package var boot: Int64
    package var ackSeq: Int
    package var config: WorkManagerConfig?

    package init(
        epoch: Int, since: Timestamp, fleet: NodeID? = nil, boot: Int64, ackSeq: Int, config: WorkManagerConfig? = nil
    ) {
        self.epoch = epoch
        self.since = since
        self.fleet = fleet
        self.boot = boot
        self.ackSeq = ackSeq
        self.config = config
    }
}

package struct AppliedDocument: Hashable, Codable, Sendable {
    package enum Change: String, Codable, Sendable { case created, changed, unchanged }

    package var kind: String
    package var name: String
    package var change: Change
    package var version: Int

    package init(kind: String, name: String, change: Change, version: Int) {
        self.kind = kind
        self.name = name
        self.change = change
        self.version = version
    }
}

/// Something seen, for reports: the newest replaces the one before.
package enum Observation: Hashable, Sendable {
    case presence(role: Role, NodeID, Presence, at: Timestamp)
    case health(ProviderID, Health)
    case catalog(ProviderID, Catalog)
    case status(TenantID, WMStatus, at: Timestamp)
    case managerState(TenantID, state: String, at: Timestamp)
    case reason(TenantID, Reason?)
}
