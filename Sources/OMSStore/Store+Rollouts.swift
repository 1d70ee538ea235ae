import OMSCore
import OMSModel
import Postgres

/// Staged roll-outs.
extension Store {
    static func save(_ database: isolated PostgresConnection, _ rollout: Rollout) throws {
        try database.query(
            """
            INSERT INTO oms.rollout AS r (id, scenario, body, phase, started_at, ended_at)
            VALUES ($1::uuid, $2, $3::jsonb, $4, $5, $6)
            ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body, phase = EXCLUDED.phase, ended_at = EXCLUDED.ended_at
            WHERE r.ended_at IS NULL
            """,
            [
                .text(rollout.id), .text(rollout.scenario.text), try Rows.json(rollout), .text(rollout.phase.rawValue),
                .text(rollout.startedAt.description), .optional(rollout.endedAt?.description),
            ])
    }

    static func openRollout(_ database: isolated PostgresConnection) throws -> Rollout? {
        let result = try database.query("SELECT body::text AS body FROM oms.rollout WHERE ended_at IS NULL")
        return try result.rows.first?["body"].map { try Rows.decode(Rollout.self, $0) }
    }

    /// Runs of these tenants that began and ended since then.
    static func figures(
        _ database: isolated PostgresConnection, _ tenants: [TenantID], since: Timestamp
    ) throws -> (failed: Int, finished: Int) {
        let result = try database.query(
            """
            SELECT count(*) FILTER (WHERE r.state = 'failed') AS failed, count(*) AS finished
            FROM oms.run r JOIN json_array_elements_text($1::json) t(name) ON r.tenant = t.name
            WHERE r.finished_at IS NOT NULL AND r.started_at >= $2::timestamptz
            """, [try Rows.json(tenants), .text(since.description)])
        return (Int(result.rows.first?.int("failed") ?? 0), Int(result.rows.first?.int("finished") ?? 0))
    }
}
