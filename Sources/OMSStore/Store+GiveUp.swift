import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// Jobs that operators gave up: the wish with its evidence, the end, and what the provider says afterwards.
extension Store {
    static func giveUp(
        _ database: isolated PostgresConnection, _ job: JobID, evidence: String, by client: NodeID, at: Timestamp
    ) throws -> StoreReply {
        try database.transaction { database in
            if let row = try givenUp(database, job) { return .givenUp(row, isNew: false) }
            let found = try database.query(
                """
                SELECT tenant, provider, state, oms.rfc3339(deadline) AS deadline, deadline <= $2::timestamptz AS overdue
                FROM oms.job WHERE id = $1::uuid FOR UPDATE
                """, [.text("\(job)"), .text(at.description)])
            guard let row = found.rows.first, let state = row["state"].flatMap({ JobState(rawValue: $0) }),
                let tenant = row["tenant"].flatMap({ TenantID($0) }),
                let provider = row["provider"].flatMap({ ProviderID($0) })
            else { return .failed(Problem(.notFound, "no job \(job) is known; see oms get jobs", status: 404)) }
            if let problem = refusal(
                job, provider, state, deadline: row["deadline"], isOverdue: row.bool("overdue") == true)
            {
                return .failed(problem)
            }
            let wish = GivenUpJob(job: job, tenant: tenant, provider: provider, by: client.text, evidence: evidence)
            try database.query(
                """
                INSERT INTO oms.given_up (job_id, tenant, provider, state, given_up_by, evidence, given_up_at)
                VALUES ($1::uuid, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (job_id) DO UPDATE SET state = EXCLUDED.state, given_up_by = EXCLUDED.given_up_by,
                  evidence = EXCLUDED.evidence, given_up_at = EXCLUDED.given_up_at, done_at = NULL, refused = NULL
                """,
                [
                    .text("\(job)"), .text(tenant.text), .text(provider.text), .text(state.rawValue),
                    .text(client.text),
                    .text(evidence), .text(at.description),
                ])
            return .givenUp(GivenUpRow(wish: wish, at: at), isNew: true)
        }
    }

    /// Only what is stuck is given up.
    private static func refusal(
        _ job: JobID, _ provider: ProviderID, _ state: JobState, deadline: String?, isOverdue: Bool
    ) -> Problem? {
        let end = deadline ?? "its deadline"
        switch state {
        case .stopping, .unknown: return nil
        case .queued, .running:
            if isOverdue { return nil }
            return Problem(
                .conflict,
                "job \(job) is \(state.rawValue) at \(provider), as it should be, and is stopped at \(end): there is nothing to "
                    + "give up. oms suspend or oms replace stop it sooner", status: 409)
        case .pending, .submitting:
            return Problem(
                .conflict,
                "job \(job) waits for \(provider) and has not begun; it expires at \(end) by itself: there is nothing to give up",
                status: 409)
        case .succeeded, .failed, .stopped, .rejected, .expired, .lost:
            return Problem(.conflict, "job \(job) has ended already: \(state.rawValue)", status: 409)
        }
    }

    private static func givenUp(_ database: isolated PostgresConnection, _ job: JobID) throws -> GivenUpRow? {
        try rows(database, "g.job_id = $1::uuid AND g.refused IS NULL", [.text("\(job)")]).first
    }

    /// Those that their gateways have not ended yet.
    static func openGiveUps(_ database: isolated PostgresConnection) throws -> [GivenUpRow] {
        try rows(database, "g.done_at IS NULL ORDER BY g.given_up_at LIMIT 1000", [])
    }

    private static func rows(
        _ database: isolated PostgresConnection, _ condition: String, _ values: [PGValue]
    ) throws -> [GivenUpRow] {
        let result = try database.query(
            """
            SELECT g.job_id, g.tenant, g.provider, g.given_up_by, g.evidence, oms.rfc3339(g.given_up_at) AS at,
              oms.rfc3339(g.done_at) AS done FROM oms.given_up g WHERE \(condition)
            """, values)
        return result.rows.compactMap { row in
            guard let job = row["job_id"].flatMap({ JobID($0) }), let tenant = row["tenant"].flatMap({ TenantID($0) }),
                let provider = row["provider"].flatMap({ ProviderID($0) }), let by = row["given_up_by"],
                let evidence = row["evidence"], let at = row["at"].flatMap({ Timestamp($0) })
            else { return nil }
            return GivenUpRow(
                wish: GivenUpJob(job: job, tenant: tenant, provider: provider, by: by, evidence: evidence), at: at,
                doneAt: row["done"].flatMap { Timestamp($0) })
        }
    }

    /// Safe to repeat. A row that has an end already keeps it: the Work Manager's word may have come first.
    static func endGiveUp(
        _ database: isolated PostgresConnection, _ wish: GivenUpJob, refused: String?, at: Timestamp
    ) throws {
        try database.transaction { database in
            let name: [PGValue] = [.text("\(wish.job)"), .text(at.description)]
            if let refused {
                // It may be given up another time.
                try database.query(
                    "UPDATE oms.given_up SET done_at = $2, refused = $3 WHERE job_id = $1::uuid AND done_at IS NULL",
                    name + [.text(refused)])
                return
            }
            // 1. The end.
            try database.query(
                """
                WITH ended AS (
                  UPDATE oms.job SET state = 'lost', finished_at = $2::timestamptz, updated_at = $2::timestamptz,
                    revision = revision + 1, error = $3::jsonb
                  WHERE id = $1::uuid AND finished_at IS NULL RETURNING id, epoch, revision, error)
                INSERT INTO oms.job_event (job_id, epoch, revision, state, time, message, error)
                SELECT id, epoch, revision, 'lost', $2::timestamptz, 'given up', error FROM ended ON CONFLICT DO NOTHING
                """, name + [try Rows.json(wish.problem)])
            // 2. Nobody knows how it ended at its provider.
            try database.query(
                """
                INSERT INTO oms.quarantined_job (job_id, tenant, provider, epoch, reason, since)
                SELECT $1::uuid, $3, $4, coalesce((SELECT epoch FROM oms.job WHERE id = $1::uuid), 0), $5, $2::timestamptz
                ON CONFLICT (job_id) DO UPDATE SET reason = EXCLUDED.reason
                """,
                name + [
                    .text(wish.tenant.text), .text(wish.provider.text),
                    .text("given up by \(wish.by): \(wish.evidence)"),
                ])
            try database.query(
                "UPDATE oms.given_up SET done_at = $2 WHERE job_id = $1::uuid AND done_at IS NULL", name)
        }
    }

    /// The provider speaks of a job that was given up.
    static func noteSign(_ database: isolated PostgresConnection, _ sign: SweptJob, at: Timestamp) throws {
        try database.query(
            """
            UPDATE oms.given_up SET seen_at = $2::timestamptz, seen_state = $3,
              ended_there_at = CASE WHEN $4 THEN coalesce(ended_there_at, $2::timestamptz) ELSE ended_there_at END
            WHERE job_id = $1::uuid
            """,
            [
                .text("\(sign.job)"), .text(at.description), .text(sign.state.rawValue), .bool(sign.state.isTerminal),
            ])
    }
}
