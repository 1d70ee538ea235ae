import OMSModel
import OMSProtocol

/// One active registry: whoever holds the lock in PostgreSQL. The others stand by, and so does one that lost it.
extension Registry {
    /// The database says that another registry is active. Whatever this one believed may be old: forget it all, say
    /// nothing, and read everything again when the lock is free.
    mutating func standBy(_ request: StoreRequest, at now: Moment) {
        if isLoaded || !isStandby {
            isStandby = true
            announce(
                "registry.standby", nil,
                isLoaded ? "registry \(id) is not the active one any more" : "registry \(id) stands by")
        }
        // Whoever is active knows what there is.
        confirmed = nil
        forget(at: now)
    }

    /// Everything is read again before anything is done.
    mutating func forget(at now: Moment) {
        isLoaded = false
        tenants = [:]
        specs = [:]
        scenarios = [:]
        // The gateways do not say again, only because this registry reads anew, what they have: a database that has fallen
        // back may give a provider to another one.
        for (provider, track) in providers {
            var holders = track.strays
            if let gateway = track.gateway { holders.insert(gateway) }
            early[provider] = Heard(catalog: track.catalog, health: track.health, holders: holders)
        }
        providers = [:]
        rollout = nil
        // A session that is busy with a question says when it is free, also to nobody.
        pending = pending.filter { if case .query = $0.value.request { true } else { false } }
        waiting = [:]
        for asker in Asker.allCases { questions[asker]?.forget() }
        trouble = DatabaseTrouble()
        observations = ObservationBuffer()
        isObserving = false
        pruning = PruningWork(retention)
        proof = SessionProof()
        timers = TimerQueue()
        // A seal counts because of the rows that were written for it. They may be gone, and so may what another registry
        // wrote meanwhile: every gateway is sealed anew, and names again what went out.
        for node in gateways.keys { gateways[node]?.forgetSeals() }
        publishPresence()
        timers.set(.load, now.monotonic + Self.standbyMilliseconds)
    }

    /// How soon a standby takes over after the active one's session has ended.
    static var standbyMilliseconds: Int64 { 1_000 }

    /// What an earlier registry saw of fleets and gateways. Whoever is there will say so; until then it counts as lost,
    /// from now on.
    mutating func loadNodes(_ nodes: [StoredNode], at now: Moment) {
        for stored in nodes {
            var presence = stored.presence
            if presence.state == .online || presence.state == .draining { presence.state = .lost }
            switch stored.role {
            case .fleet:
                if fleets[stored.node] == nil {
                    fleets[stored.node] = FleetTrack(presence: presence, lostSince: now.monotonic)
                }
                fleets[stored.node]?.isDraining = stored.isDraining
            case .gateway:
                guard gateways[stored.node] == nil else { continue }
                gateways[stored.node] = GatewayTrack(
                    presence: presence, isPresumed: true, lostSince: now.monotonic)
                timers.set(.gateway(stored.node), now.monotonic + Self.gatewayHoldMilliseconds)
            case .registry, .admin, .monitor: break
            }
        }
    }

    /// An operation that an earlier registry began: its step is begun again, each is safe to repeat.
    mutating func goOn(_ operation: ManagerOperation, at now: Moment) {
        let tenant = operation.tenant
        guard let track = tenants[tenant] else { return }
        tenants[tenant]?.operation = operation
        tenants[tenant]?.savedOperation = operation
        tenants[tenant]?.phaseBegan = now.monotonic
        if track.epoch > operation.epoch {
            // The next epoch is there: only its start may be left.
            return
        }
        if track.isEnded {
            tenants[tenant]?.phase = .sealing
        } else {
            tenants[tenant]?.phase = operation.phase == .draining ? .draining : .sealing
        }
        if tenants[tenant]?.phase == .sealing { wantSeals(of: tenant, track.nextEpoch, at: now) }
        // After the retained state has come.
        timers.set(.tenant(tenant), now.monotonic + Self.settleMilliseconds)
    }

    mutating func removed(_ tenant: TenantID) {
        guard tenants[tenant] != nil else { return }
        announce("tenant.removed", tenant, "tenant \(tenant) is removed; its history stays")
        tenants[tenant] = nil
        // A reason that is on its way to the database, or comes back from it, would outlive its tenant and meet the next one
        // of this name.
        observe(.reason(tenant, nil))
        _ = trouble.remove(tenant)
        specs[tenant] = nil
        // What it said last may come once more.
        strangers.insert(tenant)
        versions["Tenant/\(tenant)"] = nil
        timers.set(.tenant(tenant), nil)
        timers.set(.operation(tenant), nil)
        for node in gateways.keys {
            gateways[node]?.wanted[tenant] = nil
            gateways[node]?.left[tenant] = nil
        }
        publish(.wmEpoch(tenant), .removed)
    }
}
