import OMSCore
import OMSModel
import Postgres

/// Old history goes. What may go, and why nobody can miss it:
///
/// - **Runs** with their jobs, events and quarantine marks, in one transaction, when all of it has ended before the limit and
///   every deadline has passed before it. A Work Manager, an adoption and a sweep read open runs and runs with an open job
///   (`resume`, `openJobs`, `audit`), always with all of their jobs: a run that went in part would be asked of its providers
///   anew. Of each service stays for ever what its schedule goes on from: the newest run, success, result, and consumer of
///   others, and all that are due at the same moment.
/// - **A run that a gateway may still name.** Seal lists reach back 24 h for ended jobs (`JobMemory`), by a clock that stands
///   still while a machine sleeps, and without a limit for jobs that the gateway has not seen ending. So age alone proves
///   nothing, and `oms.retention` has the limit itself: `recover` takes no job whose deadline lies before it. A job's deadline
///   is its run's, in the row as in the gateway's ledger, so what was pruned is never found again, whatever the clocks say.
/// - **Journals.** A piece counts once, by `ack_seq` of an open epoch, and open epochs stay. A late word about a run that went
///   would make an ended row anew, which the next pass takes.
/// - **What an operation or a roll-out under way counts** stays until it has ended: the receipt names jobs since the drain
///   began, the figures count runs since the wave began.
/// - **Ticks** go after their run. The newest of each service stays, and the newest that its timetable knows: nothing before it
///   is fired again.
/// - **Epochs and receipts** go in pairs, and only while a later receipt of the tenant is there: the newest number stays, also of
///   a tenant that was off-boarded, so that it goes on counting when it is declared again.
/// - **Versions** of documents, configurations and catalogues go when the next one was there before the limit: what was in force
///   at any moment since can be looked up, and the newest stays, also of what was removed.
///
/// Not here: tables with one row per name (`manager`, `node`, `provider_status`, `reason`, `document`).
extension Store {
    /// One transaction, safe to repeat.
    static func prune(_ database: isolated PostgresConnection, _ pruning: Pruning) throws -> Pruned {
        try database.transaction { database in
            // The planner cannot know that nearly all old rows may go. Left alone it collects and sorts all of them for one
            // batch, or compiles the statement, which takes several times as long as to carry it out.
            try database.query(
                "SELECT set_config(name, 'off', true) FROM unnest(ARRAY['jit', 'enable_bitmapscan', 'enable_sort']) name"
            )
            let before = try limit(database, pruning)
            var batch = Batch(before: .text(before.description), left: pruning.limit)
            var counts: [Pruned.Kind: Int] = [:]
            try pruneRuns(database, &batch, &counts)
            if batch.left > 0 { try pruneJobs(database, &batch, &counts) }
            for (kind, sql) in statements where batch.left > 0 {
                let gone = try database.query(sql, [batch.before, .int(batch.left)])
                counts[kind, default: 0] += gone.rows.count
                batch.left -= gone.rows.count
            }
            // Epochs with their receipts.
            if batch.left > 0 { try pruneEpochs(database, &batch, &counts) }
            return Pruned(before: before, counts: counts, hasMore: batch.left <= 0)
        }
    }

    private struct Batch {
        let before: PGValue
        /// Rows that this transaction may still take.
        var left: Int
    }

    /// By the registry's clock and by this server's, and not what a roll-out's wave still counts.
    private static func limit(_ database: isolated PostgresConnection, _ pruning: Pruning) throws -> Timestamp {
        let result = try database.query(
            """
            WITH wanted AS (
              SELECT date_trunc('milliseconds', least($1::timestamptz, now() - $2 * interval '1 millisecond',
                (SELECT min((body->>'wave_started')::timestamptz) FROM oms.rollout WHERE ended_at IS NULL))) AS before),
            kept AS (
              INSERT INTO oms.retention AS r (before, pruned_at) SELECT before, now() FROM wanted
              ON CONFLICT (one) DO UPDATE SET before = greatest(r.before, EXCLUDED.before), pruned_at = now())
            SELECT oms.rfc3339(before) AS before FROM wanted
            """, [.text(pruning.before.description), .double(Double(pruning.keepMilliseconds))])
        guard let before = result.rows.first?["before"].flatMap({ Timestamp($0) }) else {
            throw StoreError(description: "no limit of the retention")
        }
        return before
    }

    /// Whole runs, the oldest first, as many as the batch has room for and at least one.
    ///
    /// Sub-selects and arrays instead of joins: each is one descent of an index however large the tables are, and the next newer
    /// row is looked for upwards, where it is next to the old one.
    private static func pruneRuns(
        _ database: isolated PostgresConnection, _ batch: inout Batch, _ counts: inout [Pruned.Kind: Int]
    ) throws {
        // A run usually has a job, and that three events or more.
        let asked = max(batch.left / 5, 1)
        let row = try database.query(
            """
            WITH candidate AS MATERIALIZED (
              SELECT r.id, r.started_at FROM oms.run r
              WHERE r.started_at < $1::timestamptz AND r.finished_at < $1::timestamptz AND r.deadline < $1::timestamptz
                AND (SELECT n.id FROM oms.run n WHERE n.tenant = r.tenant AND n.service = r.service AND n.due > r.due
                  ORDER BY n.due LIMIT 1) IS NOT NULL
                AND (r.state NOT IN ('succeeded', 'partial') OR
                  (SELECT n.id FROM oms.run n WHERE n.tenant = r.tenant AND n.service = r.service AND n.due > r.due
                    AND n.state IN ('succeeded', 'partial') ORDER BY n.due LIMIT 1) IS NOT NULL)
                AND (r.result IS NULL OR
                  (SELECT n.id FROM oms.run n WHERE n.tenant = r.tenant AND n.service = r.service AND n.due > r.due
                    AND n.result IS NOT NULL ORDER BY n.due LIMIT 1) IS NOT NULL)
                AND (r.consumed IS NULL OR
                  (SELECT n.id FROM oms.run n WHERE n.tenant = r.tenant AND n.service = r.service AND n.due > r.due
                    AND n.consumed IS NOT NULL ORDER BY n.due LIMIT 1) IS NOT NULL)
                AND coalesce((SELECT max(greatest(coalesce(j.finished_at, 'infinity'), j.deadline)) FROM oms.job j
                  WHERE j.run_id = r.id), '-infinity') < $1::timestamptz
                AND (SELECT o.id FROM oms.operation o WHERE o.tenant = r.tenant AND o.ended_at IS NULL
                  AND o.started_at < $1::timestamptz) IS NULL
              ORDER BY r.started_at LIMIT $3::int),
            weighed AS (
              SELECT id, sum(rows) OVER w AS total, row_number() OVER w AS place FROM (
                SELECT c.id, c.started_at, 1 + (
                  SELECT count(*) + coalesce(sum((SELECT count(*) FROM oms.job_event e WHERE e.job_id = j.id)), 0)
                  FROM oms.job j WHERE j.run_id = c.id) AS rows
                FROM candidate c) x
              WINDOW w AS (ORDER BY started_at, id)),
            run AS (
              DELETE FROM oms.run WHERE id = ANY(ARRAY(SELECT id FROM weighed WHERE total <= $2::int OR place = 1))
              RETURNING id),
            job AS (DELETE FROM oms.job WHERE run_id = ANY(ARRAY(SELECT id FROM run)) RETURNING id),
            event AS (DELETE FROM oms.job_event WHERE job_id = ANY(ARRAY(SELECT id FROM job)) RETURNING 1),
            marked AS (DELETE FROM oms.quarantined_job WHERE job_id = ANY(ARRAY(SELECT id FROM job)) RETURNING 1)
            SELECT (SELECT count(*) FROM candidate) AS candidates, (SELECT count(*) FROM run) AS runs,
              (SELECT count(*) FROM job) AS jobs, (SELECT count(*) FROM event) AS events,
              (SELECT count(*) FROM marked) AS marked
            """, [batch.before, .int(batch.left), .int(asked)]
        ).rows.first
        func count(_ name: String) -> Int { Int(row?.int(name) ?? 0) }
        counts[.runs] = count("runs")
        counts[.jobs] = count("jobs")
        counts[.jobEvents] = count("events")
        counts[.quarantinedJobs] = count("marked")
        batch.left -= count("runs") + count("jobs") + count("events")
        // There may be more of them: nothing else in this batch.
        if count("candidates") > count("runs") || count("candidates") == asked { batch.left = 0 }
    }

    /// Jobs whose run has no row: its record was refused (`oms.quarantine`), or a late word came when it was gone.
    private static func pruneJobs(
        _ database: isolated PostgresConnection, _ batch: inout Batch, _ counts: inout [Pruned.Kind: Int]
    ) throws {
        let row = try database.query(
            """
            WITH orphan AS MATERIALIZED (
              SELECT j.id FROM oms.manager m CROSS JOIN LATERAL (
                SELECT j.id FROM oms.job j
                WHERE j.tenant = m.tenant AND j.finished_at IS NOT NULL AND j.finished_at < $1::timestamptz
                  AND j.deadline < $1::timestamptz
                  AND (SELECT r.id FROM oms.run r WHERE r.id = j.run_id) IS NULL
                LIMIT $2::int) j
              LIMIT $2::int),
            job AS (DELETE FROM oms.job WHERE id = ANY(ARRAY(SELECT id FROM orphan)) RETURNING id),
            event AS (DELETE FROM oms.job_event WHERE job_id = ANY(ARRAY(SELECT id FROM job)) RETURNING 1),
            marked AS (DELETE FROM oms.quarantined_job WHERE job_id = ANY(ARRAY(SELECT id FROM job)) RETURNING 1)
            SELECT (SELECT count(*) FROM job) AS jobs, (SELECT count(*) FROM event) AS events,
              (SELECT count(*) FROM marked) AS marked
            """, [batch.before, .int(batch.left)]
        ).rows.first
        func count(_ name: String) -> Int { Int(row?.int(name) ?? 0) }
        counts[.jobs, default: 0] += count("jobs")
        counts[.jobEvents, default: 0] += count("events")
        counts[.quarantinedJobs, default: 0] += count("marked")
        batch.left -= count("jobs") + count("events")
    }

    /// A receipt whose end of an epoch is old, while a later one of the tenant is there.
    private static func pruneEpochs(
        _ database: isolated PostgresConnection, _ batch: inout Batch, _ counts: inout [Pruned.Kind: Int]
    ) throws {
        let row = try database.query(
            """
            WITH old AS MATERIALIZED (
              SELECT e.tenant, e.epoch FROM oms.epoch e
              WHERE e.ended_at < $1::timestamptz
                AND (SELECT n.epoch FROM oms.drain_receipt n WHERE n.tenant = e.tenant AND n.epoch > e.epoch
                  ORDER BY n.epoch LIMIT 1) IS NOT NULL
              LIMIT $2::int),
            receipt AS (
              DELETE FROM oms.drain_receipt r USING old WHERE r.tenant = old.tenant AND r.epoch = old.epoch RETURNING 1),
            epoch AS (DELETE FROM oms.epoch e USING old WHERE e.tenant = old.tenant AND e.epoch = old.epoch RETURNING 1)
            SELECT (SELECT count(*) FROM epoch) AS epochs, (SELECT count(*) FROM receipt) AS receipts
            """, [batch.before, .int(batch.left)]
        ).rows.first
        func count(_ name: String) -> Int { Int(row?.int(name) ?? 0) }
        counts[.epochs] = count("epochs")
        counts[.receipts] = count("receipts")
        batch.left -= count("epochs")
    }

    /// `$1` the limit, `$2` how many rows at most.
    private static let statements: [(kind: Pruned.Kind, sql: String)] = [
        (
            .ticks,
            delete(
                "oms.tick t",
                """
                t.recorded_at < $1::timestamptz AND t.due < $1::timestamptz
                AND (t.run_id IS NULL OR (SELECT r.id FROM oms.run r WHERE r.id = t.run_id) IS NULL)
                AND (SELECT n.due FROM oms.tick n WHERE n.tenant = t.tenant AND n.service = t.service AND n.due > t.due
                  ORDER BY n.due LIMIT 1) IS NOT NULL
                AND (t.manual OR
                  (SELECT n.due FROM oms.tick n WHERE n.tenant = t.tenant AND n.service = t.service AND n.due > t.due
                    AND NOT n.manual AND coalesce(n.through, n.due) >= coalesce(t.through, t.due)
                    ORDER BY n.due LIMIT 1) IS NOT NULL)
                ORDER BY t.recorded_at
                """)
        ),
        (
            .operations,
            delete(
                "oms.operation o",
                """
                o.ended_at < $1::timestamptz AND NOT EXISTS (
                  SELECT FROM oms.drain_receipt r WHERE r.tenant = o.tenant AND r.operation = o.id
                    AND r.epoch = (SELECT max(n.epoch) FROM oms.drain_receipt n WHERE n.tenant = o.tenant))
                """)
        ),
        (.rollouts, delete("oms.rollout o", "o.ended_at < $1::timestamptz")),
        (
            .documentVersions,
            delete(
                "oms.document_version v",
                """
                EXISTS (SELECT FROM oms.document_version n WHERE n.kind = v.kind AND n.name = v.name
                  AND n.version > v.version AND n.changed_at < $1::timestamptz)
                """)
        ),
        (
            .configVersions,
            delete(
                "oms.config_version v",
                """
                EXISTS (SELECT FROM oms.config_version n WHERE n.tenant = v.tenant AND n.generation > v.generation
                  AND n.created_at < $1::timestamptz)
                """)
        ),
        (
            .catalogVersions,
            delete(
                "oms.catalog_version v",
                """
                EXISTS (SELECT FROM oms.catalog_version n WHERE n.provider = v.provider AND n.version > v.version
                  AND n.seen_at < $1::timestamptz)
                """)
        ),
        (
            .verifications,
            delete(
                "oms.verification v",
                """
                v.verified_at < $1::timestamptz AND EXISTS (SELECT FROM oms.verification n
                  WHERE n.provider = v.provider AND n.verified_at > v.verified_at)
                """)
        ),
        (
            .quarantinedJobs,
            delete(
                "oms.quarantined_job q",
                "q.since < $1::timestamptz AND NOT EXISTS (SELECT FROM oms.job j WHERE j.id = q.job_id)")
        ),
        (
            .givenUp,
            delete(
                "oms.given_up g",
                "g.done_at < $1::timestamptz AND NOT EXISTS (SELECT FROM oms.job j WHERE j.id = g.job_id)")
        ),
        (.quarantine, delete("oms.quarantine q", "q.last_at < $1::timestamptz")),
    ]

    private static func delete(_ table: String, _ condition: String) -> String {
        let alias = table.split(separator: " ").last ?? ""
        return "DELETE FROM \(table) WHERE ctid = ANY(ARRAY(SELECT \(alias).ctid FROM \(table) WHERE \(condition) "
            + "LIMIT $2::int)) RETURNING 1"
    }
}
