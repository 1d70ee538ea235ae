import OMSModel
import OMSProtocol

/// What PostgreSQL answered.
extension Registry {
    mutating func stored(_ ticket: Int, _ reply: StoreReply, at now: Moment) {
        guard let (request, askedAt) = pending.removeValue(forKey: ticket).map({ ($0.request, $0.at) }) else { return }
        let client = waiting.removeValue(forKey: ticket)
        if case .query(_, let asker) = request { return questionAnswered(asker, client, reply) }
        if let problem = reply.problem {
            switch problem.slug {
            case ProblemSlug.standby.rawValue: return standBy(request, at: now)
            case ProblemSlug.databaseBehind.rawValue: return fellBack(request, problem.detail ?? problem.type, at: now)
            default: note(request, problem, at: now)
            }
        }
        if case .prove = request { proof.isAsking = false }
        if case .failed = reply {} else { proven(by: request, askedAt: askedAt, at: now) }
        // A journal of which a part was refused is no sign that the trouble is over.
        if reply.problem == nil { noteSuccess(request) }
        switch (request, reply) {
        case (.load, .loaded(let snapshot)): load(snapshot, at: now)
        case (.load, _): timers.set(.load, now.monotonic + 1_000)
        case (.apply(let documents, _, _), .applied(let applied, let past)):
            take(documents, applied, past, at: now)
            if let client { respond(client, 200, applied) }
        case (.renew(let provider, let spec, _, let by), .applied(let applied, _)):
            take([.provider(provider, spec)], applied, [:], at: now)
            announce("provider.released", nil, "provider \(provider) is called again: released by \(by)")
            if let client { respond(client, 200, applied) }
        case (.savePlan(let tenant, let config, let explanation), .saved):
            planSaved(tenant, config, explanation, at: now)
        case (.savePlan(let tenant, _, _), _):
            tenants[tenant]?.isSavingPlan = false
            tenants[tenant]?.isPlanOld = false
            timers.set(.plan, now.monotonic + 1_000)
        case (.openEpoch(let tenant, _, let fleet, let boot, _, _), .opened(let epoch, let since, let resume)):
            guard tenants[tenant]?.phase == .opening else { return }
            opened(tenant, epoch, since, resume, fleet, boot, at: now)
        case (.openEpoch(let tenant, _, _, _, _, _), _):
            guard tenants[tenant]?.phase == .opening else { return }
            // Sealed already: the next try opens the same number.
            let hasEpoch = (tenants[tenant]?.epoch ?? 0) > 0
            tenants[tenant]?.phase = hasEpoch ? .sealing : .idle
            timers.set(.tenant(tenant), now.monotonic + 1_000)
        case (.beginOperation(let asked), .operation(let open)):
            begun(open, at: now)
            guard let client else { return }
            let isWanted = open.kind == asked.kind && open.initiator == asked.initiator
            if isWanted { respond(client, open) } else { respond(client, Self.isUnderWay(open)) }
        case (.beginOperation(let operation), .failed(let problem)):
            tenants[operation.tenant]?.isBeginning = false
            if let client { respond(client, problem) }
        case (.saveOperation(let operation), .saved): operationSaved(operation, isSaved: true, at: now)
        case (.saveOperation(let operation), _): operationSaved(operation, isSaved: false, at: now)
        case (.openJobs(let tenant), .openJobs(let rows)): sweepRead(tenant, rows, at: now)
        case (.openJobs(let tenant), _): sweepRead(tenant, nil, at: now)
        case (.closeEpoch(let closing), .saved): closed(closing.tenant, isClosed: true, at: now)
        case (.closeEpoch(let closing), _): closed(closing.tenant, isClosed: false, at: now)
        case (.audit, .audited(let jobs)): audited(jobs, at: now)
        case (.audit(let asked), _): for tenant in asked { tenants[tenant]?.auditing = nil }
        case (.resume(let tenant), .resume(let rows)): reconcile(tenant, rows, at: now)
        case (.resume, _): break
        case (.recover(let recovery), .recovered(let found)): recovered(recovery, found, at: now)
        case (.recover(let recovery), _): recoveryFailed(recovery, at: now)
        case (.removeTenant(let tenant, _), .saved): removed(tenant)
        case (.removeTenant, _): break  // the tenant's timer asks again
        case (.assign(let provider, let gateway), .saved): assigned(provider, gateway, isSaved: true, at: now)
        case (.assign(let provider, let gateway), _): assigned(provider, gateway, isSaved: false, at: now)
        case (.drainFleet(let fleet, let isDraining, _), .saved):
            fleetDrained(fleet, isDraining, at: now)
            if let client { respond(client, 200, []) }
        case (.drainFleet, .failed(let problem)): if let client { respond(client, problem) }
        case (.saveRollout(let sent), .rollout(let stored, let applied)):
            rolloutSaved(stored, applied, at: now)
            if let client { respond(client, sent, stored) }
        case (.saveRollout, .failed(let problem)):
            // A wave or an end that was not stored is decided again by the next look.
            rolloutWork.isUnderWay = false
            if let client { respond(client, problem) }
        case (.rolloutFigures(let id, _, _), .figures(let services)): judge(id, services, at: now)
        case (.rolloutFigures, _): rolloutWork.isUnderWay = false
        case (.prove, .saved): timers.set(.prove, proof.askedAt + sessionMilliseconds / 3)
        case (.prove, _): timers.set(.load, now.monotonic + 1_000)
        case (.commit(let tenant, let journal), .committed(let seq, let setAside, _)):
            committed(tenant, journal, seq, setAside, by: request, at: now)
        case (.commit(let tenant, let journal), _):
            // The Work Manager keeps it and sends it again; forget that it was handed over.
            guard let track = tenants[tenant], track.epoch == journal.epoch else { return }
            tenants[tenant]?.handedSeq = track.ackSeq
        case (.observe, .observed): isObserving = false
        case (.observe(let lost), _):
            // Reasons and states are told once: they must not be lost with the database's connection.
            observations.giveBack(lost)
            timers.set(.observe, now.monotonic + 1_000)
        case (.giveUp, .givenUp(let row, let isNew)): givenUp(row, isNew: isNew, client, at: now)
        case (.endGiveUp(let wish, let refused, _), .saved):
            giveUpSaved(wish, refused: refused, isSaved: true, at: now)
        case (.endGiveUp(let wish, let refused, _), _): giveUpSaved(wish, refused: refused, isSaved: false, at: now)
        case (.signOfLife, _): break
        case (.prune, .pruned(let pruned)): self.pruned(pruned, at: now)
        case (.prune, .failed(let problem)): pruningFailed(problem, at: now)
        case (.apply, .failed(let problem)), (.settleQuarantined, .failed(let problem)),
            (.giveUp, .failed(let problem)), (.renew, .failed(let problem)):
            if let client { respond(client, problem) }
        case (.settleQuarantined(let id, let verdict, let by), .settledQuarantined(let tenant, let fact)):
            quarantineSettled(id, verdict, by, tenant, fact)
            if let client { respond(client, 200, []) }
        case (.saveVerification(let provider, let passed, _, _), .saved):
            announce(
                "provider.verified", nil, "provider \(provider) \(passed ? "passed" : "failed") its conformance run")
            if let client { respond(client, 200, []) }
        case (.saveVerification, .failed(let problem)): if let client { respond(client, problem) }
        case (.apply, _), (.query, _), (.saveVerification, _), (.beginOperation, _), (.drainFleet, _),
            (.saveRollout, _), (.prune, _), (.settleQuarantined, _), (.giveUp, _), (.renew, _):
            break
        }
    }

    private mutating func load(_ snapshot: Snapshot, at now: Moment) {
        isLoaded = true
        sayWhatIsGone(snapshot)
        isStandby = false
        publishPresence()
        loadNodes(snapshot.nodes, at: now)
        for (id, (spec, version)) in snapshot.providers {
            providers[id] = ProviderTrack(spec: spec, version: version)
            // It stays where it was: two gateways for one provider would each follow the other's jobs.
            providers[id]?.gateway = snapshot.attachments[id]
            // An earlier registry may have moved it, and nobody told its gateway.
            providers[id]?.hasMoved = snapshot.attachments[id] != nil
        }
        scenarios = snapshot.scenarios
        specs = snapshot.tenants
        overridden = [:]
        versions = snapshot.versions
        rollout = snapshot.rollout
        rolloutWork = RolloutWork()
        if rollout != nil { timers.set(.rollout, now.monotonic + Self.rolloutLookMilliseconds) }
        for tenant in specs.keys.sorted() {
            let track = snapshot.managers[tenant].map { TenantTrack($0, at: now) } ?? TenantTrack()
            tenants[tenant] = track
            if track.epoch > 0 { publishEpoch(tenant) }
            if track.phase == .active { timers.set(.tenant(tenant), now.monotonic + beatOffset(tenant)) }
        }
        for operation in snapshot.operations { goOn(operation, at: now) }
        giveUps = [:]
        for row in snapshot.giveUps { giveUps[row.wish.job] = GiveUpTrack(row: row) }
        if !giveUps.isEmpty { timers.set(.giveUps, now.monotonic + Self.settleMilliseconds) }
        // Gateways that were heard before the tenants were known.
        for node in gateways.keys.sorted() where isConnected(node) {
            for (tenant, track) in tenants where track.sealedEpoch > 0 {
                gateways[node]?.wanted[tenant] = track.sealedEpoch
            }
            timers.set(.gateway(node), now.monotonic)
        }
        // And those that were lost before: their time goes on.
        for node in gateways.keys.sorted() where !isConnected(node) {
            let since = gateways[node]?.lostSince ?? now.monotonic
            timers.set(.gateway(node), max(now.monotonic, since + Self.gatewayHoldMilliseconds))
        }
        for provider in providers.keys.sorted() {
            hearEarly(provider, at: now)
            attach(provider, at: now)
        }
        if retention.keepMilliseconds != nil { timers.set(.prune, now.monotonic + retention.firstMilliseconds) }
        replanSoon(at: now)
    }

    /// Spreads the tenants' heartbeats over the interval.
    func beatOffset(_ tenant: TenantID) -> Int64 {
        Int64(
            truncatingIfNeeded: (fnv1a128(tenant.text.utf8) >> 40)
                % UInt128(NumberBounds.milliseconds(heartbeatSeconds)))
    }

    private mutating func take(
        _ documents: [Document], _ applied: [AppliedDocument], _ past: [TenantID: StoredManager], at now: Moment
    ) {
        overridden = [:]
        for (document, result) in zip(documents, applied) {
            versions["\(result.kind)/\(result.name)"] = result.version
            switch document {
            case .provider(let id, let spec):
                if providers[id] == nil {
                    providers[id] = ProviderTrack(spec: spec, version: result.version)
                } else {
                    providers[id]?.spec = spec
                    providers[id]?.version = result.version
                }
                hearEarly(id, at: now)
                attach(id, at: now)
                settleHealth(id, at: now)
            case .scenario(let id, let spec): scenarios[id] = spec
            case .tenant(let id, let spec):
                specs[id] = spec
                if tenants[id] == nil { tenants[id] = past[id].map { TenantTrack($0, at: now) } ?? TenantTrack() }
            }
            if result.change != .unchanged {
                announce(
                    "document.\(result.change.rawValue)", nil,
                    "\(result.kind) \(result.name) \(result.change.rawValue), version \(result.version)")
            }
        }
        replanSoon(at: now)
    }
}
