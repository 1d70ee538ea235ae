import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// Jobs that gateways named and that no journal told of.
extension Store {
    /// The job with the moment at which its run was due, which its id begins with.
    private struct DatedJob: Encodable {
        var left: LeftJob

        private enum Keys: String, CodingKey { case due }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode(left.job.time, forKey: .due)
            try left.encode(to: encoder)
        }
    }

    /// One transaction, safe to repeat. A row that is there stays as it is. What is older than the retention gets none: it may have
    /// had one, with its end, that was pruned.
    /// - Returns: per tenant how many jobs had no row.
    static func recover(
        _ database: isolated PostgresConnection, _ recovery: Recovery
    ) throws -> [TenantID: Int] {
        let jobs = try Rows.json(recovery.jobs.map { DatedJob(left: $0) })
        return try database.transaction { database in
            // 1. Runs first: a job without its run would be looked after by nobody.
            try database.query(
                """
                INSERT INTO oms.run (id, tenant, service, type, state, epoch, generation, due, started_at, deadline,
                  consumed, plan)
                SELECT DISTINCT ON (l.run) l.run, l.tenant, l.service, p.plan->>'type', 'running', l.epoch, p.generation,
                  l.due, l.due, l.deadline, l.upstream, p.plan
                FROM json_to_recordset($1::json) AS l(job uuid, run uuid, tenant text, service text, epoch int,
                    due timestamptz, deadline timestamptz, upstream jsonb)
                  JOIN json_to_recordset($2::json) AS p(tenant text, service text, generation int, plan jsonb)
                    USING (tenant, service)
                WHERE NOT EXISTS (SELECT FROM oms.job j WHERE j.id = l.job)
                  AND l.deadline >= coalesce((SELECT before FROM oms.retention), '-infinity')
                ORDER BY l.run, l.epoch
                ON CONFLICT (id) DO NOTHING
                """, [jobs, try Rows.json(recovery.plans)])
            // 2. Open, so that the next Work Manager, or a sweep, asks how they ended.
            let found = try database.query(
                """
                WITH found AS (
                  INSERT INTO oms.job (id, run_id, tenant, service, type, provider, attempt, state, revision, epoch,
                    created_at, deadline, updated_at, message)
                  SELECT l.job, l.run, l.tenant, l.service, r.type, l.provider, l.attempt, 'unknown', 1, l.epoch,
                    r.started_at, l.deadline, now(), $2
                  FROM json_to_recordset($1::json) AS l(job uuid, run uuid, tenant text, service text, provider text,
                      attempt int, epoch int, deadline timestamptz)
                    JOIN oms.run r ON r.id = l.run
                  WHERE l.deadline >= coalesce((SELECT before FROM oms.retention), '-infinity')
                  ON CONFLICT (id) DO NOTHING
                  RETURNING id, tenant, epoch, revision, state, updated_at, message),
                step AS (
                  INSERT INTO oms.job_event (job_id, epoch, revision, state, time, message)
                  SELECT id, epoch, revision, state, updated_at, message FROM found
                  ON CONFLICT DO NOTHING)
                SELECT tenant, count(*) AS jobs FROM found GROUP BY tenant
                """,
                [jobs, .text("found at gateway \(recovery.gateway); its Work Manager had died before it was recorded")])
            var counts: [TenantID: Int] = [:]
            for row in found.rows {
                if let tenant = row["tenant"].flatMap({ TenantID($0) }) { counts[tenant] = Int(row.int("jobs") ?? 0) }
            }
            return counts
        }
    }
}
