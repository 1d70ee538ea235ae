import OMSModel
import OMSProtocol

/// Plans, epochs, bootstraps, heartbeats.
extension Registry {
    mutating func reconcileAll(at now: Moment) {
        guard isLoaded, now.monotonic >= planFrom else { return }
        let views = providers.mapValues { track in
            ProviderView(
                services: track.catalog?.services ?? [], isUsable: isUsable(track, at: now), why: whyNot(track))
        }
        for tenant in specs.keys.sorted() {
            plan(tenant, views, at: now)
            place(tenant, at: now)
        }
    }

    private func whyNot(_ track: ProviderTrack) -> String {
        if track.gateway == nil { return "no gateway is online to reach it" }
        guard let health = track.health else { return "not seen yet" }
        return health.status.rawValue + (health.error.map { ": \($0.detail ?? $0.type)" } ?? "")
    }

    private mutating func plan(_ tenant: TenantID, _ views: [ProviderID: ProviderView], at now: Moment) {
        guard let spec = specs[tenant], let track = tenants[tenant], !track.isSavingPlan else { return }
        switch Planner.plan(
            tenant, spec, scenarios: scenarios, providers: views, previous: track.config, now: now.wall)
        {
        case .unsatisfied(let code, let text):
            // What runs goes on: a lesser plan is better than none, and a suspension is a shutdown of its own.
            explain(tenant, code, text, at: now)
            if code == "suspended" { suspend(tenant, at: now) }
        case .plan(var config, let explanation):
            config.generation = track.generation
            if config == track.config {
                if track.reason?.code == "no-scenario" || track.reason?.code == "suspended" { clearReason(tenant) }
                return
            }
            config.generation = track.generation + 1
            tenants[tenant]?.isSavingPlan = true
            store(.savePlan(tenant, config, explanation: explanation))
        }
    }

    mutating func planSaved(
        _ tenant: TenantID, _ config: WorkManagerConfig, _ explanation: String, at now: Moment
    ) {
        tenants[tenant]?.isSavingPlan = false
        tenants[tenant]?.config = config
        clearReason(tenant)
        announce("tenant.planned", tenant, "tenant \(tenant) generation \(config.generation): \(explanation)")
        if tenants[tenant]?.phase == .active { reconfigure(tenant, at: now) } else { place(tenant, at: now) }
    }

    /// Gives a tenant without a Work Manager one, on a fleet that is online.
    mutating func place(_ tenant: TenantID, at now: Moment) {
        guard now.monotonic >= planFrom, let track = tenants[tenant], let config = track.config,
            specs[tenant]?.suspended != true
        else { return }
        var phase = track.phase
        if phase == .active || phase == .starting, let fleet = track.fleet {
            let presence = fleets[fleet]
            // A newer process under the same name, or a goodbye, proves that the old one is gone. Silence does not.
            let isGone =
                presence.map { $0.boot > track.boot || ($0.boot == track.boot && $0.state == .offline) } ?? false
            if isGone {
                phase = .idle
                tenants[tenant]?.phase = .idle
            } else if presence?.state != .online {
                explain(
                    tenant, "fleet-lost", "fleet \(fleet) is not connected; its Work Managers may still run", at: now)
            } else if track.reason?.code == "fleet-lost" {
                clearReason(tenant)
            }
        }
        guard phase == .idle else { return }
        guard let (fleet, presence) = chooseFleet() else {
            return explain(tenant, "no-fleet", "no fleet is online; start wm-fleet", at: now)
        }
        let reason =
            track.epoch == 0
            ? "first start"
            : track.unanswered >= 3
                ? "epoch \(track.epoch) did not answer \(track.unanswered) heartbeats"
                : "the process of epoch \(track.epoch) is gone"
        tenants[tenant]?.phase = .opening
        store(
            .openEpoch(tenant, fleet: fleet, boot: presence.boot, generation: config.generation, reason: reason))
    }

    /// The online fleet with the fewest tenants.
    private func chooseFleet() -> (NodeID, Presence)? {
        var load: [NodeID: Int] = [:]
        for track in tenants.values where track.phase != .idle {
            if let fleet = track.fleet { load[fleet, default: 0] += 1 }
        }
        return fleets.filter { $0.value.state == .online }
            .min { (load[$0.key] ?? 0, $0.key) < (load[$1.key] ?? 0, $1.key) }.map { ($0.key, $0.value) }
    }

    mutating func opened(
        _ tenant: TenantID, _ epoch: Int, _ since: Timestamp, _ resume: WorkManagerResume, _ fleet: NodeID,
        _ boot: Int64, at now: Moment
    ) {
        tenants[tenant]?.phase = .starting
        tenants[tenant]?.epoch = epoch
        tenants[tenant]?.since = since
        tenants[tenant]?.fleet = fleet
        tenants[tenant]?.boot = boot
        tenants[tenant]?.resume = resume
        tenants[tenant]?.ackSeq = 0
        tenants[tenant]?.handedSeq = 0
        tenants[tenant]?.unanswered = 0
        tenants[tenant]?.lastSent = 0
        clearReason(tenant)
        publishEpoch(tenant)
        attend(tenant, at: now)
    }

    mutating func publishEpoch(_ tenant: TenantID) {
        guard let track = tenants[tenant], let fleet = track.fleet else { return }
        publish(
            .wmEpoch(tenant),
            .wmEpoch(WMEpoch(epoch: track.epoch, fleet: fleet, generation: track.generation, since: track.since)))
    }

    /// The timer of one tenant: repeat the bootstrap, or beat.
    mutating func attend(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant] else { return }
        // Before its first epoch a tenant has no fleet; it must be placed all the same when the database was away.
        if track.phase == .idle { return place(tenant, at: now) }
        guard let fleet = track.fleet else { return }
        switch track.phase {
        case .idle, .opening: break
        case .starting:
            place(tenant, at: now)
            guard tenants[tenant]?.phase == .starting, let config = track.config else { return }
            show(tenant, "starting", at: now)
            publish(
                .wmControl(tenant),
                .wmControl(
                    control(.bootstrap, track, fleet, config: config, resume: track.resume)))
            timers.set(.tenant(tenant), now.monotonic + Self.resendMilliseconds)
        case .active:
            beat(tenant, track, at: now)
        }
    }

    private mutating func beat(_ tenant: TenantID, _ track: TenantTrack, at now: Moment) {
        let interval = Int64(heartbeatSeconds) * 1000
        tenants[tenant]?.beat += 1
        tenants[tenant]?.unanswered += 1
        if track.unanswered == 1 { show(tenant, "suspect", at: now) }
        if track.unanswered >= 3 {
            show(tenant, "lost", at: now)
            // Its process is there, but it is not: within one process a new epoch ends the old one first. A process
            // that is not connected is `place`'s to explain.
            if let fleet = track.fleet, fleets[fleet]?.state == .online, fleets[fleet]?.boot == track.boot {
                explain(
                    tenant, "heartbeats-missed",
                    "the Work Manager of epoch \(track.epoch) does not answer its heartbeats", at: now)
                tenants[tenant]?.phase = .idle
            }
            place(tenant, at: now)
            if tenants[tenant]?.phase != .active {
                return timers.set(.tenant(tenant), now.monotonic + interval)
            }
        }
        publish(
            .wmHeartbeat(tenant),
            .heartbeat(
                Heartbeat(
                    beat: track.beat + 1, epoch: track.epoch, intervalSeconds: heartbeatSeconds, ackSeq: track.ackSeq)))
        timers.set(.tenant(tenant), now.monotonic + interval)
    }

    mutating func answered(_ tenant: TenantID, _ status: WMStatus, at now: Moment) {
        guard let track = tenants[tenant], status.epoch == track.epoch, track.phase == .active else { return }
        tenants[tenant]?.unanswered = 0
        if track.reason?.code == "heartbeats-missed" || track.reason?.code == "fleet-lost" { clearReason(tenant) }
        show(tenant, status.state.rawValue, at: now)
        observe(.status(tenant, status, at: now.wall))
        if status.generation < track.generation { reconfigure(tenant, at: now) }
    }

    mutating func acknowledged(_ tenant: TenantID, _ ack: WMAck, at now: Moment) {
        if ack.command == .trigger { return triggered(ack) }
        guard let track = tenants[tenant], ack.epoch == track.epoch, ack.fleet == track.fleet else { return }
        switch (ack.command, ack.phase) {
        case (.bootstrap, .done):
            guard track.phase == .starting else { return }
            tenants[tenant]?.phase = .active
            tenants[tenant]?.resume = nil
            tenants[tenant]?.unanswered = 0
            show(tenant, "active", at: now)
            clearReason(tenant)
            announce("wm.active", tenant, "Work Manager of \(tenant) is active, epoch \(track.epoch) on \(ack.fleet)")
            if ack.generation < track.generation { reconfigure(tenant, at: now) }
            timers.set(.tenant(tenant), now.monotonic + 1 + beatOffset(tenant))
        case (.bootstrap, .rejected), (.reconfigure, .rejected):
            explain(tenant, "refused", "fleet \(ack.fleet) refused: \(ack.error?.detail ?? "no reason")", at: now)
            // A newer epoch there, another process, or no such Work Manager: begin again with a new epoch, unhurried.
            tenants[tenant]?.phase = .idle
            timers.set(.tenant(tenant), now.monotonic + 1_000)
        case (.shutdown, .done):
            tenants[tenant]?.phase = .idle
            timers.set(.tenant(tenant), nil)
            show(tenant, "stopped", at: now)
        default: break
        }
    }

    private mutating func reconfigure(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], let fleet = track.fleet, let config = track.config else { return }
        publish(.wmControl(tenant), .wmControl(control(.reconfigure, track, fleet, config: config)))
    }

    private mutating func suspend(_ tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], let fleet = track.fleet, track.phase == .active || track.phase == .starting
        else { return }
        publish(.wmControl(tenant), .wmControl(control(.shutdown, track, fleet, reason: "the tenant is suspended")))
        timers.set(.plan, now.monotonic + Self.resendMilliseconds)
    }

    mutating func control(
        _ command: WMControl.Command, _ track: TenantTrack, _ fleet: NodeID, config: WorkManagerConfig? = nil,
        resume: WorkManagerResume? = nil, reason: String? = nil
    ) -> WMControl {
        nextCommand += 1
        return WMControl(
            id: "\(boot)-\(nextCommand)", command: command, epoch: track.epoch, fleet: fleet, boot: track.boot,
            generation: track.generation, config: config, resume: resume, reason: reason)
    }

    mutating func take(_ journal: Journal, of tenant: TenantID, at now: Moment) {
        guard let track = tenants[tenant], journal.epoch == track.epoch, journal.firstSeq > 0 else { return }
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

    private mutating func show(_ tenant: TenantID, _ state: String, at now: Moment) {
        guard tenants[tenant]?.stateShown != state else { return }
        tenants[tenant]?.stateShown = state
        observe(.managerState(tenant, state: state, at: now.wall))
    }
}
