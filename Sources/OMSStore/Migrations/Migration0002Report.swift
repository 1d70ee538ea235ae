/// Schema `report`: the stable contract for people who ask in SQL. Role `oms_report` may read it and nothing else.
let migration0002Report = Migration(
    number: 2, name: "report",
    sql: """
        CREATE SCHEMA IF NOT EXISTS report;
        COMMENT ON SCHEMA report IS 'Stable views for reports; times are UTC, durations are seconds';

        CREATE VIEW report.tenant_status AS
          SELECT d.name AS tenant, m.state AS manager_state, m.state_since, e.epoch, e.fleet, m.generation,
            m.config->>'scenario' AS scenario, m.explanation, coalesce(j.open_jobs, 0) AS open_jobs,
            m.seen_at AS last_answer, r.code AS reason_code, r.text AS reason
          FROM oms.document d
          LEFT JOIN oms.manager m ON m.tenant = d.name
          LEFT JOIN oms.epoch e ON e.tenant = d.name AND e.ended_at IS NULL
          LEFT JOIN LATERAL (
            SELECT count(*) AS open_jobs FROM oms.job WHERE tenant = d.name AND finished_at IS NULL) j ON true
          LEFT JOIN oms.reason r ON r.tenant = d.name AND r.subject = 'tenant'
          WHERE d.kind = 'Tenant';
        COMMENT ON VIEW report.tenant_status IS 'One row per tenant: its Work Manager, scenario and open jobs';

        CREATE VIEW report.provider_status AS
          SELECT d.name AS provider, d.spec->>'base_url' AS base_url, s.status, s.circuit, s.gateway, s.latency_ms,
            s.checked_at, (s.report->'jobs'->>'running')::int AS running, (s.report->'jobs'->>'queued')::int AS queued,
            (s.report->'jobs'->>'executed_today')::int AS executed_today,
            (SELECT string_agg(x->>'type', ',' ORDER BY x->>'type') FROM jsonb_array_elements(s.services) x)
              AS service_types,
            s.error->>'detail' AS error
          FROM oms.document d LEFT JOIN oms.provider_status s ON s.provider = d.name
          WHERE d.kind = 'Provider';
        COMMENT ON VIEW report.provider_status IS 'One row per Service Provider: health as its gateway sees it';

        CREATE VIEW report.job AS
          SELECT id AS job, run_id AS run, tenant, service, type, provider, attempt, state, created_at, started_at,
            finished_at, deadline, progress, message,
            round(extract(epoch FROM started_at - created_at)::numeric, 3) AS wait_s,
            round(extract(epoch FROM finished_at - started_at)::numeric, 3) AS run_s,
            replace(error->>'type', 'urn:oms:problem:', '') AS error_type, error->>'detail' AS error, outputs
          FROM oms.job;
        COMMENT ON VIEW report.job IS 'Every job: one submission to one provider';

        CREATE VIEW report.job_event AS
          SELECT job_id AS job, epoch, revision, state, time, progress, message, error->>'detail' AS error
          FROM oms.job_event;
        COMMENT ON VIEW report.job_event IS 'Every recorded step of every job';

        CREATE VIEW report.run AS
          SELECT r.id AS run, r.tenant, r.service, r.type, r.state, r.due, r.started_at, r.finished_at, r.epoch,
            r.generation, round(extract(epoch FROM r.finished_at - r.started_at)::numeric, 3) AS run_s,
            (SELECT string_agg(p->>'provider', ',') FROM jsonb_array_elements(r.result->'providers') p
              WHERE p->>'outcome' = 'used') AS providers_used,
            r.error->>'detail' AS error
          FROM oms.run r;
        COMMENT ON VIEW report.run IS 'Every firing of a tenant service, merged over its providers';

        CREATE VIEW report.result AS
          SELECT DISTINCT ON (tenant, service) tenant, service, type, id AS run, state, due, finished_at,
            result->'outputs' AS outputs, result->'providers' AS providers
          FROM oms.run WHERE result IS NOT NULL
          ORDER BY tenant, service, due DESC;
        COMMENT ON VIEW report.result IS 'The latest merged result of every tenant service';

        CREATE VIEW report.ranking AS
          SELECT r.tenant, r.service, r.finished_at, x.position::int AS position, x.item->>'item' AS item,
            (x.item->>'score')::double precision AS score, x.item->'ranks' AS ranks
          FROM report.result r,
            jsonb_array_elements(r.outputs->'ranking'->'value') WITH ORDINALITY AS x(item, position)
          WHERE r.type = 'recommend';
        COMMENT ON VIEW report.ranking IS 'The latest merged recommendation of every tenant, one row per item';

        CREATE VIEW report.job_daily AS
          SELECT (finished_at AT TIME ZONE 'UTC')::date AS day, tenant, service, provider, count(*) AS jobs,
            count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE state <> 'succeeded') AS not_succeeded,
            round(percentile_cont(0.5) WITHIN GROUP
              (ORDER BY extract(epoch FROM finished_at - started_at))::numeric, 3) AS run_s_p50,
            round(percentile_cont(0.95) WITHIN GROUP
              (ORDER BY extract(epoch FROM finished_at - started_at))::numeric, 3) AS run_s_p95
          FROM oms.job WHERE finished_at IS NOT NULL
          GROUP BY 1, 2, 3, 4;
        COMMENT ON VIEW report.job_daily IS 'Finished jobs per UTC day, tenant, service and provider';

        CREATE VIEW report.backlog AS
          SELECT tenant, provider, state, count(*) AS jobs,
            round(extract(epoch FROM now() - min(created_at))::numeric, 1) AS oldest_s
          FROM oms.job WHERE finished_at IS NULL GROUP BY 1, 2, 3;
        COMMENT ON VIEW report.backlog IS 'Open jobs now, and how old the oldest is';

        CREATE VIEW report.tick AS
          SELECT tenant, service, due, outcome, run_id AS run, reason, count, recorded_at FROM oms.tick;
        COMMENT ON VIEW report.tick IS 'How every tick of every schedule ended';

        CREATE VIEW report.manager_history AS
          SELECT tenant, epoch, fleet, reason, started_at, ended_at, ack_seq AS journal_entries,
            round(extract(epoch FROM coalesce(ended_at, now()) - started_at)::numeric, 1) AS lived_s
          FROM oms.epoch;
        COMMENT ON VIEW report.manager_history IS 'Every Work Manager that ever ran, one row per epoch';

        CREATE VIEW report.why AS
          SELECT tenant, subject, code, text, since FROM oms.reason;
        COMMENT ON VIEW report.why IS 'Current reasons of everything that does not do what its scenario says';

        CREATE VIEW report.audit AS
          SELECT kind, name, version, changed_at, changed_by, spec FROM oms.document_version;
        COMMENT ON VIEW report.audit IS 'Who declared what, and when';

        CREATE VIEW report.quarantine AS SELECT * FROM oms.quarantine;
        COMMENT ON VIEW report.quarantine IS 'Journal entries that PostgreSQL refused; should be empty';

        CREATE VIEW report.node AS SELECT * FROM oms.node;
        COMMENT ON VIEW report.node IS 'Fleets and gateways as last seen';

        DO $$ BEGIN
          IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'oms_report') THEN CREATE ROLE oms_report NOLOGIN; END IF;
        END $$;
        GRANT USAGE ON SCHEMA report TO oms_report;
        GRANT SELECT ON ALL TABLES IN SCHEMA report TO oms_report;
        ALTER DEFAULT PRIVILEGES IN SCHEMA report GRANT SELECT ON TABLES TO oms_report;
        """)
