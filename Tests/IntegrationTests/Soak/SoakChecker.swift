import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Postgres

/// After the faults: what the providers did, what PostgreSQL holds and what was said on the bus must be one story.
struct SoakChecker {
    let database: Database
    let providers: [HostileProvider]
    /// A backup was put back: epochs that it does not remember are missing from their rows, and ticks of these tenants,
    /// which it does not know.
    var forgotten: [String]?

    private(set) var violations: [String] = []
    /// Figures for the report.
    private(set) var counts: [(String, Int)] = []

    init(_ database: Database, _ providers: [HostileProvider]) {
        self.database = database
        self.providers = providers
    }

    /// Makes PostgreSQL remember whoever changes what must never change again.
    static func guardHistory(_ database: Database) async throws {
        try await database.connection.execute(
            script: """
                CREATE TABLE public.soak_violation (what text, before text, after text, at timestamptz DEFAULT now());
                CREATE FUNCTION public.soak_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                  INSERT INTO public.soak_violation (what, before, after)
                    VALUES (TG_OP || ' ' || TG_TABLE_NAME, OLD::text, CASE WHEN TG_OP = 'UPDATE' THEN NEW::text END);
                  RETURN NULL; END $$;
                CREATE TRIGGER soak AFTER UPDATE ON oms.job FOR EACH ROW
                  WHEN (OLD.finished_at IS NOT NULL AND OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION public.soak_note();
                CREATE TRIGGER soak_gone AFTER DELETE ON oms.job FOR EACH ROW EXECUTE FUNCTION public.soak_note();
                -- A late branch amends a result: a higher revision of it (docs/operate/merging.md).
                CREATE TRIGGER soak AFTER UPDATE ON oms.run FOR EACH ROW
                  WHEN (OLD.finished_at IS NOT NULL AND OLD IS DISTINCT FROM NEW
                    AND coalesce((NEW.result->>'revision')::int, 0) <= coalesce((OLD.result->>'revision')::int, 0))
                  EXECUTE FUNCTION public.soak_note();
                CREATE TRIGGER soak AFTER UPDATE ON oms.epoch FOR EACH ROW
                  WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION public.soak_note();
                CREATE TRIGGER soak AFTER UPDATE OR DELETE ON oms.tick FOR EACH ROW EXECUTE FUNCTION public.soak_note();
                CREATE TRIGGER soak AFTER UPDATE OR DELETE ON oms.drain_receipt
                  FOR EACH ROW EXECUTE FUNCTION public.soak_note();
                """)
    }

    /// True when nothing is under way any more.
    static let isSettled = """
        NOT EXISTS (SELECT FROM report.backlog) AND NOT EXISTS (SELECT FROM report.operation WHERE ended_at IS NULL)
          AND NOT EXISTS (SELECT FROM oms.run WHERE finished_at IS NULL)
          AND NOT EXISTS (SELECT FROM report.tenant_status WHERE manager_state IS DISTINCT FROM 'active')
        """

    mutating func check() async throws {
        try await checkRows()
        try await checkEpochs()
        try await checkExecutions()
        checkFencing()
    }

    // MARK: - PostgreSQL

    /// - Parameter sql: rows that must not exist; the first column says which.
    private mutating func none(_ what: String, _ sql: String) async throws {
        let rows = try await database.connection.query(sql).rows
        guard !rows.isEmpty else { return }
        let first = rows.prefix(5).map { row in row.values.prefix(6).map { $0 ?? "null" }.joined(separator: " | ") }
        violations.append("\(what) (\(rows.count)): \(first.joined(separator: "; "))")
    }

    private mutating func count(_ name: String, _ sql: String) async throws {
        counts.append((name, try await database.number(sql)))
    }

    private mutating func checkRows() async throws {
        try await count("jobs", "SELECT count(*) FROM report.job")
        for state in ["succeeded", "failed", "stopped", "lost", "expired", "rejected"] {
            try await count("jobs \(state)", "SELECT count(*) FROM report.job WHERE state = '\(state)'")
        }
        try await count("ticks fired", "SELECT count(*) FROM report.tick WHERE outcome = 'fired'")
        try await count("ticks skipped", "SELECT count(*) FROM report.tick WHERE outcome = 'skipped'")
        try await count(
            "ticks superseded", "SELECT coalesce(sum(count), 0) FROM report.tick WHERE outcome = 'superseded'")
        try await none("jobs without an end", "SELECT job, tenant, state FROM report.job WHERE finished_at IS NULL")
        try await none("runs without an end", "SELECT run, tenant, state FROM report.run WHERE finished_at IS NULL")
        try await none("changed after its end", "SELECT what, before, after FROM public.soak_violation")
        try await none("quarantine", "SELECT tenant, epoch, seq, error FROM report.quarantine")
        try await none(
            "quarantined jobs without a resolution",
            "SELECT job, tenant, provider, reason FROM report.quarantined_job WHERE resolved_at IS NULL")
        try await none(
            "lost jobs", "SELECT job, tenant, provider, error FROM report.job WHERE state IN ('lost', 'rejected')")
        try await none(
            "two different ends in a job's history",
            """
            SELECT job, string_agg(DISTINCT state, ',') FROM report.job_event
            WHERE state IN ('succeeded', 'failed', 'stopped', 'rejected', 'expired', 'lost')
            GROUP BY job HAVING count(DISTINCT state) > 1
            """)
        // A row of n ticks reaches to the next row: no hole, no overlap.
        try await none(
            "ticks lost or doubled",
            """
            WITH t AS (
              SELECT tenant, service, due, count, outcome,
                lead(due) OVER (PARTITION BY tenant, service ORDER BY due) AS next,
                (SELECT p->'frequency'->>'every_s' FROM oms.config_version v, jsonb_array_elements(v.config->'services') p
                 WHERE v.tenant = tick.tenant AND p->>'id' = tick.service ORDER BY v.generation LIMIT 1)::int AS every
              FROM oms.tick WHERE NOT manual)
            SELECT tenant, service, due, outcome, count, next FROM t
            WHERE every IS NOT NULL AND next IS NOT NULL AND next <> due + every * count * interval '1 s'
            """)
        try await none(
            "fired ticks without their run",
            """
            SELECT t.tenant, t.service, t.due FROM oms.tick t LEFT JOIN oms.run r ON r.id = t.run_id
            WHERE t.outcome = 'fired' AND r.id IS NULL
            """)
        try await none(
            "runs without their tick",
            """
            SELECT r.id, r.tenant, r.service FROM oms.run r LEFT JOIN oms.tick t ON t.run_id = r.id
            WHERE t.run_id IS NULL AND NOT EXISTS (\(Self.isSuperseded))
              AND r.tenant <> ALL ('{\((forgotten ?? []).joined(separator: ","))}')
              -- Of the forgotten history and of the one that followed it, two runs may be due at the same moment.
              AND NOT (\(forgotten != nil) AND EXISTS (
                SELECT FROM oms.tick o WHERE o.tenant = r.tenant AND o.service = r.service AND o.due = r.due))
            """)
        // Its gateway was away when the next epoch began, and named it when it came back (docs/internals/replacement.md).
        try await count(
            "runs found after their tick was superseded",
            """
            SELECT count(*) FROM oms.run r LEFT JOIN oms.tick t ON t.run_id = r.id
            WHERE t.run_id IS NULL AND EXISTS (\(Self.isSuperseded))
            """)
        try await count(
            "jobs that gateways told of, as their Work Manager had died",
            "SELECT count(*) FROM report.job_event WHERE message LIKE 'found at gateway%'")
        try await none(
            "runs without a job",
            "SELECT r.id, r.tenant, r.service FROM oms.run r LEFT JOIN oms.job j ON j.run_id = r.id WHERE j.id IS NULL")
        try await none(
            "tried again although the attempt before had not failed",
            """
            SELECT b.id, a.id, a.state, b.tenant FROM oms.job a JOIN oms.job b
              ON b.run_id = a.run_id AND b.provider = a.provider AND b.attempt = a.attempt + 1
            WHERE a.state NOT IN ('failed', 'lost')
            """)
    }

    private static let isSuperseded = """
        SELECT FROM oms.tick s WHERE s.tenant = r.tenant AND s.service = r.service AND s.outcome = 'superseded'
          AND r.due BETWEEN s.due AND s.through
        """

    private mutating func checkEpochs() async throws {
        try await count("epochs", "SELECT count(*) FROM oms.epoch")
        try await count("operations", "SELECT count(*) FROM report.operation")
        try await count("operations by force", "SELECT count(*) FROM report.operation WHERE forced")
        try await count("receipts", "SELECT count(*) FROM report.drain_receipt")
        try await count("receipts not graceful", "SELECT count(*) FROM report.drain_receipt WHERE NOT graceful")
        try await none(
            "ended epochs without a receipt",
            """
            SELECT e.tenant, e.epoch, e.reason FROM oms.epoch e LEFT JOIN oms.drain_receipt r USING (tenant, epoch)
            WHERE e.ended_at IS NOT NULL AND r.tenant IS NULL
            """)
        try await none(
            "operations without an end",
            "SELECT tenant, kind, phase, reason, started_at FROM report.operation WHERE ended_at IS NULL")
        try await none(
            "jobs that a receipt says were left but that nobody ended",
            """
            SELECT r.tenant, r.epoch, j->>'job', j->>'end' FROM report.drain_receipt r, jsonb_array_elements(r.jobs) j
            LEFT JOIN oms.job k ON k.id = (j->>'job')::uuid
            WHERE j->>'end' IN ('adopted', 'quarantined') AND k.finished_at IS NULL
            """)
        guard forgotten == nil else { return }
        try await none(
            "holes in the epochs",
            "SELECT tenant, max(epoch), count(*) FROM oms.epoch GROUP BY tenant HAVING max(epoch) <> count(*)")
    }

    // MARK: - The providers' logs

    private mutating func checkExecutions() async throws {
        let rows = try await database.connection.query("SELECT id, state, provider, tenant FROM oms.job").rows
        var known: [String: (state: String, provider: String)] = [:]
        for row in rows { known[row[0] ?? ""] = (row[1] ?? "", row[2] ?? "") }
        var executed = 0
        var repeated = 0
        var begun: [String: String] = [:]
        for (index, provider) in providers.enumerated() {
            let (name, log) = ("sp-\(index + 1)", provider.log)
            if !log.doubled.isEmpty { violations.append("\(name) executed twice: \(log.doubled.prefix(5))") }
            executed += log.executions.count
            repeated += log.submits.values.count { $0 > 1 }
            var ends: [String: String] = [:]
            var submitters: [String: String] = [:]
            for act in log.acts {
                if case .ended(let state) = act.kind { ends[act.job] = state.rawValue }
                if case .submit = act.kind { submitters[act.job] = "\(act.tenant)/\(act.epoch ?? 0)" }
            }
            for job in log.executions.keys.sorted() {
                if let other = begun.updateValue(name, forKey: job) {
                    violations.append("job \(job) was executed at \(other) and at \(name)")
                }
                guard let row = known[job] else {
                    let submitter = submitters[job] ?? ""
                    violations.append("\(name) executed \(job) of \(submitter), of which PostgreSQL knows nothing")
                    continue
                }
                if row.provider != name { violations.append("\(job) ran at \(name), its row says \(row.provider)") }
                if let end = ends[job] {
                    if end != row.state {
                        violations.append("\(job) ended \(end) at \(name), its row says \(row.state)")
                    }
                } else {
                    violations.append("\(job) has not ended at \(name), its row says \(row.state)")
                }
            }
        }
        for (job, row) in known where row.state == "succeeded" && begun[job] == nil {
            violations.append("\(job) succeeded by its row, but no provider executed it")
        }
        counts += [
            ("executed by the providers", executed), ("submits repeated by their id", repeated),
        ]
    }

    /// By tenant, over all providers: after the first act of an epoch no lower one acts.
    private mutating func checkFencing() {
        struct Entry {
            var act: ProviderAct
            var provider: String
        }
        var entries: [Entry] = []
        var owner: [String: String] = [:]
        for (index, provider) in providers.enumerated() {
            for act in provider.log.acts where act.epoch != nil {
                if !act.tenant.isEmpty { owner[act.job] = act.tenant }
                entries.append(Entry(act: act, provider: "sp-\(index + 1)"))
            }
        }
        entries.sort { $0.act.time < $1.act.time }  // stable: of one provider in its order
        var highest: [String: Entry] = [:]
        var acts = 0
        for entry in entries {
            guard let epoch = entry.act.epoch, let tenant = owner[entry.act.job] else { continue }
            acts += 1
            if let before = highest[tenant], let other = before.act.epoch, epoch < other {
                // Two providers' clocks are one, but within a millisecond nobody can say who was first.
                if before.provider != entry.provider, before.act.time == entry.act.time { continue }
                violations.append(
                    "\(tenant): epoch \(epoch) acted (\(entry.act.kind) of \(entry.act.job) at \(entry.provider)) "
                        + "\(entry.act.time - before.act.time) ms after epoch \(other) (\(before.act.kind) of "
                        + "\(before.act.job) at \(before.provider))")
            } else {
                highest[tenant] = entry
            }
        }
        counts.append(("submits and stops with an epoch", acts))
    }
}
