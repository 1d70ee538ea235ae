import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// Epochs, and what an epoch leaves to the next.
extension Store {
    static func openEpoch(
        _ database: isolated PostgresConnection, _ tenant: TenantID, expected: Int, fleet: NodeID, boot: Int64,
        reason: String
    ) throws -> StoreReply {
        try database.transaction { database in
            let last = try database.query(
                "SELECT epoch, ended_at IS NOT NULL AS ended FROM oms.epoch WHERE tenant = $1 ORDER BY epoch DESC LIMIT 1",
                [.text(tenant.text)])
            let number = Int(last.rows.first?.int("epoch") ?? 0)
            let opened: PGResult
            if number == expected {
                // The answer to the same request was lost. Nobody has been started with it yet.
                opened = try database.query(
                    """
                    UPDATE oms.epoch SET fleet = $3, boot = $4 WHERE tenant = $1 AND epoch = $2 AND ended_at IS NULL
                    RETURNING epoch, oms.rfc3339(started_at) AS since
                    """, [.text(tenant.text), .int(expected), .text(fleet.text), .int(boot)])
            } else {
                // A gap is one that a restored backup does not remember; the gateways do.
                guard number < expected else {
                    return .failed(
                        Problem(.conflict, "the last epoch of \(tenant) is \(number), \(expected) is over", status: 409)
                    )
                }
                // 1. The epoch before ends here, if it has not: its journal is refused from now on.
                if let row = last.rows.first, row.bool("ended") != true {
                    try receipt(
                        database, tenant, number, operation: nil, reason: reason, isGraceful: false, since: nil,
                        swept: [])
                    try database.query(
                        "UPDATE oms.epoch SET ended_at = now() WHERE tenant = $1 AND epoch = $2",
                        [.text(tenant.text), .int(number)])
                }
                // Its reasons go with it; the next one finds its own.
                try database.query(
                    "DELETE FROM oms.reason WHERE tenant = $1 AND subject <> 'tenant'", [.text(tenant.text)])
                // 2. The next number, never used before.
                opened = try database.query(
                    """
                    INSERT INTO oms.epoch (tenant, epoch, fleet, boot, reason) VALUES ($1, $2, $3, $4, $5)
                    RETURNING epoch, oms.rfc3339(started_at) AS since
                    """, [.text(tenant.text), .int(expected), .text(fleet.text), .int(boot), .text(reason)])
            }
            guard let row = opened.rows.first, let epoch = row.int("epoch"),
                let since = row["since"].flatMap({ Timestamp($0) })
            else { throw StoreError(description: "epoch \(expected) of \(tenant) has ended already") }
            // 3. What its Work Manager needs to go on.
            return .opened(epoch: Int(epoch), since: since, try resume(database, tenant))
        }
    }

    static func resume(
        _ database: isolated PostgresConnection, _ tenant: TenantID
    ) throws -> WorkManagerResume {
        let result = try database.query(
            """
            SELECT json_build_object(
              'ticks', (SELECT coalesce(json_object_agg(service, oms.rfc3339(due)), '{}') FROM (
                SELECT service, max(coalesce(through, due)) AS due FROM oms.tick
                WHERE tenant = $1 AND NOT manual GROUP BY service) t),
              'succeeded', (SELECT coalesce(json_object_agg(service,
                  json_build_object('run', id, 'due', oms.rfc3339(due))), '{}') FROM (
                SELECT DISTINCT ON (service) service, id, due FROM oms.run
                WHERE tenant = $1 AND state IN ('succeeded', 'partial') ORDER BY service, due DESC) r),
              'consumed', (SELECT coalesce(json_object_agg(service, consumed), '{}') FROM (
                SELECT DISTINCT ON (service) service, consumed FROM oms.run
                WHERE tenant = $1 AND consumed IS NOT NULL ORDER BY service, due DESC) c),
              'open', (SELECT coalesce(json_agg(json_build_object(
                  'run', r.id, 'service', r.service, 'due', oms.rfc3339(r.due),
                  'started', oms.rfc3339(r.started_at), 'deadline', oms.rfc3339(r.deadline),
                  'consumed', r.consumed, 'finished', r.finished_at IS NOT NULL, 'plan', r.plan,
                  'revision', oms.figure(r.result->'revision'),
                  'jobs', (SELECT coalesce(json_agg(json_build_object(
                      'id', j.id, 'provider', j.provider, 'attempt', j.attempt, 'state', j.state,
                      'revision', j.revision, 'retryable', CASE j.error->>'retryable' WHEN 'true' THEN true WHEN 'false' THEN false END,
                      'problem', j.error->>'type',
                      'quarantined', CASE WHEN q.job_id IS NOT NULL THEN true END) ORDER BY j.id), '[]')
                    FROM oms.job j LEFT JOIN oms.quarantined_job q ON q.job_id = j.id
                    WHERE j.run_id = r.id)) ORDER BY r.id), '[]')
                FROM oms.run r
                WHERE r.tenant = $1 AND r.plan IS NOT NULL AND (r.finished_at IS NULL
                  OR r.id IN (SELECT run_id FROM oms.job WHERE tenant = $1 AND finished_at IS NULL))))::text AS resume
            """, [.text(tenant.text)])
        guard let text = result.rows.first?["resume"] else {
            throw StoreError(description: "no resume for \(tenant)")
        }
        return try Rows.decode(WorkManagerResume.self, text)
    }
}
