/// `report.why` for everything: tenants, services, jobs, ticks and providers, with what would unblock it.
let migration0005Why = Migration(
    number: 5, name: "why",
    sql: """
        -- Filled by the registry at each start, from its one list.
        CREATE TABLE oms.reason_code (code text PRIMARY KEY, remedy text NOT NULL);

        CREATE OR REPLACE VIEW report.why AS
          SELECT x.tenant, x.subject, x.code, x.text, x.since, c.remedy AS unblock
          FROM (
            SELECT tenant, subject, code, text, since FROM oms.reason
            UNION ALL
            -- Open jobs that do not run: not sent yet, refused for now, or out of sight.
            SELECT tenant, 'job/' || id, state,
              service || ' at ' || provider || ': ' || coalesce(error->>'detail',
                CASE state WHEN 'unknown' THEN 'its state cannot be observed now' ELSE 'waits for a place' END),
              updated_at
            FROM oms.job
            WHERE finished_at IS NULL AND state IN ('pending', 'submitting', 'unknown')
              AND updated_at < now() - interval '2 seconds'
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
        COMMENT ON VIEW report.why IS
          'Current reasons of everything that does not do what its scenario says, and what would unblock it';
        GRANT SELECT ON report.why TO oms_report;
        """)
