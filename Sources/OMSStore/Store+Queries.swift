import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// The questions of the `oms` command, answered from the same views that reporting users see.
extension Store {
    /// With `$1` tenant, `$2` service, `$3` limit (all may be null but the limit).
    private static func statement(_ question: Question) -> String {
        switch question {
        case .tenants:
            "SELECT * FROM report.tenant_status WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL ORDER BY tenant LIMIT $3::int"
        case .providers:
            "SELECT * FROM report.provider_status WHERE $1::text IS NULL AND $2::text IS NULL ORDER BY provider LIMIT $3::int"
        case .jobs:
            """
            SELECT job, tenant, service, provider, attempt, state, progress, wait_s, run_s, created_at, finished_at, error_type, error
            FROM report.job WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR service = $2)
            ORDER BY created_at DESC, job LIMIT $3::int
            """
        case .runs:
            """
            SELECT run, tenant, service, type, state, due, run_s, providers_used, error
            FROM report.run WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR service = $2)
            ORDER BY due DESC, run LIMIT $3::int
            """
        case .results:
            """
            SELECT * FROM report.result WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR service = $2)
            ORDER BY tenant, service LIMIT $3::int
            """
        case .configs:
            """
            SELECT tenant, generation, config FROM oms.manager WHERE tenant = $1 AND $2::text IS NULL LIMIT $3::int
            """
        case .why:
            """
            SELECT * FROM report.why WHERE ($1::text IS NULL OR tenant = $1)
              AND ($2::text IS NULL OR subject = $2 OR subject = 'service/' || $2 OR subject LIKE 'tick/' || $2 || '/%')
            ORDER BY tenant NULLS FIRST, subject LIMIT $3::int
            """
        case .ticks:
            """
            SELECT * FROM report.tick WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR service = $2)
            ORDER BY due DESC LIMIT $3::int
            """
        case .epochs:
            "SELECT * FROM report.manager_history WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL ORDER BY tenant, epoch DESC LIMIT $3::int"
        case .catalogs:
            """
            SELECT * FROM report.catalog_history WHERE $1::text IS NULL AND $2::text IS NULL
            ORDER BY provider, version DESC LIMIT $3::int
            """
        case .verifications:
            """
            SELECT provider, verified_at, verified_by, passed, failed_rules FROM report.verification
            WHERE $1::text IS NULL AND $2::text IS NULL ORDER BY verified_at DESC LIMIT $3::int
            """
        case .history:
            """
            SELECT kind, name, version, changed_at, changed_by, spec FROM report.audit
            WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR name = $2)
            ORDER BY changed_at DESC, kind, name LIMIT $3::int
            """
        case .rollouts:
            "SELECT * FROM report.rollout WHERE $1::text IS NULL AND $2::text IS NULL ORDER BY started_at DESC LIMIT $3::int"
        case .operations:
            """
            SELECT operation, tenant, kind, phase, reason, initiator, epoch, remaining, forced, started_at, ended_at, took_s
            FROM report.operation WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL
            ORDER BY started_at DESC LIMIT $3::int
            """
        case .receipts:
            """
            SELECT * FROM report.drain_receipt WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL
            ORDER BY written_at DESC LIMIT $3::int
            """
        case .quarantined:
            """
            SELECT * FROM report.quarantined_job WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL
            ORDER BY since DESC LIMIT $3::int
            """
        case .quarantine:
            """
            SELECT id, tenant, fact, has_row, error, times, received_at, last_at, resolution, resolved_by, resolved_reason
            FROM report.quarantine WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL
            ORDER BY resolution IS NOT NULL, last_at DESC, id LIMIT $3::int
            """
        case .givenUp:
            """
            SELECT * FROM report.given_up WHERE ($1::text IS NULL OR tenant = $1) AND $2::text IS NULL
            ORDER BY given_up_at DESC LIMIT $3::int
            """
        case .nodes:
            "SELECT * FROM report.node WHERE $1::text IS NULL AND $2::text IS NULL ORDER BY role, node LIMIT $3::int"
        }
    }

    /// What would unblock what, for `report.why`.
    static func seedReasonCodes(_ database: isolated PostgresConnection) throws {
        let codes = Dictionary(uniqueKeysWithValues: ReasonCode.allCases.map { ($0.rawValue, $0.remedy) })
        try database.query(
            """
            INSERT INTO oms.reason_code (code, remedy) SELECT key, value FROM json_each_text($1::json)
            ON CONFLICT (code) DO UPDATE SET remedy = EXCLUDED.remedy
            """, [try Rows.json(codes)])
    }

    private static let maxRows = 500
    /// Above the session's own limit, which ends the statement and keeps the session.
    private static let deadline: Duration = .milliseconds(3_500)
    /// Leaves room for the envelope in a message of 256 KiB.
    private static let maxBytes = 200_000

    static func query(_ database: isolated PostgresConnection, _ request: ClientRequest) throws -> StoreReply {
        guard let question = Question(rawValue: request.method) else {
            return .failed(Problem(.badRequest, "field method: '\(request.method)' is no question", status: 400))
        }
        let sql = statement(question)
        let limit = request.params["limit"]?.intValue ?? 50
        guard (1...Int64(maxRows)).contains(limit) else {
            return .failed(Problem(.badRequest, "field limit must be from 1 to \(maxRows)", status: 400))
        }
        let result = try database.query(
            "SELECT coalesce(json_agg(x), '[]')::text AS rows FROM (\(sql)) x",
            [
                .optional((request.params["tenant"] ?? request.params["kind"])?.stringValue),
                .optional((request.params["service"] ?? request.params["name"])?.stringValue),
                .int(limit),
            ], deadline: deadline)
        let text = result.rows.first?["rows"] ?? "[]"
        guard text.utf8.count <= maxBytes else {
            return .failed(
                Problem(
                    .tooLarge, "the answer is \(text.utf8.count) bytes, at most \(maxBytes); ask with a smaller limit",
                    status: 413))
        }
        let rows = try Rows.decode(JSONValue.self, text)
        return .answer(ClientResponse(id: request.id, status: 200, result: ["rows": rows]))
    }
}
