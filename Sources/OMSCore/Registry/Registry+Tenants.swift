import OMSModel
import OMSProtocol

/// Plans, placement, bootstraps, heartbeats.
extension Registry {
    mutating func reconcileAll(at now: Moment) {
        guard isLoaded, now.monotonic >= planFrom else { return }
        let views = providerViews(at: now)
        for tenant in specs.keys.sorted() {
            plan(tenant, views, at: now)
            place(tenant, at: now)
        }
        moveTenants(at: now)
    }

    func providerViews(at now: Moment) -> ProviderViews {
        ProviderViews(
            providers.mapValues { track in
                ProviderView(
                    services: track.catalog?.services ?? [], isUsable: isUsable(track, at: now),
                    why: whyNot(track, at: now))
            })
    }

    private mutating func plan(_ tenant: TenantID, _ views: ProviderViews, at now: Moment) {
        guard let spec = specs[tenant], let track = tenants[tenant] else { return }
        guard !track.isSavingPlan else {
            tenants[tenant]?.isPlanOld = true
            return
        }
        switch Planner.plan(
            tenant, spec, scenarios: scenarios(of: tenant), providers: views, previous: track.config, now: now.wall)
        {
        case .unsatisfied(let code, let text):
            // What runs goes on: a lesser plan is better than none, and a suspension is a shutdown of its own.
            explain(tenant, code, text, at: now)
            if code == "suspended" { suspend(tenant, at: now) }
        case .plan(var config, let explanation):
            config.generation = track.generation
            if config == track.config {
                noteRollout(tenant, config)
                if track.reason?.code == "no-scenario" || track.reason?.code == "suspended" { clearReason(tenant) }
                return
            }
            config.generation = track.generation + 1
            noteRollout(tenant, config)
            tenants[tenant]?.isSavingPlan = true
            let change = PlanChange(from: track.config, to: config)
            store(
                .savePlan(
                    tenant, config,
                    explanation: change.isEmpty ? explanation : "\(explanation) (changed: \(change.text))"))
        }
    }

    mutating func planSaved(
        _ tenant: TenantID, _ config: WorkManagerConfig, _ explanation: String, at now: Moment
    ) {
        tenants[tenant]?.isSavingPlan = false
        if tenants[tenant]?.isPlanOld == true {
            tenants[tenant]?.isPlanOld = false
            replanSoon(at: now)
        }
        let change = PlanChange(from: tenants[tenant]?.config, to: config)
        if change.needsReplacement { tenants[tenant]?.replacementReason = change.replacementReason }
        tenants[tenant]?.config = config
        clearReason(tenant)
        announce("tenant.planned", tenant, "tenant \(tenant) generation \(config.generation): \(explanation)")
        switch tenants[tenant]?.phase {
        case .active: putInForce(tenant, at: now)
        case .idle: place(tenant, at: now)
        case .draining, .sealing, .sweeping, .closing, .opening, .starting, nil: break
        }
    }

    /// Gives a tenant without a Work Manager one, and looks after one whose process is not there.
    mutating func place(_ tenant: TenantID, at now: Moment) {
        guard now.monotonic >= planFrom, let track = tenants[tenant] else { return }
        switch track.phase {
        case .active, .starting: checkProcess(tenant, track, at: now)
        case .idle:
            guard track.config != nil, specs[tenant]?.suspended != true, track.operation == nil else { return }
            // The first one too: only the gateways know that it is the first (`Registry+Ahead.swift`).
            startSealing(tenant, at: now)
        case .draining, .sealing, .sweeping, .closing, .opening: break
        }
    }

    /// A newer process under the same name, or a goodbye, proves that the old one has ended. Silence does not.
    func isProcessGone(_ track: TenantTrack) -> Bool {
        guard let presence = track.fleet.flatMap({ fleets[$0]?.presence }) else { return false }
        return presence.boot > track.boot || (presence.boot == track.boot && presence.state == .offline)
    }

    private mutating func checkProcess(_ tenant: TenantID, _ track: TenantTrack, at now: Moment) {
        guard let fleet = track.fleet else { return }
        if track.isOvertaken { return goBeyond(tenant, at: now) }
        if isProcessGone(track) { return startSealing(tenant, at: now) }
        if fleets[fleet]?.presence.state == .online {
            if track.reason?.code == "fleet-lost" || track.reason?.code == "waits-for-proof" { clearReason(tenant) }
            return
        }
        let since = fleets[fleet]?.lostSince ?? planFrom
        let patience = NumberBounds.milliseconds(specs[tenant]?.replaceAfterSeconds ?? Self.defaultReplaceAfterSeconds)
        guard now.monotonic - since >= patience, chooseFleet(at: now) != nil, !track.isBeginning else {
            return explain(
                tenant, "fleet-lost", "fleet \(fleet) is not connected; its Work Managers may still run", at: now)
        }
        if let operation = track.operation {
            // The epoch that it was about has ended, and the next one came to a fleet that is lost: a move is due.
            if operation.epoch < track.epoch { finish(tenant, .done, at: now) }
            return
        }
        guard mayForce(tenant, nil, at: now) else { return }
        begin(
            .move, tenant, reason: "fleet \(fleet) is lost", initiator: "registry", isForced: true, at: now)
    }

    /// The online fleet with the fewest tenants that is not being emptied; one that does not answer only if there is no
    /// other.
    mutating func chooseFleet(at now: Moment) -> (NodeID, Int64)? {
        if fleetLoadFrom.map({ now.monotonic - $0 > 1_000 }) ?? true {
            fleetLoadFrom = now.monotonic
            fleetLoad = [:]
            for track in tenants.values where track.phase != .idle {
                if let fleet = track.fleet { fleetLoad[fleet, default: 0] += 1 }
            }
        }
        return fleets.filter { $0.value.presence.state == .online && !$0.value.isDraining }
            .min {
                ($0.value.isSilent ? 1 : 0, fleetLoad[$0.key] ?? 0, $0.key)
                    < ($1.value.isSilent ? 1 : 0, fleetLoad[$1.key] ?? 0, $1.key)
            }
            .map { ($0.key, $0.value.presence.boot) }
    }

    mutating func publishEpoch(_ tenant: TenantID) {
        guard let track = tenants[tenant], track.epoch > 0, let fleet = track.fleet else { return }
        publish(
            .wmEpoch(tenant),
            .wmEpoch(WMEpoch(epoch: track.epoch, fleet: fleet, generation: track.generation, since: track.since)))
    }

    /// The timer of one tenant: the present step again, or a heartbeat.
    mutating func attend(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant] else { return }
        if track.isOvertaken, track.phase == .active || track.phase == .starting { return goBeyond(tenant, at: now) }
        switch track.phase {
        // Before its first epoch a tenant has no fleet; it must be placed all the same when the database was away.
        case .idle: place(tenant, at: now)
        case .opening: break
        case .draining: attendDraining(tenant, at: now)
        case .sealing: attendSealing(tenant, at: now)
        case .sweeping: attendSweeping(tenant, at: now)
        case .closing: attendClosing(tenant, at: now)
        case .starting: attendStarting(tenant, at: now)
        case .active: beat(tenant, track, at: now)
        }
    }

    private mutating func attendStarting(_ tenant: TenantID, at now: Moment) {
        place(tenant, at: now)
        guard let track = tenants[tenant], track.phase == .starting, let config = track.config, let fleet = track.fleet
        else { return }
        show(tenant, "starting", at: now)
        guard track.resume != nil else {
            store(.resume(tenant))
            return timers.set(.tenant(tenant), now.monotonic + Self.resendMilliseconds)
        }
        publish(
            .wmControl(tenant),
            .wmControl(
                control(
                    .bootstrap, track, fleet, config: config, resume: track.resume?.fitting(config, bytes: dataLimit))))
        timers.set(.tenant(tenant), now.monotonic + Self.resendMilliseconds)
    }

    /// Asks for the status. After a miss it asks more often, so that a lost message is not taken for a lost Work Manager.
    private mutating func beat(_ tenant: TenantID, _ track: TenantTrack, at now: Moment) {
        let interval = NumberBounds.milliseconds(heartbeatSeconds)
        tenants[tenant]?.unanswered += 1
        if track.unanswered == 1 { show(tenant, "suspect", at: now) }
        if track.unanswered >= 2, !track.isConfirmed, !isProcessGone(track),
            track.fleet.flatMap({ fleets[$0]?.presence.state }) == .online
        {
            // An earlier registry may have died between the epoch and its bootstrap. One that runs takes the repetition
            // for what it is.
            tenants[tenant]?.phase = .starting
            tenants[tenant]?.resume = nil
            return attend(tenant, at: now)
        }
        if track.unanswered >= Self.missesUntilLost, now.monotonic - track.lastHeard >= 2 * interval {
            show(tenant, "lost", at: now)
            replaceSilent(tenant, track, at: now)
            place(tenant, at: now)
            guard tenants[tenant]?.phase == .active else { return }
        }
        sendBeat(tenant)
        timers.set(.tenant(tenant), now.monotonic + (track.unanswered >= 1 ? max(500, interval / 3) : interval))
    }

    static var missesUntilLost: Int { 3 }

    mutating func sendBeat(_ tenant: TenantID) {
        tenants[tenant]?.beat += 1
        guard let track = tenants[tenant] else { return }
        publish(
            .wmHeartbeat(tenant),
            .heartbeat(
                Heartbeat(
                    beat: track.beat, epoch: track.epoch, intervalSeconds: heartbeatSeconds, ackSeq: track.ackSeq)))
    }

    /// Its process is connected, but it does not answer: it is asked to end, and ended by the gateways if it does not.
    private mutating func replaceSilent(_ tenant: TenantID, _ track: TenantTrack, at now: Moment) {
        guard let fleet = track.fleet, let presence = fleets[fleet]?.presence, presence.state == .online,
            presence.boot == track.boot
        else { return }
        explain(
            tenant, "heartbeats-missed",
            "the Work Manager of epoch \(track.epoch) does not answer its heartbeats", at: now)
        let patience = NumberBounds.milliseconds(specs[tenant]?.replaceAfterSeconds ?? Self.defaultReplaceAfterSeconds)
        guard now.monotonic - track.lastHeard >= patience, track.operation == nil, !track.isBeginning else { return }
        // The broker notices a process that is stopped only after a while: it must not get the next epoch too.
        fleets[fleet]?.isSilent = true
        begin(
            .replace, tenant, reason: "epoch \(track.epoch) did not answer \(track.unanswered) heartbeats",
            initiator: "registry", at: now)
    }

    mutating func answered(_ tenant: TenantID, _ status: WMStatus, at now: Moment) {
        fleets[status.fleet]?.isSilent = false
        compare(status, of: tenant, at: now)
        guard let track = tenants[tenant], status.epoch == track.epoch,
            track.phase == .active || track.phase == .draining
        else { return }
        tenants[tenant]?.unanswered = 0
        tenants[tenant]?.isConfirmed = true
        tenants[tenant]?.lastHeard = now.monotonic
        if ["heartbeats-missed", "fleet-lost"].contains(track.reason?.code) { clearReason(tenant) }
        show(tenant, status.state.rawValue, at: now)
        observe(.status(tenant, status, at: now.wall))
        tenants[tenant]?.holder = status.active.filter { $0.state == .stopping || $0.state == .unknown }
            .max { ($0.ageSeconds, $1.job) < ($1.ageSeconds, $0.job) }
        guard track.phase == .active, let fleet = track.fleet else { return }
        if let operation = track.operation, operation.epoch < track.epoch { finish(tenant, .done, at: now) }
        if status.state == .draining {
            // An aborted drain whose `resume` was lost.
            return publish(
                .wmControl(tenant), .wmControl(control(.resume, track, fleet, reason: "no drain is wanted")))
        }
        if status.generation < track.generation { putInForce(tenant, at: now) }
        tenants[tenant]?.running = Dictionary(grouping: status.active, by: \.service).mapValues(\.count)
        audit(tenant, status, at: now)
    }

    mutating func acknowledged(_ tenant: TenantID, _ ack: WMAck, at now: Moment) {
        fleets[ack.fleet]?.isSilent = false
        if ack.command == .trigger { return triggered(ack) }
        guard let track = tenants[tenant], ack.epoch == track.epoch, ack.fleet == track.fleet else { return }
        tenants[tenant]?.lastHeard = now.monotonic
        switch (ack.command, ack.phase) {
        case (.bootstrap, .done):
            guard track.phase == .starting else { return }
            tenants[tenant]?.phase = .active
            tenants[tenant]?.isConfirmed = true
            tenants[tenant]?.resume = nil
            tenants[tenant]?.unanswered = 0
            show(tenant, "active", at: now)
            clearReason(tenant)
            announce("wm.active", tenant, "Work Manager of \(tenant) is active, epoch \(track.epoch) on \(ack.fleet)")
            if let operation = track.operation, operation.epoch < track.epoch { finish(tenant, .done, at: now) }
            if ack.generation < track.generation { putInForce(tenant, at: now) }
            timers.set(.tenant(tenant), now.monotonic + 1 + beatOffset(tenant))
            if specs[tenant]?.suspended == true { replanSoon(at: now) }
        case (.bootstrap, .failed):
            // It is repeated: what hinders it there may pass.
            guard track.phase == .starting else { return }
            explain(tenant, "refused", "fleet \(ack.fleet): \(ack.error?.detail ?? "no reason")", at: now)
        case (.bootstrap, .rejected), (.reconfigure, .rejected), (.resume, .rejected), (.reconcile, .rejected):
            guard track.phase == .starting || track.phase == .active else { return }
            explain(tenant, "refused", "fleet \(ack.fleet) refused: \(ack.error?.detail ?? "no reason")", at: now)
            // A newer epoch there, another process, or no such Work Manager: begin again with a new epoch, unhurried.
            tenants[tenant]?.phase = .idle
            // An operation that led here has done its part: its epoch has ended. Left open, it would keep the next from
            // being begun.
            if let operation = track.operation, operation.epoch < track.epoch { finish(tenant, .done, at: now) }
            timers.set(.tenant(tenant), now.monotonic + 1_000)
        case (.drain, _): drainAcknowledged(tenant, ack, at: now)
        default: break
        }
    }

    /// A newer configuration than the running one: while it runs, or by a replacement.
    private mutating func putInForce(_ tenant: TenantID, at now: Moment) {
        guard let reason = tenants[tenant]?.replacementReason else { return reconfigure(tenant, at: now) }
        if tenants[tenant]?.operation == nil, tenants[tenant]?.isBeginning == false {
            begin(.replace, tenant, reason: reason, initiator: "registry", at: now)
        }
    }

    private mutating func reconfigure(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], let fleet = track.fleet, let config = track.config else { return }
        publish(.wmControl(tenant), .wmControl(control(.reconfigure, track, fleet, config: config)))
    }

    /// A suspension is an operation: the Work Manager drains, its end has a receipt.
    private mutating func suspend(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], track.phase == .active || track.phase == .starting, track.operation == nil,
            !track.isBeginning
        else { return }
        begin(.suspend, tenant, reason: "the tenant is suspended", initiator: "registry", at: now)
    }

    mutating func control(
        _ command: WMControl.Command, _ track: TenantTrack, _ fleet: NodeID, config: WorkManagerConfig? = nil,
        resume: WorkManagerResume? = nil, deadline: Timestamp? = nil, reason: String? = nil
    ) -> WMControl {
        WMControl(
            id: commandID(), command: command, epoch: track.epoch, fleet: fleet, boot: track.boot,
            generation: track.generation, config: config, resume: resume, deadline: deadline, reason: reason)
    }

    mutating func take(_ journal: Journal, of tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant] else { return meet(tenant, journal.epoch) }
        guard journal.epoch == track.epoch, (1...Self.maxSequence).contains(journal.firstSeq) else { return }
        let last = journal.firstSeq + journal.entries.count - 1
        if last <= track.ackSeq {
            // Known and committed: the acknowledgement was lost.
            return publish(.wmCommitted(tenant), .committed(Committed(epoch: track.epoch, ackSeq: track.ackSeq)))
        }
        // What is being stored comes back acknowledged; a gap heals by the sender's going back.
        guard last > track.handedSeq, journal.firstSeq <= track.handedSeq + 1, pending.count < Self.maxPending else {
            return
        }
        let skip = track.handedSeq + 1 - journal.firstSeq
        let fresh = Journal(
            epoch: journal.epoch, firstSeq: journal.firstSeq + skip, entries: Array(journal.entries.dropFirst(skip)))
        tenants[tenant]?.handedSeq = last
        store(.commit(tenant, fresh))
    }

    /// Far beyond what an epoch can tell; sums of it stay far from the end of a number.
    private static var maxSequence: Int { 1 << 53 }

    // MARK: - What reports show

    mutating func explain(_ tenant: TenantID, _ code: String, _ text: String, at now: Moment) {
        if tenants[tenant]?.reason?.code == code, tenants[tenant]?.reason?.text == text { return }
        let reason = Reason(subject: "tenant", code: code, text: text, since: now.wall)
        tenants[tenant]?.reason = reason
        observe(.reason(tenant, reason))
        announce("tenant.\(code)", tenant, "tenant \(tenant): \(text)")
    }

    mutating func clearReason(_ tenant: TenantID) {
        guard tenants[tenant]?.reason != nil else { return }
        tenants[tenant]?.reason = nil
        observe(.reason(tenant, nil))
    }

    mutating func show(_ tenant: TenantID, _ state: String, at now: Moment) {
        guard tenants[tenant]?.stateShown != state else { return }
        tenants[tenant]?.stateShown = state
        observe(.managerState(tenant, state: state, at: now.wall))
    }
}
