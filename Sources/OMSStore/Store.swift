package import Logging
package import OMSCore
import OMSModel
import OMSProtocol
package import OMSRuntime
package import Postgres

/// The registry's PostgreSQL, on a thread of its own. Requests are answered in order; journals that wait together are
/// committed together (group commit). Without a connection every request fails at once: whoever asked keeps what is
/// not stored and asks again, so nothing piles up here.
package actor Store {
    package nonisolated let thread: PinnedThread
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let configuration: PostgresConfiguration
    private let database: PostgresConnection
    private let logger: Logger
    private let reply: @Sendable (Int, StoreReply) -> Void
    private var queue: [(ticket: Int, request: StoreRequest)] = []
    private var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 5_000, floorMilliseconds: 50)
    private var random = SystemRandomNumberGenerator()
    private var nextAttempt: Int64 = 0
    private var isMigrated = false
    private var isActive = false
    private var lastFailure = "not connected yet"
    private var isStandby = false

    /// `query_canceled`, here by statement_timeout: says that a piece is large or the server slow, and of a single fact
    /// nothing at all.
    private static let tookTooLong = "57014"
    /// What passes by itself is told once a minute and not for each request (monotonic, by SQLSTATE).
    private var toldRefusals: [String: Int64] = [:]

    private let registry: String
    /// Since this process read everything; nil: it has not, or what it read may be old.
    private var term: Int64?

    /// Held by the one active registry as long as its session lives.
    private static let activeLockKey = 6_021_023_078

    /// - Parameter reply: called on this store's thread.
    package init(
        registry: String, configuration: PostgresConfiguration, logger: Logger,
        reply: @escaping @Sendable (Int, StoreReply) -> Void
    ) {
        self.registry = registry
        self.configuration = configuration
        self.logger = logger
        self.reply = reply
        thread = PinnedThread(name: "postgres")
        database = PostgresConnection(thread: thread) { notice in
            logger.debug("postgres notice", metadata: [LoggingKeys.detail: "\(notice)"])
        }
    }

    /// Legal from any thread; returns at once.
    package nonisolated func submit(_ ticket: Int, _ request: StoreRequest) {
        thread.post { self.assumeIsolated { $0.enqueue(ticket, request) } }
    }

    /// Ends the session and the thread. Not from this store's own thread.
    package nonisolated func shutdown() {
        thread.post { self.assumeIsolated { store in store.database.assumeIsolated { $0.close() } } }
        thread.shutdown()
    }

    private func enqueue(_ ticket: Int, _ request: StoreRequest) {
        queue.append((ticket, request))
        // The first of a burst works off what has come meanwhile.
        if queue.count == 1 { thread.post { self.assumeIsolated { $0.work() } } }
    }

    private func work() {
        let batch = queue
        queue.removeAll(keepingCapacity: true)
        var journals: [(ticket: Int, piece: Piece)] = []
        for (ticket, request) in batch {
            if case .commit(let tenant, let journal) = request {
                // One statement advances a tenant once: a second piece of it goes into the next transaction.
                if journals.contains(where: { $0.piece.tenant == tenant }) { flush(&journals) }
                journals.append((ticket, Piece(tenant: tenant, journal: journal)))
                if journals.count >= 500 { flush(&journals) }
            } else {
                flush(&journals)
                reply(ticket, answer(request))
            }
        }
        flush(&journals)
    }

    private func flush(_ journals: inout [(ticket: Int, piece: Piece)]) {
        guard !journals.isEmpty else { return }
        defer { journals.removeAll() }
        let pieces = journals.map(\.piece)
        do {
            try prepare()
            guard term != nil else { throw StandbyError.outdated }
            let committed = try database.assumeIsolated { try Self.commit($0, pieces) }
            for (journal, seq) in zip(journals, committed) { reply(journal.ticket, .committed(seq)) }
        } catch let error as PostgresError where error.sqlState != nil && !error.isRetriable {
            for journal in journals { reply(journal.ticket, commitAlone(journal.piece)) }
        } catch {
            let problem = failed(error)
            for journal in journals { reply(journal.ticket, .failed(problem)) }
        }
    }

    private func commitAlone(_ piece: Piece) -> StoreReply {
        do {
            return .committed(try database.assumeIsolated { try Self.commit($0, [piece])[0] })
        } catch let error as PostgresError where error.sqlState != nil && !error.isRetriable {
            return commitOneByOne(piece)
        } catch {
            return .failed(failed(error))
        }
    }

    /// For a piece that PostgreSQL refuses: entry by entry, and what is refused by itself is kept aside whole, so
    /// that one bad fact neither blocks its tenant nor vanishes.
    private func commitOneByOne(_ piece: Piece) -> StoreReply {
        var committed = 0
        do {
            for single in piece.singles {
                do {
                    committed = try database.assumeIsolated { try Self.commit($0, [single])[0] }
                } catch let error as PostgresError
                    where error.sqlState != nil && !error.isRetriable && error.sqlState != Self.tookTooLong
                {
                    committed = try database.assumeIsolated { try Self.quarantine($0, single, error) }
                    logger.error(
                        "journal entry quarantined, see report.quarantine",
                        metadata: [
                            LoggingKeys.tenant: "\(piece.tenant)", LoggingKeys.sequence: "\(single.last)",
                            LoggingKeys.error: "\(error)",
                        ])
                }
            }
            return .committed(committed)
        } catch {
            return .failed(failed(error))
        }
    }

    private func answer(_ request: StoreRequest) -> StoreReply {
        do {
            try prepare()
            if case .load = request { return try load() }
            guard term != nil else { throw StandbyError.outdated }
            return try database.assumeIsolated { database in
                switch request {
                case .load: preconditionFailure("answered above")
                case .apply(let documents, let expected, let client):
                    try Self.apply(database, documents, expecting: expected, by: client)
                case .savePlan(let tenant, let config, let explanation):
                    try {
                        try Self.savePlan(database, tenant, config, explanation); return .saved
                    }()
                case .openEpoch(let tenant, let expected, let fleet, let boot, _, let reason):
                    try Self.openEpoch(
                        database, tenant, expected: expected, fleet: fleet, boot: boot, reason: reason)
                case .beginOperation(let operation): try Self.begin(database, operation)
                case .saveOperation(let operation):
                    try {
                        try Self.save(database, operation); return .saved
                    }()
                case .openJobs(let tenant): .openJobs(try Self.openJobs(database, tenant))
                case .closeEpoch(let closing):
                    try {
                        try Self.close(database, closing); return .saved
                    }()
                case .audit(let tenants): .audited(try Self.audit(database, tenants))
                case .resume(let tenant): .resume(try Self.resume(database, tenant))
                case .recover(let recovery): .recovered(try Self.recover(database, recovery))
                case .removeTenant(let tenant, let initiator):
                    try {
                        try Self.removeTenant(database, tenant, by: initiator); return .saved
                    }()
                case .assign(let provider, let gateway):
                    try {
                        try Self.assign(database, provider, gateway); return .saved
                    }()
                case .drainFleet(let fleet, let isDraining, let client):
                    try {
                        try Self.drainFleet(database, fleet, isDraining, by: client); return .saved
                    }()
                case .saveRollout(let rollout): try Self.save(database, rollout)
                case .rolloutFigures(_, let tenants, let since):
                    .figures(try Self.figures(database, tenants, since: since))
                case .prove:
                    try {
                        try database.query("SELECT 1"); return .saved
                    }()
                case .observe(let observations):
                    try {
                        try Self.observe(database, observations); return .observed
                    }()
                case .saveVerification(let provider, let passed, let report, let client):
                    try {
                        try database.query(
                            "INSERT INTO oms.verification (provider, verified_by, passed, report) VALUES ($1, $2, $3, $4::jsonb)",
                            [.text(provider.text), .text(client.text), .bool(passed), try Rows.json(report)])
                        return .saved
                    }()
                case .giveUp(let job, let evidence, let client, let at):
                    try Self.giveUp(database, job, evidence: evidence, by: client, at: at)
                case .endGiveUp(let wish, let refused, let at):
                    try {
                        try Self.endGiveUp(database, wish, refused: refused, at: at); return .saved
                    }()
                case .signOfLife(let sign, let at):
                    try {
                        try Self.noteSign(database, sign, at: at); return .saved
                    }()
                case .prune(let pruning): .pruned(try Self.prune(database, pruning))
                case .query(let query): try Self.query(database, query)
                case .commit: preconditionFailure("journals are committed in groups")
                }
            }
        } catch {
            return .failed(failed(error))
        }
    }

    /// The term is there before anything is read: whoever is active after this one sees another number.
    private func load() throws -> StoreReply {
        term = nil
        let registry = registry
        let (begun, snapshot) = try database.assumeIsolated { database in
            (try Self.beginTerm(database, of: registry), try Self.load(database))
        }
        term = begun
        return .loaded(snapshot)
    }

    /// Makes sure of a session that holds the lock of the active registry, and finds out whether another one has held it
    /// since this one read everything.
    private func prepare() throws {
        if isActive, database.assumeIsolated({ $0.isConnected }) { return }
        guard MonotonicClock.milliseconds >= nextAttempt else {
            if isStandby { throw StandbyError.standby }
            throw StoreError(description: lastFailure)
        }
        let wasActive = isActive
        isActive = false
        do {
            let (mustMigrate, configuration, held) = (!isMigrated, configuration, term)
            let (applied, isCurrent) = try database.assumeIsolated { database -> ([String], Bool) in
                try database.connect(configuration)
                let applied = !mustMigrate ? [] : try Migrator.migrate(database)
                let lock = try database.query("SELECT pg_try_advisory_lock($1) AS ok", [.int(Self.activeLockKey)])
                guard lock.rows.first?.bool("ok") == true else {
                    database.close()
                    throw StandbyError.standby
                }
                if mustMigrate { try Self.seedReasonCodes(database) }
                return (applied, try held.map { try Self.holds($0, database) } ?? true)
            }
            if !isCurrent { term = nil }
            isMigrated = true
            isActive = true
            isStandby = false
            backoff.reset()
            logger.notice(
                wasActive ? "database connection restored" : "active on the database",
                metadata: applied.isEmpty
                    ? nil : [LoggingKeys.detail: "migrations applied: \(applied.joined(separator: ", "))"])
        } catch {
            isStandby = error is StandbyError
            // A standby takes over soon after the active one's session has ended.
            nextAttempt =
                MonotonicClock.milliseconds + (isStandby ? 500 : backoff.nextMilliseconds(using: &random))
            let text = "\(error)"
            if text != lastFailure {
                logger.warning("database not usable, trying again", metadata: [LoggingKeys.error: "\(text)"])
            }
            lastFailure = text
            throw error
        }
    }

    private func failed(_ error: any Error) -> Problem {
        if error is StandbyError { return Problem(.standby, "\(error)", status: 503, retryable: true) }
        if let error = error as? PostgresError, let state = error.sqlState {
            let now = MonotonicClock.milliseconds
            if !error.isRetriable || now - (toldRefusals[state] ?? .min / 2) >= 60_000 {
                toldRefusals[state] = now
                logger.error("database refused a statement", metadata: [LoggingKeys.error: "\(error)"])
            }
            return Problem(.internal, "the database refused: \(error)", status: 500, retryable: error.isRetriable)
        }
        return Problem(.unavailable, "the database is not available: \(error)", status: 503, retryable: true)
    }
}
