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
    let database: PostgresConnection
    let logger: Logger
    private let reply: @Sendable (Int, StoreReply) -> Void
    private var queue: [(ticket: Int, request: StoreRequest)] = []
    private var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 3_000, floorMilliseconds: 50)
    private var random = SystemRandomNumberGenerator()
    private var nextAttempt: Int64 = 0
    private var isMigrated = false
    private var isActive = false
    private var lastFailure = Problem(.unavailable, "the database is not connected yet", status: 503, retryable: true)
    private var told = ToldOnceAMinute()

    private let registry: String
    /// Since this process read everything; nil: it has not, or what it read may be old.
    private var term: Term?
    /// Why there is no term.
    private var whyOutdated = StandbyError.outdated
    /// Facts that were refused in every form, by SQLSTATE, since the last commit that passed.
    var barren: [String: Set<String>] = [:]

    /// Held by the one active registry as long as its session lives.
    private static let activeLockKey = 6_021_023_078

    /// - Parameter reply: called on this store's thread.
    package init(
        registry: String, configuration: PostgresConfiguration, logger: Logger,
        reply: @escaping @Sendable (Int, StoreReply) -> Void
    ) {
        var configuration = configuration
        configuration.mustBeWritable = true
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
            let committed = try inTerm { try Self.commit($0, pieces) }
            barren = [:]
            for (journal, seq) in zip(journals, committed) { reply(journal.ticket, .committed(seq)) }
        } catch let error as PostgresError where error.isAboutStatement {
            for journal in journals { reply(journal.ticket, commitAlone(journal.piece)) }
        } catch {
            let problem = failed(error)
            for journal in journals { reply(journal.ticket, .failed(problem)) }
        }
    }

    private func commitAlone(_ piece: Piece) -> StoreReply {
        do {
            return .committed(try inTerm { try Self.commit($0, [piece])[0] })
        } catch let error as PostgresError where error.isAboutStatement {
            return commitOneByOne(piece)
        } catch {
            return .failed(failed(error))
        }
    }

    private func answer(_ request: StoreRequest) -> StoreReply {
        do {
            try prepare()
            if case .load = request { return try load() }
            return try carryOut(request)
        } catch {
            return .failed(failed(error))
        }
    }

    private func carryOut(_ request: StoreRequest) throws -> StoreReply {
        switch request {
        case .load, .commit: preconditionFailure("answered above, and committed in groups")
        // Nothing but questions: the mark must not be lower, and stays.
        case .prove:
            try reading { _ in }
            return .saved
        case .openJobs(let tenant): return .openJobs(try reading { try Self.openJobs($0, tenant) })
        case .audit(let tenants): return .audited(try reading { try Self.audit($0, tenants) })
        case .resume(let tenant): return .resume(try reading { try Self.resume($0, tenant) })
        case .rolloutFigures(_, let tenants, let since):
            return .figures(try reading { try Self.figures($0, tenants, since: since) })
        case .query(let query, _): return try reading { try Self.query($0, query) }
        case .apply(let documents, let expected, let client):
            return try inTerm { try Self.apply($0, documents, expecting: expected, by: client) }
        case .renew(let provider, _, let version, let client):
            return try inTerm { try Self.renew($0, provider, from: version, by: client) }
        case .savePlan(let tenant, let config, let explanation):
            try inTerm { try Self.savePlan($0, tenant, config, explanation) }
            return .saved
        case .openEpoch(let tenant, let expected, let fleet, let boot, _, let reason):
            return try inTerm {
                try Self.openEpoch($0, tenant, expected: expected, fleet: fleet, boot: boot, reason: reason)
            }
        case .beginOperation(let operation): return try inTerm { try Self.begin($0, operation) }
        case .saveOperation(let operation):
            try inTerm { try Self.save($0, operation) }
            return .saved
        case .closeEpoch(let closing):
            try close(closing)
            return .saved
        case .recover(let recovery): return .recovered(try recover(recovery))
        case .removeTenant(let tenant, let initiator):
            try inTerm { try Self.removeTenant($0, tenant, by: initiator) }
            return .saved
        case .assign(let provider, let gateway):
            try inTerm { try Self.assign($0, provider, gateway) }
            return .saved
        case .drainFleet(let fleet, let isDraining, let client):
            try inTerm { try Self.drainFleet($0, fleet, isDraining, by: client) }
            return .saved
        case .saveRollout(let rollout): return try inTerm { try Self.save($0, rollout) }
        case .observe(let observations):
            try observe(observations)
            return .observed
        case .saveVerification(let provider, let passed, let report, let client):
            try inTerm { try Self.saveVerification($0, provider, passed, report, by: client) }
            return .saved
        case .giveUp(let job, let evidence, let client, let at):
            return try inTerm { try Self.giveUp($0, job, evidence: evidence, by: client, at: at) }
        case .endGiveUp(let wish, let refused, let at):
            try inTerm { try Self.endGiveUp($0, wish, refused: refused, at: at) }
            return .saved
        case .signOfLife(let sign, let at):
            try inTerm { try Self.noteSign($0, sign, at: at) }
            return .saved
        case .prune(let pruning): return .pruned(try inTerm { try Self.prune($0, pruning) })
        case .settleQuarantined(let id, let verdict, let client): return try settle(id, verdict, by: client)
        }
    }

    // MARK: - Terms

    /// One transaction of the present term.
    func inTerm<Value: Sendable>(_ body: @Sendable (isolated PostgresConnection) throws -> Value) throws -> Value {
        guard let held = term else { throw whyOutdated }
        return try keepingTerm {
            let (value, mark) = try database.assumeIsolated { database in
                try database.transaction { database in
                    let mark = try Self.advance(database, held)
                    return (try body(database), mark)
                }
            }
            term?.mark = mark
            return value
        }
    }

    /// Statements that change nothing, while what this registry knows is in the database.
    private func reading<Value: Sendable>(_ body: @Sendable (isolated PostgresConnection) throws -> Value) throws
        -> Value
    {
        guard let held = term else { throw whyOutdated }
        return try keepingTerm {
            try database.assumeIsolated { database in
                try Self.check(database, held)
                return try body(database)
            }
        }
    }

    private func keepingTerm<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as StandbyError {
            outdate(error)
            throw error
        }
    }

    private func outdate(_ error: StandbyError) {
        term = nil
        whyOutdated = error
        guard case .behind = error else { return }
        tell("behind", .error, "database is behind", error)
        // Perhaps of an older release too, and whose lock it is has to be found out anew.
        isMigrated = false
        isActive = false
        database.assumeIsolated { $0.close() }
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
    /// since this one read everything, and whether all is there that it wrote.
    private func prepare() throws {
        if isActive, database.assumeIsolated({ $0.isConnected }) { return }
        guard MonotonicClock.milliseconds >= nextAttempt else { throw lastFailure }
        let wasActive = isActive
        isActive = false
        do {
            let (mustMigrate, configuration) = (!isMigrated, configuration)
            let applied = try database.assumeIsolated { database -> [String] in
                try database.connect(configuration)
                let applied = !mustMigrate ? [] : try Migrator.migrate(database)
                let lock = try database.query("SELECT pg_try_advisory_lock($1) AS ok", [.int(Self.activeLockKey)])
                guard lock.rows.first?.bool("ok") == true else {
                    database.close()
                    throw StandbyError.standby
                }
                if mustMigrate { try Self.seedReasonCodes(database) }
                return applied
            }
            isMigrated = true
            isActive = true
            if let held = term {
                do {
                    try database.assumeIsolated { try Self.check($0, held) }
                } catch let error as StandbyError {
                    // Whatever is asked but to read everything is answered with this.
                    outdate(error)
                    if case .behind = error { throw error }
                }
            }
            backoff.reset()
            logger.notice(
                wasActive ? "database connection restored" : "active on the database",
                metadata: applied.isEmpty
                    ? nil : [LoggingKeys.detail: "migrations applied: \(applied.joined(separator: ", "))"])
        } catch {
            // Half a session is of no use.
            database.assumeIsolated { $0.close() }
            isActive = false
            let isStandby = error is StandbyError
            // A standby takes over soon after the active one's session has ended.
            nextAttempt =
                MonotonicClock.milliseconds + (isStandby ? 500 : backoff.nextMilliseconds(using: &random))
            lastFailure = problem(error)
            tell(
                isStandby ? "standby" : "connect", .warning, "database not usable, trying again", error,
                again: !isStandby)
            throw lastFailure
        }
    }

    // MARK: - Refusals

    func failed(_ error: any Error) -> Problem {
        if let error = error as? Problem { return error }
        if let refusal = error as? PostgresError, let state = refusal.sqlState {
            tell(state, .error, "database refused a statement", error)
        } else if !(error is StandbyError) {
            tell("lost", .warning, "database request failed", error)
        }
        return problem(error)
    }

    private func problem(_ error: any Error) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case StandbyError.behind: return Problem(.databaseBehind, "\(error)", status: 503, retryable: true)
        case is StandbyError: return Problem(.standby, "\(error)", status: 503, retryable: true)
        case let error as PostgresError where error.blame == .data:
            return Problem(.internal, "the database refused: \(error)", status: 500, retryable: false)
        case let error as PostgresError where error.sqlState != nil:
            return Problem(.databaseRefuses, "the database refused: \(error)", status: 503, retryable: true)
        default:
            return Problem(.unavailable, "the database is not available: \(error)", status: 503, retryable: true)
        }
    }

    /// One line a minute for each kind, with how many there were since the last one.
    func tell(_ kind: String, _ level: Logger.Level, _ message: Logger.Message, _ error: any Error, again: Bool = true)
    {
        guard let unsaid = told.say(kind, "\(error)", again: again, at: MonotonicClock.milliseconds) else { return }
        var metadata: Logger.Metadata = [LoggingKeys.error: "\(error)"]
        if unsaid > 0 { metadata[LoggingKeys.count] = "\(unsaid) more" }
        logger.log(level: level, message, metadata: metadata)
    }
}

extension PostgresError {
    /// Whether another statement may pass where this one was refused.
    var isAboutStatement: Bool { blame == .data || blame == .installation || sqlState == Self.tookTooLong }
}

/// What is said once a minute, however often it happens.
struct ToldOnceAMinute {
    private struct Kind {
        var at: Int64
        var text: String
        var unsaid = 0
    }

    private var kinds: [String: Kind] = [:]

    /// - Parameter again: Whether the same is said again after a minute.
    /// - Returns: nil: not now; else how often it was not said since the last time.
    mutating func say(_ kind: String, _ text: String, again: Bool, at now: Int64) -> Int? {
        guard var known = kinds[kind] else {
            kinds[kind] = Kind(at: now, text: text)
            return 0
        }
        guard now - known.at >= 60_000, again || text != known.text else {
            known.unsaid += 1
            kinds[kind] = known
            return nil
        }
        kinds[kind] = Kind(at: now, text: text)
        return known.unsaid
    }
}
