import Glibc
import OMSBus
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime
import SQLite

/// The gateway's memory beyond its own death: intents and fences, in SQLite with an fsync per commit, in a folder that
/// one process at a time can hold. Entries that wait together are committed together.
actor Ledger {
    nonisolated let thread: PinnedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let database: SQLiteDatabase
    private let lock: FolderLock
    private var queue: [(entries: [LedgerEntry], done: @Sendable (String?) -> Void)] = []
    private var commits = 0

    /// Ended jobs that are too old or too many (`JobMemory`) are thrown away after so many commits.
    private static let purgeEveryCommits = 256

    /// Opens the folder. Not on the cooperative pool's hot path: once, at start.
    /// - Throws: `OptionError` with the remedy when the folder is unusable or another gateway holds it.
    static func open(folder: String) throws -> (Ledger, LedgerContents) {
        let opened = try open(folder: folder) { _ in nil }
        return (opened.ledger, opened.contents)
    }

    /// - Parameter look: opens the black box in the folder, when the folder belongs to this process: it says of which
    ///   providers' answers the process before died.
    static func open(
        folder: String, look: (String) throws -> (box: BlackBox, notes: [BlackBox.Note])?
    ) throws -> (ledger: Ledger, contents: LedgerContents, box: BlackBox?) {
        let lock = try FolderLock(folder: folder, option: "--ledger-dir")
        let found = try look(folder)
        let database = try SQLiteDatabase(path: "\(folder)/ledger.sqlite", durable: true)
        // One of an earlier release may be there for everybody to read.
        for suffix in ["", "-wal", "-shm"] { chmod("\(folder)/ledger.sqlite\(suffix)", 0o600) }
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS fence (tenant TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS begun (tenant TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS job (
              id TEXT PRIMARY KEY, tenant TEXT NOT NULL, provider TEXT NOT NULL, epoch INTEGER NOT NULL,
              request BLOB NOT NULL, acknowledged INTEGER NOT NULL DEFAULT 0, ended TEXT, ended_at INTEGER)
              WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS given_up (
              job TEXT PRIMARY KEY, tenant TEXT NOT NULL, provider TEXT NOT NULL, given_up_by TEXT NOT NULL,
              evidence TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS suspect (
              provider TEXT PRIMARY KEY, version INTEGER NOT NULL, deaths INTEGER NOT NULL, died_at INTEGER NOT NULL)
              WITHOUT ROWID;
            """)
        try note(found?.notes ?? [], database)
        // A ledger of the first release has no times.
        if try database.query("SELECT 1 FROM pragma_table_info('job') WHERE name = 'ended_at'", [], { _ in 1 }).isEmpty
        {
            try database.execute("ALTER TABLE job ADD COLUMN ended_at INTEGER")
        }
        try database.execute("CREATE INDEX IF NOT EXISTS job_ended ON job (ended_at) WHERE ended IS NOT NULL")
        try purge(database)
        let contents = try read(database)
        return (Ledger(database: database, lock: lock), contents, found?.box)
    }

    /// Who was killed from outside died of no answer.
    private static func note(_ notes: [BlackBox.Note], _ database: SQLiteDatabase) throws {
        for note in notes where note.isTrapped {
            guard let poison = PoisonNote(note.text) else { continue }
            _ = try database.run(
                """
                INSERT INTO suspect VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET
                  deaths = CASE WHEN version = excluded.version THEN min(deaths + 1, 1000) ELSE 1 END,
                  version = excluded.version, died_at = excluded.died_at
                """, [.text(poison.provider.text), .int(Int64(poison.version)), .int(WallClock.milliseconds)])
        }
        // One death long ago was an accident.
        _ = try database.run(
            "DELETE FROM suspect WHERE deaths < ? AND died_at < ?",
            [.int(Int64(SuspectProvider.limit)), .int(WallClock.milliseconds - suspicionMilliseconds)])
    }

    private static let suspicionMilliseconds: Int64 = 86_400_000

    private init(database: sending SQLiteDatabase, lock: FolderLock) {
        self.database = database
        self.lock = lock
        thread = PinnedThread(name: "ledger")
    }

    private static func read(_ database: SQLiteDatabase) throws -> LedgerContents {
        var contents = LedgerContents()
        contents.fences = try epochs(database, in: "fence")
        contents.begun = try epochs(database, in: "begun")
        let rows = try database.query(
            "SELECT tenant, provider, epoch, request, acknowledged FROM job WHERE ended IS NULL ORDER BY id", []
        ) { row in (row.text(0), row.text(1), row.int(2), row.blob(3), row.int(4)) }
        for (tenant, provider, epoch, request, acknowledged) in rows {
            guard let tenant = tenant.flatMap({ TenantID($0) }), let provider = provider.flatMap({ ProviderID($0) }),
                let request
            else { throw OptionError("--ledger-dir: the ledger holds a job without tenant, provider or request") }
            contents.open.append(
                LedgerJob(
                    tenant: tenant, provider: provider, epoch: Int(epoch),
                    request: try JSON.decode(JobRequest.self, from: request, policy: .lenient),
                    acknowledged: acknowledged != 0))
        }
        contents.ended = try readEnded(database)
        contents.givenUp = try readGivenUp(database)
        contents.suspects = try database.query("SELECT provider, version, deaths FROM suspect", []) {
            ($0.text(0), $0.int(1), $0.int(2))
        }.compactMap { row in
            row.0.flatMap { ProviderID($0) }.map {
                SuspectProvider(provider: $0, version: Int(row.1), deaths: Int(row.2))
            }
        }
        return contents
    }

    private static func epochs(_ database: SQLiteDatabase, in table: String) throws -> [TenantID: Int] {
        let rows = try database.query("SELECT tenant, epoch FROM \(table)", []) { ($0.text(0), $0.int(1)) }
        return rows.reduce(into: [:]) { epochs, row in
            if let tenant = row.0.flatMap({ TenantID($0) }) { epochs[tenant] = Int(row.1) }
        }
    }

    /// A line each, without their requests: there may be many.
    private static func readEnded(_ database: SQLiteDatabase) throws -> [LedgerContents.Ended] {
        let now = WallClock.milliseconds
        let rows = try database.query(
            """
            SELECT id, tenant, provider, epoch, ended, ended_at, json_extract(CAST(request AS TEXT), '$.labels.run_id'),
              json_extract(CAST(request AS TEXT), '$.labels.service'),
              json_extract(CAST(request AS TEXT), '$.labels.attempt'),
              json_extract(CAST(request AS TEXT), '$.deadline'),
              json_extract(CAST(request AS TEXT), '$.labels.upstream')
            FROM job WHERE ended IS NOT NULL ORDER BY ended_at
            """, []
        ) { row -> LedgerContents.Ended? in
            guard let job = row.text(0).flatMap({ JobID($0) }), let tenant = row.text(1).flatMap({ TenantID($0) }),
                let provider = row.text(2).flatMap({ ProviderID($0) }),
                let state = row.text(4).flatMap({ JobState(rawValue: $0) }),
                let run = row.text(6).flatMap({ RunID($0) }), let service = row.text(7).flatMap({ ServiceID($0) }),
                let deadline = row.text(9).flatMap({ Timestamp($0) })
            else { return nil }
            return LedgerContents.Ended(
                left: LeftJob(
                    job: job, tenant: tenant, provider: provider, epoch: Int(row.int(3)), run: run, service: service,
                    attempt: RunLabels.attempt(row.text(8)), deadline: deadline,
                    upstream: row.text(10).map { RunLabels.upstream($0) }),
                state: state, age: age(row.int(5), at: now))
        }
        return rows.compactMap { $0 }
    }

    private static func readGivenUp(_ database: SQLiteDatabase) throws -> [LedgerContents.GivenUp] {
        let now = WallClock.milliseconds
        let rows = try database.query(
            "SELECT job, tenant, provider, given_up_by, evidence, at FROM given_up ORDER BY at", []
        ) { row -> LedgerContents.GivenUp? in
            guard let job = row.text(0).flatMap({ JobID($0) }), let tenant = row.text(1).flatMap({ TenantID($0) }),
                let provider = row.text(2).flatMap({ ProviderID($0) }), let by = row.text(3), let evidence = row.text(4)
            else { return nil }
            return LedgerContents.GivenUp(
                job: GivenUpJob(job: job, tenant: tenant, provider: provider, by: by, evidence: evidence),
                age: age(row.int(5), at: now))
        }
        return rows.compactMap { $0 }
    }

    /// A damaged row may hold any number.
    private static func age(_ then: Int64, at now: Int64) -> Int64 {
        let (age, isOver) = now.subtractingReportingOverflow(then)
        return isOver ? 0 : min(max(0, age), JobMemory.keepMilliseconds)
    }

    private static func purge(_ database: SQLiteDatabase) throws {
        _ = try database.run(
            "DELETE FROM given_up WHERE at < ?", [.int(WallClock.milliseconds - JobMemory.keepMilliseconds)])
        _ = try database.run(
            "DELETE FROM job WHERE ended IS NOT NULL AND coalesce(ended_at, 0) < ?",
            [.int(WallClock.milliseconds - JobMemory.keepMilliseconds)])
        _ = try database.run(
            """
            DELETE FROM job WHERE id IN (
              SELECT id FROM job WHERE ended IS NOT NULL ORDER BY ended_at DESC LIMIT -1 OFFSET ?)
            """, [.int(Int64(JobMemory.maxLines))])
    }

    /// Legal from any thread. `done` is called on the ledger's thread with nil, or with why nothing was written.
    nonisolated func write(_ entries: [LedgerEntry], done: @escaping @Sendable (String?) -> Void) {
        thread.post { self.assumeIsolated { $0.enqueue(entries, done) } }
    }

    nonisolated func shutdown() { thread.shutdown() }

    private func enqueue(_ entries: [LedgerEntry], _ done: @escaping @Sendable (String?) -> Void) {
        queue.append((entries, done))
        // The first of a burst commits what has come meanwhile.
        if queue.count == 1 { thread.post { self.assumeIsolated { $0.commit() } } }
    }

    private func commit() {
        let batch = queue
        queue.removeAll(keepingCapacity: true)
        var failure: String?
        do {
            try database.transaction {
                for (entries, _) in batch { for entry in entries { try apply(entry) } }
                commits += 1
                if commits % Self.purgeEveryCommits == 0 { try Self.purge(database) }
            }
        } catch {
            failure = "\(error)"
        }
        for (_, done) in batch { done(failure) }
    }

    private func raise(_ table: String, _ tenant: TenantID, _ epoch: Int) throws {
        _ = try database.run(
            "INSERT INTO \(table) VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch)",
            [.text(tenant.text), .int(Int64(epoch))])
    }

    private func apply(_ entry: LedgerEntry) throws {
        switch entry {
        case .fence(let tenant, let epoch): try raise("fence", tenant, epoch)
        case .begun(let tenant, let epoch): try raise("begun", tenant, epoch)
        case .intent(let job):
            _ = try database.run(
                "INSERT INTO job (id, tenant, provider, epoch, request) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    .text("\(job.request.id)"), .text(job.tenant.text), .text(job.provider.text),
                    .int(Int64(job.epoch)),
                    .blob(try JSON.encode(job.request)),
                ])
        case .acknowledged(let id):
            _ = try database.run("UPDATE job SET acknowledged = 1 WHERE id = ?", [.text("\(id)")])
        case .givenUp(let job):
            let now = SQLiteValue.int(WallClock.milliseconds)
            _ = try database.run(
                "INSERT INTO given_up VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    .text("\(job.job)"), .text(job.tenant.text), .text(job.provider.text), .text(job.by),
                    .text(job.evidence), now,
                ])
            // In one transaction with that: a process that finds the job open here would go on with it.
            _ = try database.run(
                "UPDATE job SET ended = ?, ended_at = ? WHERE id = ? AND ended IS NULL",
                [.text(JobState.lost.rawValue), now, .text("\(job.job)")])
        case .forgiven(let provider):
            _ = try database.run("DELETE FROM suspect WHERE provider = ?", [.text(provider.text)])
        case .ended(let id, let state):
            _ = try database.run(
                "UPDATE job SET ended = ?, ended_at = ? WHERE id = ?",
                [.text(state.rawValue), .int(WallClock.milliseconds), .text("\(id)")])
        }
    }
}
