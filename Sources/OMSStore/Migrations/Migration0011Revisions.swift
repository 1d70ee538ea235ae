/// A result may be amended by a late branch: its row shows the newest revision.
let migration0011Revisions = Migration(
    number: 11, name: "revisions",
    sql: """
        CREATE OR REPLACE VIEW report.result AS
          SELECT DISTINCT ON (tenant, service) tenant, service, type, id AS run, state, due, finished_at,
            result->'outputs' AS outputs, result->'providers' AS providers,
            coalesce((result->>'revision')::int, 1) AS revision, result->>'finished' AS revised_at
          FROM oms.run WHERE result IS NOT NULL
          ORDER BY tenant, service, due DESC;

        -- Who was asked and what became of it, one row per provider and run.
        CREATE VIEW report.contribution AS
          SELECT r.id AS run, r.tenant, r.service, r.due, p->>'provider' AS provider, p->>'outcome' AS outcome,
            (p->>'job')::uuid AS job, p->'error'->>'detail' AS error
          FROM oms.run r, jsonb_array_elements(r.result->'providers') p;
        COMMENT ON VIEW report.contribution IS 'What became of each asked provider: used, unused, missing, late or failed';
        GRANT SELECT ON report.contribution TO oms_report;
        """)
