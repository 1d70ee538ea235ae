import OMSModel
import SQLite

/// The provider's jobs in one SQLite file, so that a restart loses none. Decides nothing: `JobEngine` does.
///
/// One connection, guarded by the engine's monitor.
final class JobStore {
    let database: SQLiteDatabase
    /// The latest `updated` given out. It strictly increases, also over restarts and steps of the wall clock: the
    /// change feed (`updated_since`) would lose a change that carries an older time than one already read.
    private var lastUpdated: Int64

    /// - Throws: `SQLiteError`.
    init(path: String) throws {
        database = try SQLiteDatabase(path: path)
        try database.execute(
            """
            CREATE TABLE IF NOT EXISTS job (
              id TEXT PRIMARY KEY, service TEXT NOT NULL, tenant TEXT NOT NULL, state TEXT NOT NULL,
              revision INTEGER NOT NULL, attempt INTEGER, progress REAL, message TEXT, created INTEGER NOT NULL,
              started INTEGER, updated INTEGER NOT NULL, finished INTEGER, deadline INTEGER, request TEXT NOT NULL,
              request_hash TEXT NOT NULL, outputs TEXT, error TEXT
            ) WITHOUT ROWID;
            CREATE INDEX IF NOT EXISTS job_feed ON job (updated, id);
            CREATE INDEX IF NOT EXISTS job_state ON job (state, tenant, service, created);
            CREATE INDEX IF NOT EXISTS job_finished ON job (finished, state);
            """)
        try database.execute(Self.memoryTables)
        lastUpdated = try database.query("SELECT coalesce(max(updated), 0) FROM job") { $0.int(0) }.first ?? 0
    }

    func insert(_ request: JobRequest, hash: String, now: Timestamp) throws {
        try database.run(
            """
            INSERT INTO job (id, service, tenant, state, revision, created, updated, deadline, request, request_hash)
            VALUES (?, ?, ?, 'queued', 1, ?, ?, ?, ?, ?)
            """,
            [
                .text(request.id.description), .text(request.service.text), .text(request.tenant.text),
                .int(now.milliseconds), .int(nextUpdated(now)), .optional(request.deadline?.milliseconds),
                .text(try JSONText.string(request)), .text(hash),
            ])
    }

    func requestHash(of id: JobID) throws -> String? {
        try database.query("SELECT request_hash FROM job WHERE id = ?", [.text(id.description)]) { $0.text(0) ?? "" }
            .first
    }

    func request(of id: JobID) throws -> JobRequest? {
        try database.query("SELECT request FROM job WHERE id = ?", [.text(id.description)]) {
            try JSONText.decode(JobRequest.self, from: $0.text(0) ?? "")
        }.first
    }

    func nextQueued() throws -> JobID? {
        try database.query("SELECT id FROM job WHERE state = 'queued' ORDER BY created, id LIMIT 1") {
            try $0.jobID(0)
        }.first
    }

    func start(_ id: JobID, now: Timestamp) throws {
        try change(id, "state = 'running', attempt = 1, progress = 0, started = ?3", [.int(now.milliseconds)], now)
    }

    /// After a restart: the job is `running` still (its rank must not fall), as another attempt.
    func restart(_ id: JobID, now: Timestamp) throws {
        try change(
            id, "attempt = coalesce(attempt, 0) + 1, progress = 0, message = ?3",
            [.text("the provider was restarted; the job runs again")], now)
    }

    func report(_ id: JobID, progress: Double, message: String?, now: Timestamp) throws {
        try change(
            id, "progress = ?3, message = coalesce(?4, message)",
            [.double(progress), message.map { .text($0) } ?? .null], now)
    }

    func markStopping(_ id: JobID, message: String, now: Timestamp) throws {
        try change(id, "state = 'stopping', message = ?3", [.text(message)], now)
    }

    func finish(_ id: JobID, _ end: JobEnd, now: Timestamp) throws {
        let (state, message, outputs, error): (JobState, String?, String?, String?) =
            switch end {
            case .succeeded(let outputs, let message): (.succeeded, message, try JSONText.string(outputs), nil)
            case .failed(let problem): (.failed, problem.detail, nil, try JSONText.string(problem))
            case .stopped(let message): (.stopped, message, nil, nil)
            }
        try change(
            id,
            """
            state = ?3, message = ?4, outputs = ?5, error = ?6, finished = ?7,
            progress = CASE ?3 WHEN 'succeeded' THEN 100 ELSE progress END
            """,
            [
                .text(state.rawValue), message.map { .text(String($0.prefix(1024))) } ?? .null,
                outputs.map { .text($0) } ?? .null, error.map { .text($0) } ?? .null, .int(now.milliseconds),
            ], now)
    }

    /// The grace has passed and the work has not ended: whoever reads the job learns that it is not forgotten.
    func markOverdue(_ id: JobID, graceSeconds: Int, now: Timestamp) throws {
        let text = "still stopping: grace_s = \(graceSeconds) has passed; it ends at its next safe point"
        try change(id, "message = ?3", [.text(text)], now)
    }

    /// Every change of a job goes through here: `revision` and `updated` grow together with it, in one statement.
    private func change(_ id: JobID, _ assignments: String, _ values: [SQLiteValue], _ now: Timestamp) throws {
        let changed = try database.run(
            "UPDATE job SET revision = revision + 1, updated = ?2, \(assignments) WHERE id = ?1 AND finished IS NULL",
            [.text(id.description), .int(nextUpdated(now))] + values)
        if changed != 1 { throw Problem(.internal, "job \(id) has ended already or is gone from the job store") }
    }

    private func nextUpdated(_ now: Timestamp) -> Int64 {
        lastUpdated = max(now.milliseconds, lastUpdated + 1)
        return lastUpdated
    }
}

/// How a job ended.
enum JobEnd: Hashable, Sendable {
    case succeeded(outputs: JSONObject, message: String?)
    case failed(Problem)
    case stopped(String)
}

extension SQLiteValue {
    static func optional(_ number: Int64?) -> SQLiteValue { number.map { .int($0) } ?? .null }
}

extension SQLiteStatement {
    func jobID(_ column: Int32) throws -> JobID {
        let text = text(column) ?? ""
        guard let id = JobID(text) else { throw Problem(.internal, "'\(text)' in the job store is no job id") }
        return id
    }

    func timestamp(_ column: Int32) -> Timestamp? {
        isNull(column) ? nil : Timestamp(milliseconds: int(column))
    }
}
