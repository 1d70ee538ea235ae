/// What a registry needs to notice a database that knows less than it does, and what an operator needs to decide about
/// facts that PostgreSQL refused; figures that came from outside have room in every table and view.
let migration0014Refusals = Migration(
    number: 14, name: "refusals",
    sql: """
        -- Grows with each transaction of the active registry. One that is lower than the registry has seen it says that
        -- transactions are gone: a backup was restored, or a replica that lagged was promoted.
        ALTER TABLE oms.active_registry ADD COLUMN mark bigint NOT NULL DEFAULT 0;

        ALTER TABLE oms.quarantine
          -- The thing that it speaks of: a second refusal of the same one makes no second row.
          ADD COLUMN fact text,
          ADD COLUMN times bigint NOT NULL DEFAULT 1,
          ADD COLUMN last_at timestamptz NOT NULL DEFAULT now(),
          -- Whether the thing has a row of its own, with what could be stored.
          ADD COLUMN has_row boolean NOT NULL DEFAULT false,
          ADD COLUMN resolution text CHECK (resolution IN ('retried', 'discarded')),
          ADD COLUMN resolved_at timestamptz,
          ADD COLUMN resolved_by text,
          ADD COLUMN resolved_reason text;
        UPDATE oms.quarantine SET fact = 'entry/' || epoch || '/' || seq || '/' || id;
        ALTER TABLE oms.quarantine ALTER COLUMN fact SET NOT NULL;
        CREATE UNIQUE INDEX quarantine_fact ON oms.quarantine (tenant, fact);
        CREATE OR REPLACE VIEW report.quarantine AS SELECT * FROM oms.quarantine;

        -- A number of a document from outside as a whole one; nil for what is none. No figure can break a view for all rows.
        CREATE FUNCTION oms.figure(value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
          RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN
            trunc(least(greatest(value::numeric, -9223372036854775808), 9223372036854775807))::bigint END;
        CREATE FUNCTION oms.ratio(value jsonb) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
          RETURN CASE WHEN jsonb_typeof(value) = 'number' AND abs(value::numeric) < 1e300 AND
            (abs(value::numeric) > 1e-300 OR value::numeric = 0) THEN value::double precision END;
        -- The elements of a list, none of anything else.
        CREATE FUNCTION oms.list(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
          RETURN CASE WHEN jsonb_typeof(value) = 'array' THEN value ELSE '[]' END;

        ALTER TABLE oms.manager ALTER COLUMN beat TYPE bigint, ALTER COLUMN uptime_s TYPE bigint;

        DO $$ BEGIN
          DROP VIEW report.provider_status;
        EXCEPTION WHEN dependent_objects_still_exist THEN
          RAISE EXCEPTION 'report.provider_status: its figures become bigint, and a view of yours is made of it (%); drop that, start the registry, and make it anew', SQLERRM;
        END $$;
        ALTER TABLE oms.provider_status ALTER COLUMN latency_ms TYPE bigint;
        CREATE VIEW report.provider_status AS
          SELECT d.name AS provider, d.spec->>'base_url' AS base_url, s.status, s.circuit, s.gateway, s.latency_ms,
            s.checked_at, oms.figure(s.report->'jobs'->'running') AS running,
            oms.figure(s.report->'jobs'->'queued') AS queued,
            oms.figure(s.report->'jobs'->'executed_today') AS executed_today,
            (SELECT string_agg(x->>'type', ',' ORDER BY x->>'type') FROM jsonb_array_elements(oms.list(s.services)) x)
              AS service_types,
            s.error->>'detail' AS error
          FROM oms.document d LEFT JOIN oms.provider_status s ON s.provider = d.name
          WHERE d.kind = 'Provider';
        COMMENT ON VIEW report.provider_status IS 'One row per Service Provider: health as its gateway sees it';

        -- A result is whatever a provider delivered and `first` merged.
        CREATE OR REPLACE VIEW report.ranking AS
          SELECT r.tenant, r.service, r.finished_at, x.position::int AS position, x.item->>'item' AS item,
            oms.ratio(x.item->'score') AS score, x.item->'ranks' AS ranks
          FROM report.result r,
            jsonb_array_elements(oms.list(r.outputs->'ranking'->'value')) WITH ORDINALITY AS x(item, position)
          WHERE r.type = 'recommend';

        -- By the provider's clock, as far as it can be right: not before the job was made, not after it was told.
        CREATE OR REPLACE VIEW report.job_daily AS
          SELECT (least(greatest(finished_at, created_at - interval '1 day'), updated_at + interval '1 day')
              AT TIME ZONE 'UTC')::date AS day, tenant, service, provider, count(*) AS jobs,
            count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE state <> 'succeeded') AS not_succeeded,
            round(percentile_cont(0.5) WITHIN GROUP (ORDER BY CASE WHEN started_at >= created_at - interval '1 day'
              THEN extract(epoch FROM finished_at - started_at) END)::numeric, 3) AS run_s_p50,
            round(percentile_cont(0.95) WITHIN GROUP (ORDER BY CASE WHEN started_at >= created_at - interval '1 day'
              THEN extract(epoch FROM finished_at - started_at) END)::numeric, 3) AS run_s_p95
          FROM oms.job WHERE finished_at IS NOT NULL
          GROUP BY 1, 2, 3, 4;

        CREATE OR REPLACE VIEW report.catalog_history AS
          SELECT c.provider, c.version, c.seen_at,
            (SELECT string_agg((s->>'id') || ' ' || (s->>'version') ||
               CASE WHEN s->'available' = 'true' THEN '' ELSE ' (withdrawn)' END, ', ' ORDER BY s->>'id')
             FROM jsonb_array_elements(oms.list(c.services)) s) AS services
          FROM oms.catalog_version c;

        CREATE OR REPLACE VIEW report.run AS
          SELECT r.id AS run, r.tenant, r.service, r.type, r.state, r.due, r.started_at, r.finished_at, r.epoch,
            r.generation, round(extract(epoch FROM r.finished_at - r.started_at)::numeric, 3) AS run_s,
            (SELECT string_agg(p->>'provider', ',') FROM jsonb_array_elements(oms.list(r.result->'providers')) p
              WHERE p->>'outcome' = 'used') AS providers_used,
            r.error->>'detail' AS error
          FROM oms.run r;

        CREATE OR REPLACE VIEW report.contribution AS
          SELECT r.id AS run, r.tenant, r.service, r.due, p->>'provider' AS provider, p->>'outcome' AS outcome,
            CASE WHEN p->>'job' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (p->>'job')::uuid END AS job,
            p->'error'->>'detail' AS error
          FROM oms.run r, jsonb_array_elements(oms.list(r.result->'providers')) p;

        CREATE OR REPLACE VIEW report.verification AS
          SELECT provider, verified_at, verified_by, passed,
            (SELECT count(*) FROM jsonb_array_elements(oms.list(report->'rules')) r WHERE r->>'outcome' = 'fail')
              AS failed_rules,
            report
          FROM oms.verification;

        GRANT SELECT ON report.provider_status, report.quarantine TO oms_report;
        GRANT EXECUTE ON FUNCTION oms.figure(jsonb), oms.ratio(jsonb), oms.list(jsonb) TO oms_report;
        """)
