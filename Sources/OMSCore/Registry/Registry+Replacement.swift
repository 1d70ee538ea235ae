import OMSModel
import OMSProtocol

/// Drain, seal, sweep, close, open: how one Work Manager ends and only then the next begins (docs/internals/replacement.md).
///
/// Each step is repeated by the tenant's timer until its answer comes, and each may be begun again by a registry that
/// knows no more than PostgreSQL: the operation's row, the epoch's row and the receipt.
extension Registry {
    /// How long a Work Manager may take to end its jobs, unless the operator says otherwise.
    static let drainSeconds = 120
    /// Beyond the drain's deadline: what it stops then needs a moment to end.
    static let drainSlackMilliseconds: Int64 = 30_000
    static let sweepMilliseconds: Int64 = 60_000
    static let defaultReplaceAfterSeconds = 30

    // MARK: - Begin

    /// Stores the operation; it begins when that is done. One at a time for a tenant.
    /// - Returns: the ticket of the stored request, or why not.
    @discardableResult
    mutating func begin(
        _ kind: ManagerOperation.Kind, _ tenant: TenantID, reason: String, initiator: String,
        deadlineSeconds: Int? = nil, isForced: Bool = false, at now: Moment
    ) -> Result<Int, Problem> {
        guard let track = tenants[tenant] else {
            return .failure(Problem(.notFound, "no tenant '\(tenant)' is registered", status: 404))
        }
        if let open = track.operation {
            return .failure(Self.isUnderWay(open))
        }
        guard !track.isBeginning else {
            return .failure(Problem(.conflict, "another operation is just beginning", status: 409, retryable: true))
        }
        tenants[tenant]?.isBeginning = true
        let operation = ManagerOperation(
            id: "\(OperationID(time: now.wall, of: "operation", tenant.text, "\(track.epoch)", "\(nextTicket)"))",
            tenant: tenant, kind: kind, phase: isForced ? .sealing : .draining, reason: reason, initiator: initiator,
            startedAt: now.wall, deadline: now.wall.advanced(bySeconds: deadlineSeconds ?? Self.drainSeconds),
            epoch: track.epoch, isForced: isForced)
        return .success(store(.beginOperation(operation)))
    }

    static func isUnderWay(_ operation: ManagerOperation) -> Problem {
        Problem(
            .conflict,
            "operation \(operation.id) (\(operation.kind.rawValue), \(operation.phase.rawValue)) is under way",
            status: 409, retryable: true)
    }

    mutating func begun(_ operation: ManagerOperation, at now: Moment) {
        let tenant = operation.tenant
        tenants[tenant]?.isBeginning = false
        tenants[tenant]?.operation = operation
        tenants[tenant]?.savedOperation = operation
        guard let track = tenants[tenant] else { return }
        announce(
            "operation.started", tenant,
            "tenant \(tenant): \(operation.kind.rawValue) of epoch \(operation.epoch) (\(operation.reason)), asked by "
                + operation.initiator)
        switch track.phase {
        case .active, .starting:
            // Of the epoch that runs now: another one may have begun while the operation was being stored.
            tenants[tenant]?.operation?.epoch = track.epoch
            if operation.isForced { startSealing(tenant, at: now) } else { startDraining(tenant, at: now) }
        case .sealing where !track.isEnded:
            // Its process ended meanwhile: what it left is ended by the gateways.
            advance(tenant, .sealing, isForced: true, at: now)
        case .opening where operation.kind == .replace || operation.kind == .move:
            // A new epoch is on its way already.
            advance(tenant, .starting, at: now)
        case .idle, .draining, .sealing, .sweeping, .closing, .opening:
            advance(tenant, .sealing, at: now)
            if track.phase == .idle { startSealing(tenant, at: now) }
        }
    }

    private mutating func enter(_ tenant: TenantID, _ phase: TenantTrack.Phase, at now: Moment) {
        tenants[tenant]?.phase = phase
        tenants[tenant]?.phaseBegan = now.monotonic
    }

    /// The operation's next phase, for whoever watches it.
    mutating func advance(
        _ tenant: TenantID, _ phase: ManagerOperation.Phase, isForced: Bool? = nil, at now: Moment
    ) {
        guard tenants[tenant]?.operation != nil else { return }
        tenants[tenant]?.operation?.phase = phase
        if let isForced { tenants[tenant]?.operation?.isForced = isForced }
        if phase.isTerminal { tenants[tenant]?.operation?.endedAt = now.wall }
        saveOperation(tenant)
    }

    mutating func saveOperation(_ tenant: TenantID) {
        guard let track = tenants[tenant], let operation = track.operation, !track.isSavingOperation,
            operation != track.savedOperation
        else { return }
        tenants[tenant]?.isSavingOperation = true
        store(.saveOperation(operation))
    }

    mutating func operationSaved(_ operation: ManagerOperation, isSaved: Bool, at now: Moment) {
        let tenant = operation.tenant
        tenants[tenant]?.isSavingOperation = false
        guard isSaved else {
            // What is newest counts; the tenant's timer tries again.
            return timers.set(.operation(tenant), now.monotonic + 1_000)
        }
        tenants[tenant]?.savedOperation = operation
        guard let current = tenants[tenant]?.operation, current.id == operation.id else { return }
        if operation.phase.isTerminal {
            tenants[tenant]?.operation = nil
            // Not before: whoever hears it may begin the next operation at once.
            let seconds = ((operation.endedAt ?? now.wall).milliseconds - operation.startedAt.milliseconds) / 1000
            announce(
                "operation.\(operation.phase.rawValue)", tenant,
                "tenant \(tenant): \(operation.kind.rawValue) \(operation.phase.rawValue) after \(seconds) s"
                    + (operation.isForced ? ", by force" : ""))
            replanSoon(at: now)
        } else {
            saveOperation(tenant)
        }
    }

    mutating func finish(_ tenant: TenantID, _ outcome: ManagerOperation.Phase, at now: Moment) {
        guard let operation = tenants[tenant]?.operation, !operation.phase.isTerminal else { return }
        advance(tenant, outcome, at: now)
    }

    // MARK: - Drain

    private mutating func startDraining(_ tenant: TenantID, at now: Moment) {
        enter(tenant, .draining, at: now)
        tenants[tenant]?.holder = nil
        tenants[tenant]?.lastHeard = now.monotonic
        attend(tenant, at: now)
    }

    mutating func attendDraining(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], let operation = track.operation, let fleet = track.fleet else { return }
        if isProcessGone(track) {
            advance(tenant, .sealing, isForced: true, at: now)
            return startSealing(tenant, at: now)
        }
        let patience = NumberBounds.milliseconds(specs[tenant]?.replaceAfterSeconds ?? Self.defaultReplaceAfterSeconds)
        let isSilent = now.monotonic - track.lastHeard >= patience
        let isOverdue = now.wall >= operation.deadline.advanced(byMilliseconds: Self.drainSlackMilliseconds)
        let isDue = isSilent || isOverdue || track.isOvertaken
        if !isDue { explainDrain(tenant, operation, at: now) }
        if isDue, mayForce(tenant, operation, at: now) {
            explain(
                tenant, "forced",
                "the Work Manager of epoch \(track.epoch) "
                    + (isSilent ? "is silent" : isOverdue ? "did not end by its deadline" : "is not the last one")
                    + "; the gateways end its jobs", at: now)
            advance(tenant, .sealing, isForced: true, at: now)
            return startSealing(tenant, at: now)
        }
        var drain = control(.drain, track, fleet, deadline: operation.deadline, reason: operation.reason)
        if isFinal(tenant) { drain.final = true }
        publish(.wmControl(tenant), .wmControl(drain))
        sendBeat(tenant)
        timers.set(.tenant(tenant), now.monotonic + Self.resendMilliseconds)
    }

    /// No Work Manager comes after this one that could adopt a job.
    func isFinal(_ tenant: TenantID) -> Bool {
        let kind = tenants[tenant]?.operation?.kind
        return kind == .suspend || kind == .offboard || specs[tenant]?.suspended == true
    }

    /// Of what is still open: left running for the next Work Manager.
    private func isKept(_ row: OpenJobRow, of tenant: TenantID) -> Bool {
        row.onReplace == .adopt && !isFinal(tenant)
    }

    /// Whether the door's word is enough for this tenant; if not, says what is waited for.
    mutating func mayForce(_ tenant: TenantID, _ operation: ManagerOperation?, at now: Moment) -> Bool {
        guard specs[tenant]?.proof == .strict, operation?.evidence == nil else { return true }
        explain(
            tenant, "waits-for-proof",
            "proof: strict, and nothing proves that the Work Manager of epoch \(tenants[tenant]?.epoch ?? 0) has ended: "
                + "start its fleet again, or make sure and say `oms operation force \(tenant) --evidence ...`"
                + (tenants[tenant]?.phase == .draining ? drainHolderText(tenant) : ""), at: now)
        return false
    }

    mutating func drainAcknowledged(_ tenant: TenantID, _ ack: WMAck, at now: Moment) {
        guard tenants[tenant]?.phase == .draining else { return }
        switch ack.phase {
        case .accepted, .progress:
            show(tenant, "draining", at: now)
            if let remaining = ack.remaining {
                tenants[tenant]?.operation?.remaining = remaining
                saveOperation(tenant)
            }
        case .done:
            // More than is committed: it drained before the database was restored, and the gateways must name its jobs.
            if let track = tenants[tenant], let lastSeq = ack.lastSeq, lastSeq <= track.ackSeq {
                tenants[tenant]?.toldAll = track.epoch
            }
            // Without a last number it has ended, but not drained: a process that knew it no more.
            advance(tenant, .sealing, isForced: ack.lastSeq == nil, at: now)
            startSealing(tenant, at: now)
        case .rejected, .failed: break  // a newer process says so in its presence too
        }
    }

    // MARK: - Seal

    mutating func startSealing(_ tenant: TenantID, at now: Moment) {
        enter(tenant, .sealing, at: now)
        clearDrainReason(tenant)
        tenants[tenant]?.sweep = nil
        if let epoch = tenants[tenant]?.sealedEpoch { wantSeals(of: tenant, epoch, at: now) }
        attend(tenant, at: now)
    }

    mutating func attendSealing(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], track.phase == .sealing else { return }
        timers.set(.tenant(tenant), now.monotonic + 1_000)
        let missing = unsealed(tenant, track.sealedEpoch, at: now)
        guard missing.isEmpty else {
            if now.monotonic - track.phaseBegan > Self.explainAfterMilliseconds {
                explain(
                    tenant, "waits-for-seal",
                    "gateway \(missing.map(\.text).joined(separator: ", ")) has not confirmed that it refuses epoch "
                        + "\(track.epoch); a gateway that is lost counts as gone after "
                        + "\(Self.gatewayHoldMilliseconds / 1000) s", at: now)
            }
            return
        }
        if track.isEnded { return openNext(tenant, at: now) }
        // Its process may be gone, but not that of a later one.
        if track.isOvertaken, track.operation == nil { return goBeyond(tenant, at: now) }
        // Without an operation about this very epoch its process is gone, and what it left goes to the next one.
        guard track.operation?.epoch == track.epoch else { return openNext(tenant, at: now) }
        // After a graceful drain too: a doubled submit may have met a gateway that had lost the end of its job with its
        // memory (docs/internals/model, `SWEEP_ALWAYS`). Where no job is open, it costs one question.
        startSweeping(tenant, at: now)
    }

    static let explainAfterMilliseconds: Int64 = 5_000

    // MARK: - Sweep

    private mutating func startSweeping(_ tenant: TenantID, at now: Moment) {
        enter(tenant, .sweeping, at: now)
        tenants[tenant]?.sweep = SweepProgress(deadline: now.monotonic + Self.sweepMilliseconds)
        advance(tenant, .sweeping, at: now)
        attend(tenant, at: now)
    }

    mutating func attendSweeping(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], let sweep = track.sweep else { return }
        timers.set(.tenant(tenant), now.monotonic + Self.resendMilliseconds)
        guard let rows = sweep.rows else {
            guard !sweep.isReading else { return }
            tenants[tenant]?.sweep?.isReading = true
            store(.openJobs(tenant))
            return
        }
        // Nobody was asked meanwhile: the time for it begins when orders are given again.
        guard !isInDoubt else {
            tenants[tenant]?.sweep?.deadline = now.monotonic + Self.sweepMilliseconds
            return
        }
        let gates = sweepers(at: now)
        let keep = rows.filter { isKept($0, of: tenant) }.map(\.job)
        for node in gates {
            let mine = rows.filter {
                !isKept($0, of: tenant) && sweep.ended[$0.job] == nil && providers[$0.provider]?.gateway == node
            }
            var jobs = mine.map { SweepJob(job: $0.job, provider: $0.provider) }[...]
            let only = keep.count > entries(Sweep.maxKeep)
            repeat {
                let part = Array(jobs.prefix(entries(Sweep.maxJobs)))
                jobs = jobs.dropFirst(part.count)
                publish(
                    .gatewayControl(node),
                    .gatewayControl(
                        GatewayControl(
                            id: commandID(), command: .sweep,
                            sweep: Sweep(
                                tenant: tenant, epoch: track.sealedEpoch, jobs: part, keep: only ? [] : keep,
                                only: only ? true : nil))))
            } while !jobs.isEmpty
        }
        concludeSweep(tenant, at: now)
    }

    /// Gateways that have providers and can hear.
    private func sweepers(at now: Moment) -> [NodeID] {
        Set(providers.values.compactMap(\.gateway)).filter { isConnected($0) }.sorted()
    }

    mutating func sweepRead(_ tenant: TenantID, _ rows: [OpenJobRow]?, at now: Moment) {
        guard tenants[tenant]?.phase == .sweeping else { return }
        tenants[tenant]?.sweep?.isReading = false
        guard let rows else { return timers.set(.tenant(tenant), now.monotonic + 1_000) }
        tenants[tenant]?.sweep?.rows = rows
        attend(tenant, at: now)
    }

    mutating func swept(_ node: NodeID, _ ack: GatewayAck, at now: Moment) {
        guard let report = ack.swept, let track = tenants[report.tenant], track.phase == .sweeping,
            report.epoch == track.sealedEpoch, gateways[node]?.presence.boot == ack.boot
        else { return }
        for job in report.ended { tenants[report.tenant]?.sweep?.ended[job.job] = job }
        tenants[report.tenant]?.sweep?.remaining[node] = report.remaining
        tenants[report.tenant]?.operation?.remaining = report.remaining.count
        saveOperation(report.tenant)
        concludeSweep(report.tenant, at: now)
    }

    private mutating func concludeSweep(_ tenant: TenantID, at now: Moment) {
        guard let sweep = tenants[tenant]?.sweep, let rows = sweep.rows else { return }
        let stopping = rows.filter { !isKept($0, of: tenant) }
        let unreported = sweepers(at: now).filter { sweep.remaining[$0] == nil }
        let isComplete =
            unreported.isEmpty && sweep.remaining.values.allSatisfy(\.isEmpty)
            && stopping.allSatisfy { sweep.ended[$0.job] != nil }
        if isComplete || now.monotonic >= sweep.deadline { close(tenant, at: now) }
    }

    // MARK: - Close

    private mutating func close(_ tenant: TenantID, at now: Moment) {
        enter(tenant, .closing, at: now)
        advance(tenant, .closing, at: now)
        attend(tenant, at: now)
    }

    mutating func attendClosing(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], let operation = track.operation else { return }
        timers.set(.tenant(tenant), nil)
        let ended = (track.sweep?.ended.values).map { Array($0) } ?? []
        var open: [JobID: EpochClosing.SweptRow] = [:]
        for row in track.sweep?.rows ?? [] where !isKept(row, of: tenant) && track.sweep?.ended[row.job] == nil {
            let reason =
                providers[row.provider]?.gateway.map { "gateway \($0) did not say how it ended" }
                ?? "no gateway is online for provider \(row.provider)"
            open[row.job] = EpochClosing.SweptRow(
                job: row.job, provider: row.provider, state: .unknown, error: Problem(.submitUnknown, reason))
        }
        for job in (track.sweep?.remaining.values).map({ $0.flatMap { $0 } }) ?? [] {
            open[job.job] = EpochClosing.SweptRow(
                job: job.job, provider: job.provider, state: job.state, error: job.error)
        }
        store(
            .closeEpoch(
                EpochClosing(
                    tenant: tenant, epoch: track.epoch, operation: operation.id, reason: operation.reason,
                    isGraceful: !operation.isForced, since: operation.startedAt,
                    swept: ended.sorted { $0.job < $1.job }.map {
                        EpochClosing.SweptRow(job: $0.job, provider: $0.provider, state: $0.state, error: $0.error)
                    },
                    quarantined: open.values.sorted { $0.job < $1.job }, at: now.wall)))
    }

    mutating func closed(_ tenant: TenantID, isClosed: Bool, at now: Moment) {
        guard tenants[tenant]?.phase == .closing else { return }
        guard isClosed else { return timers.set(.tenant(tenant), now.monotonic + 1_000) }
        tenants[tenant]?.isEnded = true
        tenants[tenant]?.sweep = nil
        show(tenant, "stopped", at: now)
        announce("wm.ended", tenant, "Work Manager of \(tenant), epoch \(tenants[tenant]?.epoch ?? 0), has ended")
        openNext(tenant, at: now)
    }

    // MARK: - Open

    /// Everything of the old epoch is over: the next one begins, if one is wanted.
    mutating func openNext(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant] else { return }
        switch track.operation?.kind {
        case .suspend:
            finish(tenant, .done, at: now)
            return rest(tenant)
        case .offboard:
            timers.set(.tenant(tenant), now.monotonic + 1_000)
            if track.isEnded { store(.removeTenant(tenant, by: track.operation?.initiator ?? "")) }
            return
        case .replace, .move, nil: break
        }
        // More was learnt after the seal.
        if !unsealed(tenant, track.nextEpoch, at: now).isEmpty {
            return startSealing(tenant, at: now)
        }
        guard let config = track.config, specs[tenant]?.suspended != true else {
            // Suspended while it was being replaced: that is all there is to do, and nothing may be left under way.
            finish(tenant, .done, at: now)
            return rest(tenant)
        }
        if isPaused(tenant, at: now) {
            if track.phase != .sealing { enter(tenant, track.epoch > 0 ? .sealing : .idle, at: now) }
            return
        }
        guard let (fleet, boot) = chooseFleet(at: now) else {
            explain(tenant, "no-fleet", "no fleet is online; start wm-fleet", at: now)
            if track.phase != .sealing { enter(tenant, track.epoch > 0 ? .sealing : .idle, at: now) }
            return timers.set(.tenant(tenant), now.monotonic + 1_000)
        }
        let reason =
            track.operation.map(\.reason)
            ?? (track.epoch == 0
                ? "first start"
                : track.isEnded ? "started again" : "the process of epoch \(track.epoch) is gone")
        enter(tenant, .opening, at: now)
        fleetLoad[fleet, default: 0] += 1
        store(
            .openEpoch(
                tenant, expected: track.nextEpoch, fleet: fleet, boot: boot, generation: config.generation,
                reason: reason))
    }

    /// No Work Manager is wanted now.
    private mutating func rest(_ tenant: TenantID) {
        tenants[tenant]?.phase = .idle
        timers.set(.tenant(tenant), nil)
    }

    mutating func opened(
        _ tenant: TenantID, _ epoch: Int, _ since: Timestamp, _ resume: WorkManagerResume, _ fleet: NodeID,
        _ boot: Int64, at now: Moment
    ) {
        enter(tenant, .starting, at: now)
        sayWhatWasSkipped(tenant, epoch)
        tenants[tenant]?.epoch = epoch
        tenants[tenant]?.isEnded = false
        tenants[tenant]?.since = since
        tenants[tenant]?.fleet = fleet
        tenants[tenant]?.boot = boot
        tenants[tenant]?.resume = resume
        tenants[tenant]?.ackSeq = 0
        tenants[tenant]?.handedSeq = 0
        tenants[tenant]?.unanswered = 0
        tenants[tenant]?.lastAudit = nil
        tenants[tenant]?.repairs = 0
        tenants[tenant]?.replacementReason = nil
        clearReason(tenant)
        publishEpoch(tenant)
        if let kind = tenants[tenant]?.operation?.kind, kind == .suspend || kind == .offboard {
            // It came while this epoch was being written: nobody is started with it any more.
            tenants[tenant]?.operation?.epoch = epoch
            advance(tenant, .sealing, isForced: true, at: now)
            return startSealing(tenant, at: now)
        }
        advance(tenant, .starting, at: now)
        attend(tenant, at: now)
    }
}
