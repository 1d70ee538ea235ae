import OMSModel
import SQLite

/// The filters and the page of `GET /jobs/`.
struct JobQuery: Hashable, Sendable {
    var states: [JobState]?
    var ids: [JobID]?
    var tenant: TenantID?
    var service: ServiceID?
    /// Inclusive.
    var updatedSince: Timestamp?
    var pageSize = 100
    var after: Position?

    /// Where the previous page ended, in the order (updated, id).
    struct Position: Hashable, Sendable {
        var updated: Int64
        var id: String
    }
}

extension JobStore {
    /// A page ends early at this size: 1,000 jobs with 32 KiB of outputs each would be 32 MB, and the gateway reads at
    /// most 1 MiB of an answer. One job more, the largest there can be, still fits.
    static let maximumPageBytes = 512 << 10

    func job(_ id: JobID) throws -> ProviderJob? {
        try database.query("SELECT \(Self.jobColumns) FROM job WHERE id = ?", [.text(id.description)], Self.job).first
    }

    /// The jobs of one page, and whether more follow.
    func page(_ query: JobQuery) throws -> (jobs: [ProviderJob], next: JobQuery.Position?) {
        // One fixed text for all filters: a list travels as a JSON array, an absent filter as NULL.
        let statement = try database.statement(
            """
            SELECT \(Self.jobColumns), length(CAST(request AS BLOB)) + length(CAST(coalesce(outputs, '') AS BLOB))
              + length(CAST(coalesce(error, '') AS BLOB)) + 4 * length(coalesce(message, ''))
            FROM job
            WHERE (updated, id) > (?1, ?2)
              AND (?3 IS NULL OR state IN (SELECT value FROM json_each(?3)))
              AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4)))
              AND (?5 IS NULL OR tenant = ?5) AND (?6 IS NULL OR service = ?6)
            ORDER BY updated, id LIMIT ?7
            """)
        defer { statement.reset() }
        let since = JobQuery.Position(updated: query.updatedSince?.milliseconds ?? Int64.min, id: "")
        let start = max(query.after ?? since, since)
        try statement.bind([
            .int(start.updated), .text(start.id),
            try query.states.map { .text(try JSONText.string($0)) } ?? .null,
            try query.ids.map { .text(try JSONText.string($0)) } ?? .null,
            query.tenant.map { .text($0.text) } ?? .null, query.service.map { .text($0.text) } ?? .null,
            .int(Int64(query.pageSize) + 1),
        ])
        var jobs: [ProviderJob] = []
        var bytes = 0
        while try statement.step() {
            if jobs.count == query.pageSize || bytes > Self.maximumPageBytes {
                return (jobs, jobs.last.map { .init(updated: $0.updated.milliseconds, id: $0.id.description) })
            }
            bytes += 512 + Int(statement.int(15))
            jobs.append(try Self.job(statement))
        }
        return (jobs, nil)
    }

    /// Jobs per state, and when the oldest queued one came.
    func statistics(tenant: TenantID?, service: ServiceID?) throws -> (counts: [String: Int], oldest: Timestamp?) {
        let rows = try database.query(
            """
            SELECT state, count(*), min(created) FROM job
            WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR service = ?2) GROUP BY state
            """, [tenant.map { .text($0.text) } ?? .null, service.map { .text($0.text) } ?? .null]
        ) { (state: $0.text(0) ?? "", count: Int($0.int(1)), oldest: $0.timestamp(2)) }
        var counts = Dictionary(
            uniqueKeysWithValues: JobState.allCases.filter(\.isProviderState).map { ($0.rawValue, 0) })
        for row in rows { counts[row.state] = row.count }
        return (counts, rows.first { $0.state == JobState.queued.rawValue }?.oldest)
    }

    /// Jobs per terminal state that ended at or after `time`.
    func finished(since time: Timestamp) throws -> [JobState: Int] {
        let rows = try database.query(
            "SELECT state, count(*) FROM job WHERE finished >= ? GROUP BY state", [.int(time.milliseconds)]
        ) { (JobState(rawValue: $0.text(0) ?? "") ?? .unknown, Int($0.int(1))) }
        return Dictionary(uniqueKeysWithValues: rows)
    }

    func count(_ state: JobState) throws -> Int {
        try database.query("SELECT count(*) FROM job WHERE state = ?", [.text(state.rawValue)]) { Int($0.int(0)) }
            .first ?? 0
    }

    func jobs(in state: JobState) throws -> [JobID] {
        try database.query("SELECT id FROM job WHERE state = ? ORDER BY created, id", [.text(state.rawValue)]) {
            try $0.jobID(0)
        }
    }

    func queued(withDeadlineUpTo time: Timestamp) throws -> [JobID] {
        try database.query(
            "SELECT id FROM job WHERE state = 'queued' AND deadline <= ? ORDER BY deadline LIMIT 500",
            [.int(time.milliseconds)]
        ) { try $0.jobID(0) }
    }

    func earliestQueuedDeadline() throws -> Timestamp? {
        try database.query("SELECT min(deadline) FROM job WHERE state = 'queued'") { $0.timestamp(0) }.first ?? nil
    }

    private static let jobColumns =
        """
        id, service, tenant, state, revision, attempt, progress, message, created, started, updated, finished, request,
        outputs, error
        """

    private static func job(_ row: SQLiteStatement) throws -> ProviderJob {
        let request = try JSONText.decode(JobRequest.self, from: row.text(12) ?? "")
        guard let state = JobState(rawValue: row.text(3) ?? ""), let created = row.timestamp(8),
            let updated = row.timestamp(10)
        else { throw Problem(.internal, "job \(request.id) is unreadable in the job store") }
        return ProviderJob(
            id: try row.jobID(0), service: request.service, tenant: request.tenant, state: state,
            revision: Int(row.int(4)), attempt: row.isNull(5) ? nil : Int(row.int(5)),
            progress: row.isNull(6) ? nil : row.double(6), message: row.text(7), created: created,
            started: row.timestamp(9), updated: updated, finished: row.timestamp(11), labels: request.labels,
            outputs: try row.text(13).map { try JSONText.decode(JSONObject.self, from: $0) },
            error: try row.text(14).map { try JSONText.decode(Problem.self, from: $0) })
    }
}

extension JobQuery.Position: Comparable {
    static func < (a: Self, b: Self) -> Bool { (a.updated, a.id) < (b.updated, b.id) }
}
