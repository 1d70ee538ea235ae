package import OMSModel
package import OMSProtocol

/// What the registry asks of PostgreSQL. Each request is one transaction and safe to repeat.
package enum StoreRequest: Hashable, Sendable {
    case load
    /// Register or change documents, all or nothing.
    /// - Parameter expecting: `Kind/name` -> the version that the change was made from (0: none); if another is there, nothing
    ///   is changed.
    case apply([Document], expecting: [String: Int], by: NodeID)
    /// The document of a provider as it is, in a new version: an operator's word that what its gateways have held against
    /// it counts no more.
    case renew(ProviderID, ProviderSpec, from: Int, by: NodeID)
    /// A new configuration of a tenant, before anybody hears of it.
    case savePlan(TenantID, WorkManagerConfig, explanation: String)
    /// The epoch with the expected number, and what the last one left open. Repeated after a lost answer it finds the
    /// row that it made: a number above the sealed one would be guarded by nobody.
    case openEpoch(TenantID, expected: Int, fleet: NodeID, boot: Int64, generation: Int, reason: String)
    /// A replacement begins; at most one of a tenant is open. The answer is the one that is: another, if a commit before
    /// this one was done and nobody heard of it.
    case beginOperation(ManagerOperation)
    case saveOperation(ManagerOperation)
    /// What an epoch that did not end by itself left open.
    case openJobs(TenantID)
    /// The end of an epoch with its drain receipt.
    case closeEpoch(EpochClosing)
    /// The open jobs of tenants, to be compared with what their Work Managers say.
    case audit([TenantID])
    /// What a Work Manager that differs needs to know.
    case resume(TenantID)
    /// Rows for jobs that no journal told of.
    case recover(Recovery)
    /// Its documents go, its history stays.
    case removeTenant(TenantID, by: String)
    /// No tenants on this fleet any more, or again.
    case drainFleet(NodeID, Bool, by: NodeID)
    /// Which gateway has a provider, before that gateway hears of it: a registry that restarts must not give it to another.
    case assign(ProviderID, NodeID)
    /// A roll-out that is done makes its change what the scenario is; one that has ended stays as it ended.
    case saveRollout(Rollout)
    /// How the runs of a wave's tenants went that began since then and by this generation or a later one.
    case rolloutFigures(id: String, [TenantID: Int], since: Timestamp)
    /// Nothing but: is this registry the active one?
    case prove
    /// A piece of the journal together with its number: effects and acknowledgement in one transaction.
    case commit(TenantID, Journal)
    case observe([Observation])
    /// The report of a conformance run, with its evidence.
    case saveVerification(ProviderID, passed: Bool, report: JSONValue, by: NodeID)
    /// An operator gives a job up, if it is stuck. Asked again, the answer is what there is.
    case giveUp(JobID, evidence: String, by: NodeID, at: Timestamp)
    /// Its gateway has ended it, or has refused.
    case endGiveUp(GivenUpJob, refused: String?, at: Timestamp)
    /// The provider speaks of a job that was given up.
    case signOfLife(SweptJob, at: Timestamp)
    /// Takes old history out, a part at a time.
    case prune(Pruning)
    /// Answered over a session of its own, which proves nothing of the one that holds the lock.
    case query(ClientRequest, Asker)
    /// An operator has decided about a fact that was set aside.
    case settleQuarantined(Int64, QuarantineVerdict, by: NodeID)
}

package enum StoreReply: Hashable, Sendable {
    case loaded(Snapshot)
    /// With the past of the tenants among them that were there before: a name that comes back goes on counting.
    case applied([AppliedDocument], past: [TenantID: StoredManager])
    case saved
    case opened(epoch: Int, since: Timestamp, WorkManagerResume)
    case operation(ManagerOperation)
    case openJobs([OpenJobRow])
    case audited([TenantID: AuditedJobs])
    case resume(WorkManagerResume)
    /// Per tenant how many jobs had no row.
    case recovered([TenantID: Int])
    /// The roll-out as it is stored, and the scenario that it made.
    case rollout(Rollout, AppliedDocument?)
    case figures([RunFigures])
    /// Highest number of the tenant's journal that is committed; the facts of which PostgreSQL refused parts, or all; why
    /// what follows that number was refused.
    case committed(Int, setAside: [SetAside] = [], rest: Problem? = nil)
    case givenUp(GivenUpRow, isNew: Bool)
    case observed
    case pruned(Pruned)
    case settledQuarantined(TenantID, fact: String)
    case answer(ClientResponse)
    case failed(Problem)

    /// Why the request was not carried out, or not all of it.
    var problem: Problem? {
        switch self {
        case .failed(let problem): problem
        case .committed(_, _, let rest): rest
        default: nil
        }
    }
}

/// What is in PostgreSQL at start.
package struct Snapshot: Hashable, Sendable {
    package var providers: [ProviderID: (ProviderSpec, Int)]
    package var scenarios: [ScenarioID: ScenarioSpec]
    package var tenants: [TenantID: TenantSpec]
    package var managers: [TenantID: StoredManager]
    /// Operations that have not ended.
    package var operations: [ManagerOperation]
    package var nodes: [StoredNode]
    /// Where each provider was attached when it was last seen.
    package var attachments: [ProviderID: NodeID]
    /// `Kind/name` -> version of every document.
    package var versions: [String: Int] = [:]
    /// Jobs that their gateways are still to give up.
    package var giveUps: [GivenUpRow] = []
    /// The roll-out that is under way.
    package var rollout: Rollout?

    package init(
        providers: [ProviderID: (ProviderSpec, Int)] = [:], scenarios: [ScenarioID: ScenarioSpec] = [:],
        tenants: [TenantID: TenantSpec] = [:], managers: [TenantID: StoredManager] = [:],
        operations: [ManagerOperation] = [], nodes: [StoredNode] = [], attachments: [ProviderID: NodeID] = [:]
    ) {
        self.attachments = attachments
        self.operations = operations
        self.nodes = nodes
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

/// A fleet or gateway as last seen by a registry.
package struct StoredNode: Hashable, Sendable {
    package var role: Role
    package var node: NodeID
    package var presence: Presence
    package var isDraining: Bool

    package init(role: Role, node: NodeID, presence: Presence, isDraining: Bool) {
        self.role = role
        self.node = node
        self.presence = presence
        self.isDraining = isDraining
    }
}

package struct StoredManager: Hashable, Sendable {
    /// The highest ever; 0: none.
    package var epoch: Int
    package var isEnded: Bool
    package var since: Timestamp
    package var fleet: NodeID?
    package var boot: Int64
    package var ackSeq: Int
    package var config: WorkManagerConfig?

    package init(
        epoch: Int, isEnded: Bool = false, since: Timestamp, fleet: NodeID? = nil, boot: Int64, ackSeq: Int,
        config: WorkManagerConfig? = nil
    ) {
        self.isEnded = isEnded
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
