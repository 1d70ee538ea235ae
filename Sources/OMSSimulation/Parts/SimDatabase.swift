import OMSCore
import OMSModel
import OMSProtocol

/// The registry's PostgreSQL: the tables of `OMSStore/Migrations`, and one function per request with the meaning of
/// OMSStore's SQL. A request is one transaction: all of it or nothing.
struct SimDatabase {
    struct Epoch {
        var epoch: Int
        var fleet: NodeID
        var boot: Int64
        var started: Timestamp
        var ended: Timestamp?
        var ackSeq = 0
    }

    struct Manager {
        var generation = 0
        var config: WorkManagerConfig?
        var state = "none"
    }

    struct TickKey: Hashable {
        var tenant: TenantID
        var service: ServiceID
    }

    struct EpochKey: Hashable {
        var tenant: TenantID
        var epoch: Int
    }

    struct NodeKey: Hashable {
        var role: Role
        var node: NodeID
    }

    /// How each job of an epoch ended: `adopted` and `quarantined` are left to the next.
    struct Receipt {
        var isGraceful: Bool
        /// Written when the next epoch was opened, without an operation: its process had died.
        var isRecovery = false
        /// No Work Manager was to come after: nothing is left to one.
        var isFinal = false
        var jobs: [JobID: String] = [:]
    }

    struct Run {
        var record: RunRecord
        var tenant: TenantID
        var epoch: Int
    }

    struct Job {
        var record: JobRecord
        var tenant: TenantID
        var epoch: Int
    }

    /// What a transaction changed, for the invariants.
    enum Change {
        case epochOpened(TenantID, Int)
        case tick(TickKey, TickRecord)
        /// A second, different record of a tick that has ended already.
        case tickAgain(TickKey, kept: TickRecord, refused: TickRecord)
        case run(Run, before: Run?)
        case job(Job, before: Job?)
        /// A record that would have changed a terminal row.
        case jobRefused(Job, refused: JobRecord)
    }

    var providers: [ProviderID: (ProviderSpec, Int)] = [:]
    var scenarios: [ScenarioID: (ScenarioSpec, Int)] = [:]
    var specs: [TenantID: (TenantSpec, Int)] = [:]
    var managers: [TenantID: Manager] = [:]
    /// Every configuration that ever was in force, in order.
    var configurations: [TenantID: [WorkManagerConfig]] = [:]
    var epochs: [TenantID: [Epoch]] = [:]
    var ticks: [TickKey: [Timestamp: TickRecord]] = [:]
    var runs: [RunID: Run] = [:]
    var runsOfTenant: [TenantID: [RunID]] = [:]
    var jobs: [JobID: Job] = [:]
    var jobsOfRun: [RunID: [JobID]] = [:]
    var reasons: [TenantID: [String: Reason]] = [:]
    var operations: [String: ManagerOperation] = [:]
    var receipts: [EpochKey: Receipt] = [:]
    /// Jobs whose end nobody could confirm, and why.
    var quarantined: [JobID: String] = [:]
    var givenUp: [JobID: GivenUpRow] = [:]
    var nodes: [NodeKey: StoredNode] = [:]
    var attachments: [ProviderID: NodeID] = [:]

    /// `oms.retention`.
    var prunedBefore: Timestamp?
    /// What was pruned. Only the judges look here.
    var pruned = History()

    /// Of the active registry's row: one more with each transaction.
    var mark = 0
    /// Some ends of jobs are refused as they are.
    var refusesEnds = false
    /// `oms.quarantine`: jobs whose end was refused.
    var setAside: [JobID: JobRecord] = [:]

    var changes: [Change] = []
    var commits = 0
    /// Mutants: rules of the SQL that are left out.
    var broken: Set<Mutant> = []
    /// `now()`.
    var now = Timestamp(milliseconds: 0)

    mutating func transact(_ request: StoreRequest) -> StoreReply {
        switch request {
        case .load: return .loaded(load())
        case .apply(let documents, _, _): return apply(documents)
        case .savePlan(let tenant, let config, _):
            savePlan(tenant, config)
            return .saved
        case .openEpoch(let tenant, let expected, let fleet, let boot, _, let reason):
            return openEpoch(tenant, expected: expected, fleet, boot, reason)
        case .beginOperation(let operation): return begin(operation)
        case .saveOperation(let operation):
            write(operation)
            return .saved
        case .openJobs(let tenant): return .openJobs(openJobs(tenant))
        case .closeEpoch(let closing):
            close(closing)
            return .saved
        case .audit(let tenants): return .audited(audit(tenants))
        case .resume(let tenant): return .resume(resume(tenant))
        case .recover(let recovery): return .recovered(recover(recovery))
        case .removeTenant(let tenant, _):
            removeTenant(tenant)
            return .saved
        case .assign(let provider, let gateway):
            attachments[provider] = gateway
            return .saved
        case .drainFleet(let fleet, let isDraining, _):
            nodes[NodeKey(role: .fleet, node: fleet)]?.isDraining = isDraining
            return .saved
        case .prove: return .saved
        // Roll-outs are not simulated: nobody starts one here.
        case .saveRollout(let rollout): return .rollout(rollout, nil)
        case .rolloutFigures: return .figures([])
        case .commit(let tenant, let journal):
            let before = setAside.count
            let seq = commit(tenant, journal)
            let kept = setAside.count - before
            if kept == 0 { return .committed(seq) }
            return .committed(
                seq, setAside: [SetAside(id: Int64(setAside.count), fact: "\(kept) ends", error: "23514", hasRow: true)]
            )
        case .observe(let observations):
            for observation in observations { observe(observation) }
            return .observed
        case .renew(let provider, _, let version, _):
            guard let known = providers[provider], known.1 == version else {
                return .failed(Problem(.conflict, "it was changed meanwhile", status: 409))
            }
            providers[provider] = (known.0, version + 1)
            return .applied(
                [AppliedDocument(kind: "Provider", name: provider.text, change: .changed, version: version + 1)],
                past: [:])
        case .saveVerification: return .saved
        case .giveUp(let job, let evidence, let client, let at): return giveUp(job, evidence, client, at)
        case .endGiveUp(let wish, let refused, let at):
            endGiveUp(wish, refused: refused, at)
            return .saved
        case .signOfLife: return .saved
        case .prune(let pruning): return .pruned(prune(pruning))
        case .query(let query, _): return .answer(ClientResponse(id: query.id, status: 200, result: ["rows": []]))
        // Nobody is asked to decide here.
        case .settleQuarantined: return .failed(Problem(.notFound, "nothing was set aside", status: 404))
        }
    }
}
