import OMSModel
import OMSProtocol

/// What is wrong with the database, and for whom.
struct DatabaseTrouble: Sendable {
    /// nil: everything is refused, or nobody answers; a tenant: its journal waits. With the reason.
    private(set) var reasons: [TenantID?: String] = [:]
    private(set) var since: Timestamp?
    /// When it was last told (monotonic).
    private var toldAt: Int64?
    private var isTold = false

    var isEmpty: Bool { reasons.isEmpty }

    /// What an operator is to know, nil if there is nothing.
    var text: String? {
        guard let since else { return nil }
        if let reason = reasons[nil] { return "since \(since) \(reason)" }
        let tenants = reasons.keys.compactMap(\.self).sorted()
        guard let first = tenants.first else { return nil }
        let names = tenants.prefix(5).map(\.text).joined(separator: ", ") + (tenants.count > 5 ? " and more" : "")
        return "since \(since) the journals of \(tenants.count) tenant(s) (\(names)) wait: \(reasons[first] ?? "")"
    }

    /// - Returns: whether it is to be told now: once a minute.
    mutating func add(_ scope: TenantID?, _ reason: String, at now: Moment) -> Bool {
        if reasons.isEmpty { since = now.wall }
        // A thousand tenants meet the same wall; the names of some of them say enough.
        if reasons[scope] != nil || reasons.count < 100 { reasons[scope] = reason }
        guard toldAt.map({ now.monotonic - $0 >= 60_000 }) ?? true else { return false }
        toldAt = now.monotonic
        isTold = true
        return true
    }

    /// - Returns: whether its end is to be told.
    mutating func remove(_ scope: TenantID?) -> Bool {
        guard !reasons.isEmpty else { return false }
        reasons[scope] = nil
        reasons[nil] = nil
        guard reasons.isEmpty else { return false }
        since = nil
        defer { isTold = false }
        return isTold
    }
}

/// What the database had confirmed, before everything was forgotten to be read again.
struct Confirmed: Sendable {
    var epochs: [TenantID: (epoch: Int, ackSeq: Int)] = [:]
    var versions: [String: Int] = [:]
}

/// A database that refuses, and one that has lost what it had confirmed.
extension Registry {
    /// Which failures are about the database as a whole, or about the journal of one tenant, and not about a request.
    mutating func note(_ request: StoreRequest, _ problem: Problem, at now: Moment) {
        let isWhole = problem.slug == ProblemSlug.unavailable.rawValue
        guard isWhole || problem.slug == ProblemSlug.databaseRefuses.rawValue else { return }
        var scope: TenantID?
        if case .commit(let tenant, _) = request, !isWhole { scope = tenant }
        let reason = problem.detail ?? problem.type
        guard trouble.add(scope, reason, at: now) else { return }
        announce(
            isWhole ? "database.unavailable" : "database.refuses", scope,
            "\(reason). What it does not take waits where it is, and is recorded as soon as it takes it")
    }

    mutating func noteSuccess(_ request: StoreRequest) {
        let scope: TenantID?
        switch request {
        // Read-only: they succeed while nothing else does.
        case .prove, .openJobs, .audit, .resume, .rolloutFigures, .query: return
        case .commit(let tenant, _): scope = tenant
        default: scope = nil
        }
        if trouble.remove(scope) { announce("database.accepts", nil, "the database takes everything again") }
    }

    // MARK: - A database that knows less

    /// The database has lost transactions that it had confirmed. What others know beyond it comes back as from a restored
    /// backup (`Registry+Ahead.swift`); for that everything is read anew.
    mutating func fellBack(_ request: StoreRequest, _ reason: String, at now: Moment) {
        if isLoaded {
            var known = Confirmed(versions: versions)
            for (tenant, track) in tenants where track.epoch > 0 { known.epochs[tenant] = (track.epoch, track.ackSeq) }
            confirmed = confirmed ?? known
        }
        announce("database.behind", nil, "registry \(id): \(reason)")
        forget(at: now)
    }

    /// Says by name what is not there any more, as far as it does not come back by itself.
    mutating func sayWhatIsGone(_ snapshot: Snapshot) {
        guard let known = confirmed else { return }
        confirmed = nil
        var lost: [(TenantID?, String)] = []
        for (tenant, was) in known.epochs.sorted(by: { $0.key < $1.key }) {
            let row = snapshot.managers[tenant]
            let (epoch, ackSeq) = (row?.epoch ?? 0, row?.ackSeq ?? 0)
            guard (epoch, ackSeq) < was else { continue }
            lost.append(
                (
                    tenant,
                    "tenant \(tenant): of epoch \(was.epoch) \(was.ackSeq) facts were committed, the database ends at fact "
                        + "\(ackSeq) of epoch \(epoch); its jobs come back from the gateways, the results and ticks of the "
                        + "missing facts do not"
                ))
        }
        for (document, version) in known.versions.sorted(by: { $0.key < $1.key }) {
            let now = snapshot.versions[document] ?? 0
            guard now < version else { continue }
            lost.append(
                (
                    nil,
                    "\(document) was at version \(version) and is "
                        + (now == 0 ? "not there any more" : "at version \(now)") + ": declare it again (oms apply)"
                ))
        }
        for (tenant, text) in lost.prefix(Self.maxNamedLosses) { announce("database.lost", tenant, text) }
        if lost.count > Self.maxNamedLosses {
            announce("database.lost", nil, "and \(lost.count - Self.maxNamedLosses) more of the same kind")
        }
    }

    private static var maxNamedLosses: Int { 200 }

    /// - Parameter setAside: what PostgreSQL refused of it.
    mutating func committed(
        _ tenant: TenantID, _ journal: Journal, _ seq: Int, _ setAside: [SetAside], by request: StoreRequest,
        at now: Moment
    ) {
        for kept in setAside {
            announce(
                "journal.set-aside", tenant,
                "tenant \(tenant): PostgreSQL refused a part of \(kept.fact) (\(kept.error)). "
                    + (kept.hasRow ? "Its row has the rest; " : "It has no row; ")
                    + "the whole is quarantine \(kept.id): oms quarantine list"
                    + (kept.dropped > 0 ? ". \(kept.dropped) older one(s) had to go for it" : ""))
        }
        guard let track = tenants[tenant], track.epoch == journal.epoch else { return }
        var ackSeq = max(track.ackSeq, seq)
        if seq < track.ackSeq {
            switch track.phase {
            // The epoch has ended by now, and says nothing of its numbers.
            case .closing, .opening, .idle: break
            case .active, .starting, .draining, .sealing, .sweeping:
                return fellBack(
                    request,
                    "of the journal of \(tenant), epoch \(journal.epoch), the database has \(seq) facts, and had confirmed "
                        + "\(track.ackSeq): a backup was restored, or a replica that lagged was promoted; everything is read "
                        + "again", at: now)
            }
        }
        ackSeq = max(ackSeq, seq)
        tenants[tenant]?.ackSeq = ackSeq
        tenants[tenant]?.handedSeq = max(track.handedSeq, ackSeq)
        // Not taken: a part of it was committed before, by a request whose answer was lost. The rest comes again
        // from the Work Manager, and must not count as handed over.
        if seq < journal.firstSeq + journal.entries.count - 1 { tenants[tenant]?.handedSeq = ackSeq }
        publish(.wmCommitted(tenant), .committed(Committed(epoch: journal.epoch, ackSeq: ackSeq)))
    }

    // MARK: - What was set aside

    /// `oms quarantine retry|discard`.
    mutating func settleQuarantined(_ request: ClientRequest) {
        guard let id = request.params["id"]?.intValue, id > 0 else {
            return respond(
                request,
                Problem(.badRequest, "field id must be a number from `oms quarantine list`", status: 400))
        }
        var verdict = QuarantineVerdict.retry
        if request.method == "quarantine.discard" {
            guard let reason = request.params["reason"]?.stringValue, (1...1_000).contains(reason.utf8.count) else {
                return respond(
                    request,
                    Problem(
                        .badRequest, "field reason is missing or longer than 1000 bytes: say why it is not needed",
                        status: 400))
            }
            verdict = .discard(reason: reason)
        }
        waiting[store(.settleQuarantined(id, verdict, by: request.client))] = request
    }

    mutating func quarantineSettled(
        _ id: Int64, _ verdict: QuarantineVerdict, _ client: NodeID, _ tenant: TenantID, _ fact: String
    ) {
        switch verdict {
        case .retry:
            announce(
                "quarantine.retried", tenant,
                "tenant \(tenant): quarantine \(id), \(fact), is in its row as it came, by \(client)")
        case .discard(let reason):
            announce(
                "quarantine.discarded", tenant,
                "tenant \(tenant): quarantine \(id), \(fact), was discarded by \(client): \(reason)")
        }
        // The rows changed under its Work Manager.
        tenants[tenant]?.lastAudit = nil
    }
}
