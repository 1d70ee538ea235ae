import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// The journal: effects and acknowledgement in one transaction, many tenants at once.
extension Store {
    struct Piece {
        var tenant: TenantID
        var journal: Journal

        var last: Int { journal.firstSeq + journal.entries.count - 1 }

        var singles: [Piece] {
            journal.entries.enumerated().map { offset, entry in
                Piece(
                    tenant: tenant,
                    journal: Journal(epoch: journal.epoch, firstSeq: journal.firstSeq + offset, entries: [entry]))
            }
        }
    }

    /// - Returns: for each piece the number up to which its tenant's journal is committed now.
    static func commit(_ database: isolated PostgresConnection, _ pieces: [Piece]) throws -> [Int] {
        try database.transaction { database in
            // 1. Advance the acknowledgement where the piece continues it; anything else is a repetition or a gap.
            struct Advance: Encodable {
                var tenant: TenantID
                var epoch: Int
                var first: Int
                var last: Int
            }
            let advances = try Rows.json(
                pieces.map {
                    Advance(tenant: $0.tenant, epoch: $0.journal.epoch, first: $0.journal.firstSeq, last: $0.last)
                })
            let advanced = try database.query(
                """
                UPDATE oms.epoch e SET ack_seq = p.last
                FROM json_to_recordset($1::json) AS p(tenant text, epoch int, first bigint, last bigint)
                WHERE e.tenant = p.tenant AND e.epoch = p.epoch AND e.ended_at IS NULL AND e.ack_seq = p.first - 1
                RETURNING e.tenant
                """, [advances])
            let accepted = Set(advanced.rows.compactMap { $0["tenant"] })
            // 2. Their effects.
            try apply(database, pieces.filter { accepted.contains($0.tenant.text) })
            // 3. What each sender may forget.
            return try pieces.map { piece in
                if accepted.contains(piece.tenant.text) { return piece.last }
                let known = try database.query(
                    "SELECT ack_seq FROM oms.epoch WHERE tenant = $1 AND epoch = $2 AND ended_at IS NULL",
                    [.text(piece.tenant.text), .int(piece.journal.epoch)])
                return Int(known.rows.first?.int("ack_seq") ?? 0)
            }
        }
    }

    static func apply(_ database: isolated PostgresConnection, _ pieces: [Piece]) throws {
        var ticks: [Rows.Owned<TickRecord>] = []
        var runs: [RunID: Rows.Owned<RunRecord>] = [:]
        var jobs: [JobID: Rows.Owned<JobRecord>] = [:]
        var steps: [Rows.Owned<JobRecord>] = []
        var reasons: [String: Rows.Owned<ReasonRecord>] = [:]
        for piece in pieces {
            let (tenant, epoch) = (piece.tenant, piece.journal.epoch)
            for entry in piece.journal.entries {
                if let tick = entry.tick { ticks.append(.init(tenant: tenant, epoch: epoch, record: tick)) }
                if var run = entry.run {
                    // A statement may touch a row once: the last record wins, the plan came with the first.
                    run.plan = run.plan ?? runs[run.id]?.record.plan
                    runs[run.id] = .init(tenant: tenant, epoch: epoch, record: run)
                }
                if let job = entry.job {
                    let owned = Rows.Owned(tenant: tenant, epoch: epoch, record: job)
                    if jobs[job.id].map({ $0.record.revision < job.revision }) ?? true { jobs[job.id] = owned }
                    steps.append(owned)
                }
                if let reason = entry.reason {
                    reasons["\(tenant)/\(reason.subject)"] = .init(tenant: tenant, epoch: epoch, record: reason)
                }
            }
        }
        if !ticks.isEmpty { try insert(database, ticks: ticks) }
        if !runs.isEmpty { try upsert(database, runs: Array(runs.values)) }
        if !jobs.isEmpty { try upsert(database, jobs: Array(jobs.values), steps: steps) }
        if !reasons.isEmpty { try replace(database, reasons: Array(reasons.values)) }
    }

    private static func insert(_ database: isolated PostgresConnection, ticks: [Rows.Owned<TickRecord>]) throws {
        try database.query(
            """
            INSERT INTO oms.tick (tenant, service, due, outcome, run_id, reason, count, recorded_at, through, manual)
            SELECT tenant, service, due, outcome, run, reason, coalesce(count, 1), time, through, coalesce(manual, false)
            FROM json_to_recordset($1::json) AS t(tenant text, service text, due timestamptz, outcome text, run uuid,
              reason text, count int, time timestamptz, through timestamptz, manual boolean)
            ON CONFLICT (tenant, service, due) DO NOTHING
            """, [try Rows.json(ticks)])
    }

    private static func upsert(_ database: isolated PostgresConnection, runs: [Rows.Owned<RunRecord>]) throws {
        try database.query(
            """
            INSERT INTO oms.run AS r (id, tenant, service, type, state, epoch, generation, due, started_at, deadline,
              finished_at, consumed, plan, result, error)
            SELECT id, tenant, service, type, state, epoch, generation, due, started, deadline, finished, consumed, plan,
              result, error
            FROM json_to_recordset($1::json) AS n(id uuid, tenant text, service text, type text, state text, epoch int,
              generation int, due timestamptz, started timestamptz, deadline timestamptz, finished timestamptz,
              consumed jsonb, plan jsonb, result jsonb, error jsonb)
            ON CONFLICT (id) DO UPDATE SET state = EXCLUDED.state, epoch = EXCLUDED.epoch,
              consumed = coalesce(EXCLUDED.consumed, r.consumed),
              finished_at = coalesce(r.finished_at, EXCLUDED.finished_at), plan = coalesce(EXCLUDED.plan, r.plan),
              result = EXCLUDED.result, error = EXCLUDED.error
            WHERE r.finished_at IS NULL
              OR coalesce(oms.figure(r.result->'revision'), 1) < coalesce(oms.figure(EXCLUDED.result->'revision'), 1)
            """, [try Rows.json(runs)])
    }

    /// A terminal row never changes again (P4): a later record of the same job is only a step in its history.
    private static func upsert(
        _ database: isolated PostgresConnection, jobs: [Rows.Owned<JobRecord>], steps: [Rows.Owned<JobRecord>]
    ) throws {
        try database.query(
            """
            INSERT INTO oms.job AS j (id, run_id, tenant, service, type, provider, attempt, state, revision, epoch,
              created_at, started_at, finished_at, deadline, updated_at, progress, message, outputs, error)
            SELECT id, run, tenant, service, type, provider, attempt, state, revision, epoch, created, started, finished,
              deadline, time, progress, message, outputs, error
            FROM json_to_recordset($1::json) AS n(id uuid, run uuid, tenant text, service text, type text, provider text,
              attempt int, state text, revision int, epoch int, created timestamptz, started timestamptz,
              finished timestamptz, deadline timestamptz, time timestamptz, progress float8, message text, outputs jsonb,
              error jsonb)
            ON CONFLICT (id) DO UPDATE SET state = EXCLUDED.state, revision = EXCLUDED.revision, epoch = EXCLUDED.epoch,
              started_at = coalesce(EXCLUDED.started_at, j.started_at), finished_at = EXCLUDED.finished_at,
              updated_at = EXCLUDED.updated_at, progress = coalesce(EXCLUDED.progress, j.progress),
              message = EXCLUDED.message, outputs = EXCLUDED.outputs, error = EXCLUDED.error
            WHERE j.finished_at IS NULL AND (j.epoch, j.revision) < (EXCLUDED.epoch, EXCLUDED.revision)
            """, [try Rows.json(jobs)])
        try database.query(
            """
            INSERT INTO oms.job_event (job_id, epoch, revision, state, time, progress, message, error)
            SELECT id, epoch, revision, state, time, progress, message, error
            FROM json_to_recordset($1::json) AS n(id uuid, epoch int, revision int, state text, time timestamptz,
              progress float8, message text, error jsonb)
            ON CONFLICT DO NOTHING
            """, [try Rows.json(steps)])
    }

    private static func replace(
        _ database: isolated PostgresConnection, reasons: [Rows.Owned<ReasonRecord>]
    ) throws {
        let cleared = reasons.filter(\.record.cleared)
        let current = reasons.filter { !$0.record.cleared }
        if !cleared.isEmpty {
            try database.query(
                """
                DELETE FROM oms.reason r USING json_to_recordset($1::json) AS n(tenant text, subject text)
                WHERE r.tenant = n.tenant AND r.subject = n.subject
                """, [try Rows.json(cleared)])
        }
        guard !current.isEmpty else { return }
        try database.query(
            """
            INSERT INTO oms.reason (tenant, subject, code, text, since)
            SELECT tenant, subject, coalesce(code, 'unknown'), coalesce(text, ''), since
            FROM json_to_recordset($1::json) AS n(tenant text, subject text, code text, text text, since timestamptz)
            ON CONFLICT (tenant, subject) DO UPDATE SET code = EXCLUDED.code, text = EXCLUDED.text, since = EXCLUDED.since
            """, [try Rows.json(current)])
    }
}
