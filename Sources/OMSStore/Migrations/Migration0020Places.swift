/// Jobs that operators gave up, who has the places at a provider, and both in `report.why`.
let migration0020Places = Migration(
    number: 20, name: "places",
    sql: """
        ALTER TABLE oms.provider_status ADD COLUMN places jsonb;

        CREATE TABLE oms.given_up (
          job_id uuid PRIMARY KEY,
          tenant text NOT NULL,
          provider text NOT NULL,
          state text NOT NULL,
          given_up_by text NOT NULL,
          evidence text NOT NULL,
          given_up_at timestamptz NOT NULL,
          -- The gateway has ended it, or refused, because it went on as it should.
          done_at timestamptz,
          refused text,
          -- What the provider said of it afterwards.
          seen_at timestamptz,
          seen_state text,
          ended_there_at timestamptz);

        CREATE VIEW report.given_up AS
          SELECT job_id AS job, tenant, provider, state, given_up_by, evidence, given_up_at, done_at, refused, seen_at,
            seen_state FROM oms.given_up;
        COMMENT ON VIEW report.given_up IS 'Jobs that an operator gave up, why, and what the provider said of them later';

        CREATE OR REPLACE VIEW report.quarantined_job AS
          SELECT q.job_id AS job, q.tenant, q.provider, q.epoch, q.reason, q.since, j.state,
            CASE WHEN g.job_id IS NULL OR g.refused IS NOT NULL THEN j.finished_at ELSE g.ended_there_at END AS resolved_at
          FROM oms.quarantined_job q LEFT JOIN oms.job j ON j.id = q.job_id LEFT JOIN oms.given_up g ON g.job_id = q.job_id;

        CREATE OR REPLACE VIEW report.why AS
          SELECT x.tenant, x.subject, x.code, x.text, x.since, c.remedy AS unblock
          FROM (
            SELECT tenant, subject, code, text, since FROM oms.reason
            UNION ALL
            -- Open jobs that do not run: not sent yet, refused for now, going on after their stop, or out of sight.
            SELECT j.tenant, 'job/' || j.id, j.state,
              j.service || ' at ' || j.provider || ': ' || CASE
                WHEN j.state = 'stopping' THEN 'it was told to stop and goes on'
                ELSE coalesce(j.error->>'detail', CASE j.state WHEN 'unknown' THEN 'its state cannot be observed now'
                  ELSE 'waits for a place' || coalesce(': ' || (s.places->>'text'), '') END) END,
              j.updated_at
            FROM oms.job j LEFT JOIN oms.provider_status s ON s.provider = j.provider
            WHERE j.finished_at IS NULL AND j.state IN ('pending', 'submitting', 'stopping', 'unknown')
              AND j.updated_at < now() - CASE j.state WHEN 'stopping' THEN interval '15 seconds' ELSE interval '2 seconds' END
            UNION ALL
            -- The newest tick of a schedule, if it was not fired.
            SELECT tenant, 'tick/' || service || '/' || oms.rfc3339(due), outcome, reason, recorded_at
            FROM (SELECT DISTINCT ON (tenant, service) * FROM oms.tick ORDER BY tenant, service, due DESC) t
            WHERE outcome <> 'fired'
            UNION ALL
            SELECT NULL, 'provider/' || d.name, coalesce(s.status, 'unknown'),
              coalesce(s.error->>'detail', 'nobody has seen it yet'), coalesce(s.checked_at, d.changed_at)
            FROM oms.document d LEFT JOIN oms.provider_status s ON s.provider = d.name
            WHERE d.kind = 'Provider' AND coalesce(s.status, 'unknown') NOT IN ('pass', 'warn')
          ) x
          LEFT JOIN oms.reason_code c ON c.code = x.code;
        GRANT SELECT ON report.given_up TO oms_report;
        """)
