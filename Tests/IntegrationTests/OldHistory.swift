/// The history of a tenant `gone` that was off-boarded a hundred days ago, with one row for each rule of the retention. Ids are
/// hashes of short names, so that a failure can be read.
enum OldHistory {
    static let sql = """
        CREATE FUNCTION public.ago(days float8) RETURNS timestamptz LANGUAGE sql STABLE
          RETURN now() - days * interval '1 day';
        CREATE FUNCTION public.id(name text) RETURNS uuid LANGUAGE sql IMMUTABLE
          RETURN overlay(overlay(md5(name) PLACING '7' FROM 13) PLACING '8' FROM 17)::uuid;  -- in the form of version 7

        INSERT INTO oms.manager (tenant, generation) VALUES ('gone', 3);
        INSERT INTO oms.epoch (tenant, epoch, fleet, boot, reason, started_at, ended_at)
          SELECT 'gone', n, 'fleet-1', 1, 'test', ago(500 - 100 * n), ago(400 - 100 * n) FROM generate_series(1, 3) n;
        INSERT INTO oms.drain_receipt (tenant, epoch, operation, reason, graceful, jobs, counts, written_at)
          SELECT 'gone', n, id('op' || n), 'test', true, '[]', '{}', ago(400 - 100 * n) FROM generate_series(1, 3) n;
        INSERT INTO oms.operation (id, tenant, kind, phase, reason, initiator, epoch, forced, started_at, deadline, ended_at)
          SELECT id('op' || n), 'gone', 'replace', 'done', 'test', 'test', n, false, ago(400), ago(400), ago(400 - 100 * n)
          FROM generate_series(1, 3) n;

        CREATE TABLE public.named (name text, service text, state text, days float8, consumed jsonb, result jsonb, days_left float8);
        INSERT INTO public.named VALUES
          ('success', 'a', 'succeeded', 100, NULL, '{}', 0),       -- goes: a later success is there
          ('half-open', 'a', 'failed', 99, NULL, NULL, 0),         -- stays: a job of it is open
          ('last-success', 'a', 'succeeded', 98, NULL, '{}', 0),   -- stays: the newest success and result
          ('long-deadline', 'a', 'failed', 97.5, NULL, NULL, 200), -- stays: a gateway may still name it
          ('empty', 'a', 'failed', 97.4, NULL, NULL, 0),           -- goes
          ('newest', 'a', 'failed', 97, NULL, NULL, 0),            -- stays
          ('consumer', 'b', 'succeeded', 96, '[]', '{}', 0),       -- stays: the newest that consumed others
          ('newest-b', 'b', 'succeeded', 95, NULL, '{}', 0);       -- stays
        INSERT INTO oms.run (id, tenant, service, type, state, epoch, generation, due, started_at, deadline, finished_at,
            consumed, result)
          SELECT id(name), 'gone', service, 'count', state, 1, 1, ago(days), ago(days), ago(days - days_left), ago(days),
            consumed, result FROM public.named;
        INSERT INTO oms.job (id, run_id, tenant, service, type, provider, attempt, state, revision, epoch, created_at,
            finished_at, deadline, updated_at)
          SELECT id(name || '-job' || n), id(name), 'gone', service, 'count', 'sp-9', n, 'succeeded', 3, 1, ago(days),
            ago(days), ago(days - days_left), ago(days)
          FROM public.named, generate_series(1, 2) n WHERE name <> 'empty';
        INSERT INTO oms.job (id, run_id, tenant, service, type, provider, attempt, state, revision, epoch, created_at,
            finished_at, deadline, updated_at)
          SELECT id('orphan'), id('nobody'), 'gone', 'a', 'count', 'sp-9', 1, 'failed', 3, 1, ago(90), ago(90), ago(90), ago(90);
        UPDATE oms.job SET state = 'unknown', finished_at = NULL WHERE id = id('half-open-job2');
        INSERT INTO oms.job_event (job_id, epoch, revision, state, time)
          SELECT id, 1, n, state, updated_at FROM oms.job, generate_series(1, 3) n WHERE tenant = 'gone';
        INSERT INTO oms.quarantined_job
          SELECT id(name), 'gone', 'sp-9', 1, 'test', ago(100) FROM unnest(ARRAY['success-job1', 'nowhere', 'half-open-job2']) name;

        INSERT INTO oms.tick (tenant, service, due, outcome, run_id, recorded_at)
          SELECT 'gone', service, ago(days), 'fired', id(name), ago(days) FROM public.named;
        INSERT INTO oms.tick (tenant, service, due, outcome, recorded_at, through, manual) VALUES
          ('gone', 'a', ago(120), 'superseded', ago(119), ago(119), false),  -- goes
          ('gone', 'a', ago(90), 'fired', ago(90), NULL, true);              -- stays: the newest, and no timetable's
        INSERT INTO oms.document_version (kind, name, version, spec, changed_at, changed_by) VALUES
          ('Tenant', 'gone', 1, '{}', ago(200), 'test'), ('Tenant', 'gone', 2, '{}', ago(150), 'test'),
          ('Tenant', 'gone', 3, '{"removed": true}', ago(100), 'test'),
          ('Tenant', 'late', 1, '{}', ago(200), 'test'),                     -- goes
          ('Tenant', 'late', 2, '{}', ago(150), 'test'),                     -- stays: in force until yesterday
          ('Tenant', 'late', 3, '{}', ago(1), 'test');
        INSERT INTO oms.config_version (tenant, generation, config, explanation, created_at)
          SELECT 'gone', n, '{}', 'test', ago(400 - 100 * n) FROM generate_series(1, 3) n;
        INSERT INTO oms.catalog_version SELECT 'old', n, '[]', ago(400 - 100 * n) FROM generate_series(1, 3) n;
        INSERT INTO oms.verification SELECT 'old', ago(400 - 100 * n), 'test', true, '{}' FROM generate_series(1, 3) n;
        INSERT INTO oms.quarantine (tenant, epoch, seq, entry, error, received_at, last_at, fact) VALUES
          ('gone', 1, 1, '{}', 'test', ago(100), ago(100), 'job/1'),
          ('gone', 1, 1, '{}', 'test', ago(1), ago(1), 'job/2');
        INSERT INTO oms.rollout VALUES (id('roll-out'), 's', '{}', 'done', ago(100), ago(100));
        """

    /// What is left of it, in words.
    static let left = """
        SELECT
          (SELECT string_agg(name, ' ' ORDER BY days DESC) FROM public.named JOIN oms.run ON oms.run.id = id(name)) AS runs,
          (SELECT count(*) FROM oms.job WHERE tenant = 'gone') AS jobs,
          (SELECT count(*) FROM oms.job_event e JOIN oms.job j ON j.id = e.job_id WHERE j.tenant = 'gone') AS events,
          (SELECT string_agg(coalesce(n.name, t.outcome || ' ' || t.manual), ' ' ORDER BY t.due) FROM oms.tick t
            LEFT JOIN public.named n ON id(n.name) = t.run_id WHERE t.tenant = 'gone') AS ticks,
          (SELECT string_agg(epoch::text, ' ' ORDER BY epoch) FROM oms.epoch WHERE tenant = 'gone') AS epochs,
          (SELECT string_agg(epoch::text, ' ' ORDER BY epoch) FROM oms.drain_receipt WHERE tenant = 'gone') AS receipts,
          (SELECT string_agg(epoch::text, ' ' ORDER BY epoch) FROM oms.operation WHERE tenant = 'gone') AS operations,
          (SELECT string_agg(name || version, ' ' ORDER BY name, version) FROM oms.document_version
            WHERE name IN ('gone', 'late')) AS documents,
          (SELECT string_agg(generation::text, ' ' ORDER BY generation) FROM oms.config_version WHERE tenant = 'gone')
            AS configurations,
          (SELECT string_agg(version::text, ' ' ORDER BY version) FROM oms.catalog_version WHERE provider = 'old')
            AS catalogues,
          (SELECT count(*) FROM oms.verification WHERE provider = 'old') AS verifications,
          (SELECT count(*) FROM oms.quarantined_job WHERE tenant = 'gone') AS marks,
          (SELECT count(*) FROM oms.quarantine WHERE tenant = 'gone') AS refused,
          (SELECT count(*) FROM oms.rollout) AS rollouts,
          (SELECT count(*) FROM oms.job_event e WHERE NOT EXISTS (SELECT FROM oms.job j WHERE j.id = e.job_id)) AS strays
        """

    static let expected: [String: String] = [
        "runs": "half-open last-success long-deadline newest consumer newest-b", "jobs": "12", "events": "36",
        "ticks": "half-open last-success long-deadline newest consumer newest-b fired true",
        "epochs": "3", "receipts": "3", "operations": "3", "documents": "gone3 late2 late3", "configurations": "3",
        "catalogues": "3", "verifications": "1", "marks": "1", "refused": "1", "rollouts": "0", "strays": "0",
    ]
}
