import OMSCore
import OMSModel
import OMSProtocol

/// Watches everything and says which promise was broken first.
struct Checker {
    let setting: Setting
    let enabled: Set<Invariant>
    private(set) var violation: Violation?

    /// Per gateway and tenant the highest epoch that a submit or stop has carried.
    private var carried: [DoorKey: Int] = [:]
    /// Per tenant the highest epoch whose Work Manager has begun.
    private var begun: [TenantID: Int] = [:]
    /// Work Managers that live, whether anybody hears of them or not.
    private var living: [HostKey: Int] = [:]
    /// Per gateway and provider: since when it has it, and its last submit.
    private var doors: [GateKey: (since: SimTime, submit: SimTime)] = [:]
    private var executions: [ExecutionKey: Int] = [:]
    /// Jobs that a provider executed, forgot, and executed again, because a submit came late.
    var forgotten: Set<JobID> = []
    /// Jobs that were executed: the provider's memory that knew them last, and the epoch that asked.
    var executed: [JobID: (memory: Int, epoch: Int, at: SimTime)] = [:]
    private(set) var contradictions = 0
    /// When each Work Manager was told its rows, within the last minute.
    private var repairs: [String: [SimTime]] = [:]

    struct DoorKey: Hashable {
        var gateway: Int
        var tenant: TenantID
    }

    struct GateKey: Hashable {
        var gateway: Int
        var provider: ProviderID
    }

    struct HostKey: Hashable {
        var fleet: Int
        var tenant: TenantID
    }

    struct ExecutionKey: Hashable {
        var job: JobID
        var provider: ProviderID
        var memory: Int
    }

    /// Two gateways and a few tenants need some tens; more is a loop.
    private static let maxEventsPerSecond = 3_000
    private static let maxStoreRequests = 2_000
    private static let maxRepairsPerMinute = 8

    init(_ setting: Setting, _ options: SimulationOptions) {
        self.setting = setting
        enabled = options.invariants
    }

    mutating func violated(_ invariant: Invariant, at now: SimTime, _ text: String) {
        guard violation == nil, enabled.contains(invariant) else { return }
        violation = Violation(invariant: invariant, text: text, at: SimClock.text(now))
    }

    // MARK: - Work Managers and doors

    mutating func fleetReports(_ node: Node, _ report: Fleet.Report, at now: SimTime) {
        switch report {
        case .started(let tenant, let epoch, _, _):
            living[HostKey(fleet: node.index, tenant: tenant)] = epoch
            begun[tenant] = max(begun[tenant] ?? 0, epoch)
        case .ended(let tenant, let epoch, _):
            let key = HostKey(fleet: node.index, tenant: tenant)
            if living[key] == epoch { living[key] = nil }
        default: break
        }
    }

    mutating func processEnded(_ node: Node) {
        living = living.filter { $0.key.fleet != node.index }
    }

    /// Fleets on which a Work Manager of the tenant lives, with its epoch.
    func hosts(of tenant: TenantID) -> [(fleet: Int, epoch: Int)] {
        living.filter { $0.key.tenant == tenant }.map { ($0.key.fleet, $0.value) }.sorted { $0.0 < $1.0 }
    }

    mutating func attached(_ node: Node, _ provider: ProviderID, at now: SimTime) {
        doors[GateKey(gateway: node.index, provider: provider)] = (now, -1)
    }

    /// It submits, although another one has submitted since this one was given the provider.
    private mutating func submits(_ node: Node, _ provider: ProviderID, at now: SimTime) {
        let key = GateKey(gateway: node.index, provider: provider)
        let since = doors[key]?.since ?? now
        for (other, door) in doors where other.provider == provider && other.gateway != node.index {
            if door.submit > since {
                violated(
                    .twoDoors, at: now,
                    "\(node.id), which has \(provider) since \(SimClock.text(since)), submits; "
                        + "\(setting.nodes[other.gateway].id) did at \(SimClock.text(door.submit))")
            }
        }
        doors[key] = (since, now)
    }

    mutating func callLeaves(_ node: Node, _ call: ProviderCall, at now: SimTime) {
        guard let tenant = call.tenant, let epoch = call.epoch else { return }
        switch call.kind {
        case .submit(let request):
            submits(node, call.provider, at: now)
            if !node.ledger.holdsIntent(of: request.id) {
                violated(.noIntent, at: now, "\(node.id) submits job \(request.id) without an intent on its disk")
            }
        case .stop: break
        case .services, .status, .sweep, .job, .batch: return
        }
        let key = DoorKey(gateway: node.index, tenant: tenant)
        if epoch < carried[key] ?? 0 {
            violated(
                .doorFallsBack, at: now,
                "\(node.id) acts for \(tenant) with epoch \(epoch) after \(carried[key] ?? 0): \(call.kind.summary)")
        }
        carried[key] = max(carried[key] ?? 0, epoch)
        if epoch < begun[tenant] ?? 0 {
            violated(
                .oldEpochActs, at: now,
                "\(node.id) acts for \(tenant) with epoch \(epoch), epoch \(begun[tenant] ?? 0) has begun: "
                    + call.kind.summary)
        }
    }

    /// A request whose gateway still waits for its answer reaches the provider.
    mutating func callArrives(_ call: ProviderCall, at now: SimTime) {
        guard let tenant = call.tenant, let epoch = call.epoch, epoch < begun[tenant] ?? 0 else { return }
        switch call.kind {
        case .submit, .stop:
            violated(
                .oldEpochArrives, at: now,
                "\(call.kind.summary) of epoch \(epoch) of \(tenant) reaches \(call.provider), epoch "
                    + "\(begun[tenant] ?? 0) has begun")
        case .services, .status, .sweep, .job, .batch: break
        }
    }

    mutating func executed(_ execution: SimProvider.Execution, at provider: ProviderID) {
        if let before = executed[execution.job], before.memory != execution.memory { forgotten.insert(execution.job) }
        executed[execution.job] = (execution.memory, execution.epoch, execution.at)
        let key = ExecutionKey(job: execution.job, provider: provider, memory: execution.memory)
        executions[key, default: 0] += 1
        if executions[key] == 2 {
            violated(.executedTwice, at: execution.at, "\(provider) begins job \(execution.job) a second time")
        }
    }

    // MARK: - Rows

    mutating func stored(
        _ change: SimDatabase.Change, by request: StoreRequest, in database: SimDatabase, at now: SimTime
    ) {
        let isFound = if case .recover = request { true } else { false }
        switch change {
        case .epochOpened: break
        case .tick: break
        case .tickAgain(let key, let kept, let refused):
            if kept.outcome != refused.outcome || kept.run != refused.run {
                violated(
                    .tickTwice, at: now,
                    "\(key.tenant) \(key.service) \(kept.due): \(kept.outcome.rawValue) "
                        + "\(kept.run?.description ?? ""), then \(refused.outcome.rawValue) "
                        + (refused.run?.description ?? ""))
            }
        case .run(let run, let before):
            // Its jobs may be gone with it.
            if before == nil, database.pruned.runs[run.record.id] != nil {
                return returned("run \(run.record.id)", isOpen: isFound && run.record.finished == nil, at: now)
            }
            finished(run, in: database, at: now)
        case .job(let job, let before):
            if before == nil, database.pruned.jobs[job.record.id] != nil {
                returned("job \(job.record.id)", isOpen: isFound && !job.record.state.isTerminal, at: now)
            }
            if let before, before.record.state.isTerminal {
                violated(
                    .secondEnd, at: now,
                    "job \(job.record.id) was \(before.record.state.rawValue) and is \(job.record.state.rawValue)")
            }
        // A contradiction is refused; the row stands.
        case .jobRefused: contradictions += 1
        }
    }

    /// A late word of a Work Manager may make a row again, which ends and is pruned again: the retention of a simulated history
    /// is shorter than a Work Manager's memory. What a gateway names of a time that is pruned may not come to life.
    private mutating func returned(_ row: String, isOpen: Bool, at now: SimTime) {
        if isOpen { violated(.prunedReturns, at: now, "\(row) was pruned with its end, and is open now") }
    }

    /// A finished run's result names every provider that has a job of it.
    private mutating func finished(_ run: SimDatabase.Run, in database: SimDatabase, at now: SimTime) {
        guard run.record.finished != nil else { return }
        guard let result = run.record.result else {
            return violated(.resultIncomplete, at: now, "run \(run.record.id) ended without a result")
        }
        let named = result.providers.map(\.provider)
        // Not what a gateway named a moment ago, of which the run's Work Manager has not heard yet.
        let known = (database.jobsOfRun[run.record.id] ?? []).compactMap { database.jobs[$0]?.record }
            .filter { $0.state != .unknown || $0.revision > 1 }
        let asked = Set(known.map(\.provider))
        let all = (database.jobsOfRun[run.record.id] ?? []).compactMap { database.jobs[$0]?.record.provider }
        if Set(named).count != named.count || !asked.isSubset(of: named) || !Set(named).isSubset(of: all) {
            violated(
                .resultIncomplete, at: now,
                "run \(run.record.id) names \(named), asked were \(asked.sorted())")
        }
        for contribution in result.providers where contribution.outcome == .used {
            guard let job = contribution.job, let row = database.jobs[job] else { continue }
            if row.record.state.isTerminal, row.record.state != .succeeded {
                violated(
                    .resultIncomplete, at: now,
                    "run \(run.record.id) uses job \(job), which is \(row.record.state.rawValue)")
            }
        }
    }

    mutating func published(_ node: Node, _ message: Message, at now: SimTime) {
        if case .wmControl(let control) = message.payload, control.command == .reconcile {
            repaired(message.topic, at: now)
        }
        guard case .result(let result) = message.payload else { return }
        let named = result.providers.map(\.provider)
        if Set(named).count != named.count {
            violated(.resultIncomplete, at: now, "the result of run \(result.run) names a provider twice")
        }
    }

    // MARK: - Bounds

    private mutating func repaired(_ topic: Topic, at now: SimTime) {
        let recent = repairs[topic.name, default: []].filter { now - $0 < 60 * SimClock.second } + [now]
        repairs[topic.name] = recent
        if recent.count == Self.maxRepairsPerMinute {
            violated(.repairLoop, at: now, "\(topic.name) is told its rows \(recent.count) times within a minute")
        }
    }

    mutating func busy(_ node: Node, _ eventsInSecond: Int, at now: SimTime) {
        if eventsInSecond == Self.maxEventsPerSecond {
            violated(.timerStorm, at: now, "\(node.id) handles \(eventsInSecond) events within a second")
        }
    }

    mutating func checkCore(_ node: Node, at now: SimTime) {
        let broken =
            node.registry?.brokenInvariant() ?? node.fleet?.brokenInvariant() ?? node.gateway?.brokenInvariant()
        if let broken { violated(.core, at: now, "\(node.id): \(broken)") }
    }

    mutating func waiting(_ node: Node, at now: SimTime) {
        if node.storeOpen == Self.maxStoreRequests {
            violated(.memory, at: now, "\(node.id) waits for \(node.storeOpen) answers of the database")
        }
    }
}
