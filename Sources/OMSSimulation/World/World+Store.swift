import OMSCore
import OMSModel
import OMSProtocol

/// The registry's store thread and its session with PostgreSQL (OMSStore/Store.swift).
extension World {
    func store(_ node: Node, _ ticket: Int, _ request: StoreRequest) {
        node.storeOpen += 1
        checker.waiting(node, at: now)
        // One session: requests are carried out in order.
        node.storeFree = max(node.storeFree + 1, now + storage.delay(300, 4_000, rarely: 100_000))
        scheduler.add(
            .store(node.index, incarnation: node.incarnation, ticket: ticket, request),
            at: node.storeFree)
    }

    func transact(_ node: Node, _ incarnation: Int, _ ticket: Int, _ request: StoreRequest) {
        // The thread died with its process; what its session was doing ended in `leaveDatabase`.
        guard node.isAlive, node.incarnation == incarnation else { return }
        if databaseState.stalledUntil > now, databaseState.downUntil <= now {
            // Everything behind it waits too.
            let at = databaseState.stalledUntil + storage.int(1...2_000)
            node.storeFree = max(node.storeFree, at)
            scheduler.add(.store(node.index, incarnation: incarnation, ticket: ticket, request), at: node.storeFree)
            node.storeFree += 1
            return
        }
        let (isFlaky, isDone) = (storage.chance(databaseState.flakiness), storage.chance(0.5))
        if let refusal = refusal(node, request) { return replied(node, ticket, request, .failed(refusal)) }
        if isFlaky {
            // The connection dies under it: carried out or not, nobody can say.
            if isDone {
                if case .load = request { databaseState.term += 1 }
                if databaseState.refusesUntil <= now || request.onlyReads { carryOut(request) }
            }
            databaseState.lockHolder = nil
            node.storeRetryAt = now + storage.int(50...500) * SimClock.millisecond
            return replied(
                node, ticket, request, .failed(Self.unavailable("the connection broke in the middle")))
        }
        if options.mutants.contains(.acknowledgeBeforeCommit), case .commit(_, let journal) = request,
            storage.chance(0.05)
        {
            return replied(node, ticket, request, .committed(journal.firstSeq + journal.entries.count - 1))
        }
        if databaseState.refusesUntil > now, !request.onlyReads {
            return replied(node, ticket, request, refused(request))
        }
        if case .load = request {
            databaseState.term += 1
            node.term = databaseState.term
        }
        let reply = carryOut(request)
        node.mark = database.mark
        replied(node, ticket, request, hiding(reply, to: request, node))
    }

    private func refused(_ request: StoreRequest) -> StoreReply {
        if options.mutants.contains(.outageSetAside), case .commit(let tenant, let journal) = request {
            let last = journal.firstSeq + journal.entries.count - 1
            guard let row = database.epochs[tenant]?.lastIndex(where: { $0.epoch == journal.epoch && $0.ended == nil }),
                database.epochs[tenant]?[row].ackSeq == journal.firstSeq - 1
            else { return .committed(0) }
            database.epochs[tenant]?[row].ackSeq = last
            return .committed(last)
        }
        return .failed(
            Problem(.databaseRefuses, "the database refused: 42703", status: 503, retryable: true))
    }

    /// The mutant that takes the larger of what it remembers and what it is told.
    private func hiding(_ reply: StoreReply, to request: StoreRequest, _ node: Node) -> StoreReply {
        guard options.mutants.contains(.lossHidden), case .commit(let tenant, let journal) = request,
            case .committed(let seq, _, _) = reply
        else { return reply }
        let key = SimDatabase.EpochKey(tenant: tenant, epoch: journal.epoch)
        let most = max(seq, node.acknowledged[key] ?? 0)
        node.acknowledged[key] = most
        return .committed(most)
    }

    @discardableResult
    private func carryOut(_ request: StoreRequest) -> StoreReply {
        database.now = SimClock.wall(now, offset: 0)
        if !request.onlyReads { database.mark += 1 }
        let reply = database.transact(request)
        let changes = database.changes
        database.changes = []
        for change in changes {
            trace.note(now, "row", nil) { change.summary }
            checker.stored(change, by: request, in: database, at: now)
            if case .commit = request, case .job(let job, _) = change { checkWhole(job) }
        }
        return reply
    }

    /// Why the store cannot carry out anything now; nil: its session holds the lock.
    private func refusal(_ node: Node, _ request: StoreRequest) -> Problem? {
        if let refusal = refusal(node) { return refusal }
        // Another one was active since it read everything, or may have been.
        if case .load = request { return nil }
        if options.mutants.contains(.termIgnored) || options.mutants.contains(.lockIgnored) { return nil }
        // And all must be there that it knows to be committed.
        let isWhole = node.term == databaseState.term && database.mark >= node.mark
        if isWhole || (options.mutants.contains(.lossHidden) && node.term >= databaseState.term) { return nil }
        if node.term < databaseState.term { return Self.standby }
        return Problem(.databaseBehind, "the database is behind", status: 503, retryable: true)
    }

    private func refusal(_ node: Node) -> Problem? {
        if options.mutants.contains(.lockIgnored), databaseState.downUntil <= now { return nil }
        let isMine = databaseState.lockHolder.map { $0 == (node.index, node.incarnation) } ?? false
        if databaseState.downUntil <= now, isMine, node.storeRetryAt <= now {
            node.isStandby = false
            return nil
        }
        guard node.storeRetryAt <= now else {
            // Not tried again yet: the last answer stands.
            return node.isStandby ? Self.standby : Self.unavailable("no session")
        }
        node.isStandby = false
        guard databaseState.downUntil <= now else {
            node.storeRetryAt = now + storage.int(50...1_000) * SimClock.millisecond
            return Self.unavailable("connection refused")
        }
        guard databaseState.lockHolder == nil || options.mutants.contains(.lockIgnored) else {
            node.isStandby = true
            node.storeRetryAt = now + SimClock.second / 2
            return Self.standby
        }
        databaseState.lockHolder = (node.index, node.incarnation)
        return nil
    }

    private static var standby: Problem {
        Problem(.standby, "another registry is active", status: 503, retryable: true)
    }

    private static func unavailable(_ text: String) -> Problem {
        Problem(.unavailable, "the database is not available: \(text)", status: 503, retryable: true)
    }

    private func replied(_ node: Node, _ ticket: Int, _ request: StoreRequest, _ reply: StoreReply) {
        trace.note(now, "stored", node) { "\(request.summary) -> \(reply.summary)" }
        // The store's thread posts them to the loop in order.
        node.repliesFree = max(node.repliesFree + 1, now + storage.delay(100, 1_000, rarely: 5_000))
        scheduler.add(
            .stored(node.index, incarnation: node.incarnation, ticket: ticket, reply), at: node.repliesFree)
    }

    /// The process is gone, and its session with it.
    func leaveDatabase(_ node: Node) {
        if let holder = databaseState.lockHolder, holder == (node.index, node.incarnation) {
            databaseState.lockHolder = nil
        }
    }
}

extension StoreRequest {
    /// What the store answers without a change, and so without a mark.
    var onlyReads: Bool {
        switch self {
        case .prove, .openJobs, .audit, .resume, .rolloutFigures, .query: true
        default: false
        }
    }

    /// For traces.
    var summary: String {
        switch self {
        case .load: "load"
        case .apply(let documents, _, _): "apply \(documents.count)"
        case .savePlan(let tenant, let config, _): "plan \(tenant) generation \(config.generation)"
        case .openEpoch(let tenant, let expected, let fleet, _, _, let reason):
            "epoch \(expected) of \(tenant) on \(fleet): \(reason)"
        case .beginOperation(let operation): "begin \(operation.kind.rawValue) of \(operation.tenant)"
        case .saveOperation(let operation):
            "\(operation.kind.rawValue) of \(operation.tenant): \(operation.phase.rawValue)"
        case .openJobs(let tenant): "open jobs of \(tenant)"
        case .closeEpoch(let closing):
            "close epoch \(closing.epoch) of \(closing.tenant), \(closing.swept.count) swept, "
                + "\(closing.quarantined.count) quarantined"
        case .audit(let tenants): "audit \(tenants)"
        case .resume(let tenant): "resume \(tenant)"
        case .recover(let recovery): "recover \(recovery.jobs.count) jobs for \(recovery.seals.count) seals"
        case .removeTenant(let tenant, _): "remove \(tenant)"
        case .assign(let provider, let gateway): "\(provider) to \(gateway)"
        case .drainFleet(let fleet, let isDraining, _): "drain \(fleet) \(isDraining)"
        case .prove: "prove"
        case .saveRollout(let rollout): "rollout \(rollout.phase.rawValue)"
        case .rolloutFigures: "rollout figures"
        case .commit(let tenant, let journal):
            "journal \(tenant) epoch \(journal.epoch) \(journal.firstSeq)+\(journal.entries.count)"
        case .observe(let observations): "observe \(observations.count)"
        case .prune(let pruning): "prune before \(pruning.before)"
        case .giveUp(let job, _, _, _): "give up \(job)"
        case .endGiveUp(let wish, let refused, _): "given up \(wish.job) \(refused ?? "")"
        case .signOfLife(let sign, _): "sign of life of \(sign.job), \(sign.state.rawValue)"
        case .renew(let provider, _, let version, _): "renew \(provider) \(version)"
        case .saveVerification, .query: "query"
        case .settleQuarantined(let id, _, _): "settle quarantine \(id)"
        }
    }
}

extension SimDatabase.Change {
    var summary: String {
        switch self {
        case .epochOpened(let tenant, let epoch): "epoch \(epoch) of \(tenant)"
        case .tick(let key, let tick): "tick \(key.tenant) \(key.service) \(tick.due) \(tick.outcome.rawValue)"
        case .tickAgain(let key, let kept, let refused):
            "tick \(key.tenant) \(key.service) \(kept.due) again: \(refused.outcome.rawValue)"
        case .run(let run, _): "run \(run.record.id) \(run.tenant) \(run.record.state.rawValue) epoch \(run.epoch)"
        case .job(let job, _):
            "job \(job.record.id) \(job.record.state.rawValue) epoch \(job.epoch) r\(job.record.revision)"
        case .jobRefused(let job, let refused):
            "job \(job.record.id) stays \(job.record.state.rawValue): \(refused.state.rawValue) refused"
        }
    }
}

extension StoreReply {
    var summary: String {
        switch self {
        case .loaded: "loaded"
        case .applied: "applied"
        case .saved: "saved"
        case .opened(let epoch, _, let resume): "epoch \(epoch), \(resume.open.count) open runs"
        case .operation(let operation): "\(operation.kind.rawValue) of \(operation.tenant), \(operation.phase.rawValue)"
        case .openJobs(let rows): "\(rows.count) open jobs"
        case .audited: "audited"
        case .resume(let resume): "\(resume.open.count) open runs"
        case .recovered(let found): "recovered \(found.values.reduce(0, +))"
        case .committed(let seq, let kept, _):
            kept.isEmpty ? "committed \(seq)" : "committed \(seq), \(kept.count) set aside"
        case .givenUp(let row, let isNew): "\(isNew ? "gives up" : "gave up") \(row.wish.job)"
        case .settledQuarantined: "settled"
        case .observed: "observed"
        case .pruned(let pruned): "pruned \(pruned.counts[.runs] ?? 0) runs, \(pruned.counts[.jobs] ?? 0) jobs"
        case .rollout(let rollout, _): "rollout \(rollout.phase.rawValue)"
        case .figures(let services): "figures of \(services.count) services"
        case .answer: "answer"
        case .failed(let problem): "failed: \(problem.detail ?? problem.type)"
        }
    }
}
