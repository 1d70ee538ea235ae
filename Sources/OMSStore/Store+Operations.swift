import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// Operations on Work Managers, and the end of an epoch with its receipt.
extension Store {
    static func begin(_ database: isolated PostgresConnection, _ operation: ManagerOperation) throws -> StoreReply {
        // Another one, whose commit was done and whose answer was lost. Nobody else writes meanwhile: one registry is active.
        let open = try openOperations(database, of: operation.tenant).first
        if let open, open.id != operation.id { return .operation(open) }
        try write(database, operation)
        return .operation(operation)
    }

    static func save(_ database: isolated PostgresConnection, _ operation: ManagerOperation) throws {
        try write(database, operation)
    }

    private static func write(_ database: isolated PostgresConnection, _ operation: ManagerOperation) throws {
        try database.query(
            """
            INSERT INTO oms.operation AS o
            SELECT * FROM json_populate_record(NULL::oms.operation, $1::json)
            ON CONFLICT (id) DO UPDATE SET phase = EXCLUDED.phase, remaining = EXCLUDED.remaining,
              forced = EXCLUDED.forced, epoch = EXCLUDED.epoch, evidence = EXCLUDED.evidence, deadline = EXCLUDED.deadline,
              ended_at = EXCLUDED.ended_at
            WHERE o.ended_at IS NULL
            """, [try Rows.json(operation)])
    }

    /// - Parameter tenant: nil: of all.
    static func openOperations(
        _ database: isolated PostgresConnection, of tenant: TenantID? = nil
    ) throws -> [ManagerOperation] {
        let result = try database.query(
            """
            SELECT json_build_object('id', id, 'tenant', tenant, 'kind', kind, 'phase', phase, 'reason', reason,
              'initiator', initiator, 'epoch', epoch, 'remaining', remaining, 'forced', forced, 'evidence', evidence,
              'started_at', oms.rfc3339(started_at), 'deadline', oms.rfc3339(deadline))::text AS operation
            FROM oms.operation WHERE ended_at IS NULL AND ($1::text IS NULL OR tenant = $1) ORDER BY tenant
            """, [.optional(tenant?.text)])
        return try result.rows.compactMap { row in
            try row["operation"].map { try Rows.decode(ManagerOperation.self, $0) }
        }
    }

    static func openJobs(_ database: isolated PostgresConnection, _ tenant: TenantID) throws -> [OpenJobRow] {
        let result = try database.query(
            """
            SELECT coalesce(json_agg(json_build_object('job', j.id, 'provider', j.provider,
              'on_replace', r.plan->>'on_replace') ORDER BY j.id), '[]')::text AS jobs
            FROM oms.job j LEFT JOIN oms.run r ON r.id = j.run_id
            WHERE j.tenant = $1 AND j.finished_at IS NULL
            """, [.text(tenant.text)])
        return try Rows.decode([OpenJobRow].self, result.rows.first?["jobs"] ?? "[]")
    }

    /// Safe to repeat: the receipt is written once.
    static func close(_ database: isolated PostgresConnection, _ closing: EpochClosing) throws {
        try database.transaction { database in
            let name: [PGValue] = [.text(closing.tenant.text), .int(closing.epoch)]
            let open = try database.query(
                "SELECT 1 FROM oms.epoch WHERE tenant = $1 AND epoch = $2 AND ended_at IS NULL FOR UPDATE", name)
            guard !open.rows.isEmpty else { return }
            // 1. How the gateways ended jobs. A row that has an end already keeps it.
            let swept = try Rows.json(closing.swept)
            try database.query(
                """
                UPDATE oms.job j SET state = s.state, finished_at = $2::timestamptz, updated_at = $2::timestamptz,
                  revision = j.revision + 1, error = coalesce(s.error, j.error)
                FROM json_to_recordset($1::json) AS s(job uuid, state text, error jsonb)
                WHERE j.id = s.job AND j.finished_at IS NULL
                """, [swept, .text(closing.at.description)])
            try database.query(
                """
                INSERT INTO oms.job_event (job_id, epoch, revision, state, time, message, error)
                SELECT j.id, j.epoch, j.revision, j.state, $2::timestamptz, 'ended by the gateway for a replacement', j.error
                FROM json_to_recordset($1::json) AS s(job uuid) JOIN oms.job j ON j.id = s.job
                ON CONFLICT DO NOTHING
                """, [swept, .text(closing.at.description)])
            // 2. What nobody could account for.
            try database.query(
                """
                INSERT INTO oms.quarantined_job (job_id, tenant, provider, epoch, reason, since)
                SELECT job, $2, provider, $3, coalesce(error->>'detail', 'no answer'), $4
                FROM json_to_recordset($1::json) AS q(job uuid, provider text, error jsonb)
                ON CONFLICT (job_id) DO NOTHING
                """, [try Rows.json(closing.quarantined)] + name + [.text(closing.at.description)])
            try receipt(
                database, closing.tenant, closing.epoch, operation: closing.operation, reason: closing.reason,
                isGraceful: closing.isGraceful, since: closing.since, swept: closing.swept)
            // 3. From now on its journal is refused.
            try database.query("UPDATE oms.epoch SET ended_at = now() WHERE tenant = $1 AND epoch = $2", name)
        }
    }

    /// The receipt: every job that was open since `since`, and how it ended; jobs that only a gateway knew included.
    static func receipt(
        _ database: isolated PostgresConnection, _ tenant: TenantID, _ epoch: Int, operation: String?, reason: String,
        isGraceful: Bool, since: Timestamp?, swept: [EpochClosing.SweptRow]
    ) throws {
        try database.query(
            """
            INSERT INTO oms.drain_receipt (tenant, epoch, operation, reason, graceful, jobs, counts)
            SELECT $1, $2, $3::uuid, $4, $5,
              coalesce(jsonb_agg(jsonb_build_object('job', id, 'service', service, 'provider', provider, 'end', outcome)
                ORDER BY id), '[]'),
              coalesce((SELECT jsonb_object_agg(outcome, n) FROM (
                SELECT outcome, count(*) AS n FROM ended GROUP BY outcome) c), '{}')
            FROM ended
            """.withReceiptJobs,
            [
                .text(tenant.text), .int(epoch), .optional(operation), .text(reason), .bool(isGraceful),
                .optional(since?.description), try Rows.json(swept),
            ])
    }

    static func removeTenant(_ database: isolated PostgresConnection, _ tenant: TenantID, by initiator: String) throws {
        try database.transaction { database in
            try database.query(
                """
                INSERT INTO oms.document_version (kind, name, version, spec, changed_by)
                SELECT kind, name, version + 1, '{"removed": true}', $2 FROM oms.document
                WHERE kind = 'Tenant' AND name = $1
                ON CONFLICT DO NOTHING
                """, [.text(tenant.text), .text(initiator)])
            try database.query("DELETE FROM oms.document WHERE kind = 'Tenant' AND name = $1", [.text(tenant.text)])
            try database.query("DELETE FROM oms.reason WHERE tenant = $1", [.text(tenant.text)])
            try database.query(
                "UPDATE oms.operation SET phase = 'done', ended_at = now() WHERE tenant = $1 AND ended_at IS NULL",
                [.text(tenant.text)])
        }
    }

    static func drainFleet(
        _ database: isolated PostgresConnection, _ fleet: NodeID, _ isDraining: Bool, by client: NodeID
    ) throws {
        try database.query(
            "UPDATE oms.node SET draining = $2, changed_by = $3 WHERE role = 'fleet' AND node = $1",
            [.text(fleet.text), .bool(isDraining), .text(client.text)])
    }

    static func audit(
        _ database: isolated PostgresConnection, _ tenants: [TenantID]
    ) throws -> [TenantID: AuditedJobs] {
        let result = try database.query(
            """
            SELECT e.tenant, e.epoch, e.ack_seq,
              (SELECT coalesce(json_agg(j.id), '[]')::text FROM oms.job j
               WHERE j.tenant = e.tenant AND j.finished_at IS NULL) AS jobs
            FROM oms.epoch e JOIN json_array_elements_text($1::json) t(name) ON e.tenant = t.name
            WHERE e.ended_at IS NULL
            """, [try Rows.json(tenants)])
        var found: [TenantID: AuditedJobs] = [:]
        for row in result.rows {
            guard let tenant = row["tenant"].flatMap({ TenantID($0) }), let epoch = row.int("epoch"),
                let ackSeq = row.int("ack_seq"), let jobs = row["jobs"]
            else { continue }
            found[tenant] = AuditedJobs(
                epoch: Int(epoch), ackSeq: Int(ackSeq),
                digest: OpenJobsDigest(try Rows.decode([JobID].self, jobs)).text)
        }
        return found
    }
}

extension String {
    /// Puts the common table `ended` before a statement: `$1` tenant, `$6` since, `$7` what the gateways say.
    fileprivate var withReceiptJobs: String {
        """
        WITH ended AS (
          SELECT j.id, j.service, j.provider,
            CASE WHEN j.finished_at IS NOT NULL THEN j.state WHEN q.job_id IS NOT NULL THEN 'quarantined' ELSE 'adopted' END
              AS outcome
          FROM oms.job j LEFT JOIN oms.quarantined_job q ON q.job_id = j.id
          WHERE j.tenant = $1 AND (j.finished_at IS NULL OR j.finished_at >= $6::timestamptz)
          UNION ALL
          -- Known to a gateway alone: submitted before the journal told of it.
          SELECT s.job, NULL, s.provider, s.state
          FROM json_to_recordset($7::json) AS s(job uuid, provider text, state text)
          WHERE NOT EXISTS (SELECT FROM oms.job WHERE id = s.job))
        \(self)
        ON CONFLICT (tenant, epoch) DO NOTHING
        """
    }
}
