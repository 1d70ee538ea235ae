import OMSCore
import OMSModel
import Postgres

/// Staged roll-outs.
extension Store {
    /// Repeated after a lost answer it changes nothing more, and an end that another decision put first stays.
    static func save(_ database: isolated PostgresConnection, _ rollout: Rollout) throws -> StoreReply {
        let body = try Rows.json(rollout)
        return try database.transaction { database in
            let written = try database.query(
                """
                INSERT INTO oms.rollout AS r (id, scenario, body, phase, started_at, ended_at)
                VALUES ($1::uuid, $2, $3::jsonb, $4, $5, $6)
                ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body, phase = EXCLUDED.phase, ended_at = EXCLUDED.ended_at
                WHERE r.ended_at IS NULL
                RETURNING 1
                """,
                [
                    .text(rollout.id), .text(rollout.scenario.text), body, .text(rollout.phase.rawValue),
                    .text(rollout.startedAt.description), .optional(rollout.endedAt?.description),
                ])
            guard !written.rows.isEmpty else {
                let found = try database.query(
                    "SELECT body::text AS body FROM oms.rollout WHERE id = $1::uuid", [.text(rollout.id)])
                let stored = try found.rows.first?["body"].map { try Rows.decode(Rollout.self, $0) } ?? rollout
                guard stored.phase == .done else { return .rollout(stored, nil) }
                return .rollout(
                    stored, try unchanged(database, kind: "Scenario", name: stored.scenario.text))
            }
            guard rollout.phase == .done else { return .rollout(rollout, nil) }
            return .rollout(
                rollout,
                try write(
                    database, [.scenario(rollout.scenario, rollout.spec)], by: rollout.initiator
                ).first)
        }
    }

    static func openRollout(_ database: isolated PostgresConnection) throws -> Rollout? {
        let result = try database.query("SELECT body::text AS body FROM oms.rollout WHERE ended_at IS NULL")
        return try result.rows.first?["body"].map { try Rows.decode(Rollout.self, $0) }
    }

    /// Of runs that began since then, and not under an earlier configuration than the given one.
    /// - Parameter tenants: the first generation that counts.
    static func figures(
        _ database: isolated PostgresConnection, _ tenants: [TenantID: Int], since: Timestamp
    ) throws -> [RunFigures] {
        guard !tenants.isEmpty else { return [] }
        let from = Dictionary(uniqueKeysWithValues: tenants.map { ($0.text, $1) })
        let result = try database.query(
            """
            SELECT r.service, count(*) FILTER (WHERE r.state = 'failed') AS failed, count(r.finished_at) AS finished,
              count(*) FILTER (WHERE r.finished_at IS NULL) AS open
            FROM oms.run r JOIN json_each_text($1::json) t ON r.tenant = t.key AND r.generation >= t.value::int
            WHERE r.started_at >= $2::timestamptz
            GROUP BY r.service ORDER BY r.service
            """, [try Rows.json(from), .text(since.description)])
        return result.rows.compactMap { row in
            guard let service = row["service"].flatMap({ ServiceID($0) }) else { return nil }
            func count(_ name: String) -> Int { Int(row.int(name) ?? 0) }
            return RunFigures(service, failed: count("failed"), finished: count("finished"), open: count("open"))
        }
    }
}
