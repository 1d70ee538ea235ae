/// Every catalogue that a provider ever had, and what a conformance run proved of it.
let migration0003Catalogs = Migration(
    number: 3, name: "catalogs",
    sql: """
        CREATE TABLE oms.catalog_version (
          provider text NOT NULL,
          version integer NOT NULL CHECK (version > 0),
          services jsonb NOT NULL,
          seen_at timestamptz NOT NULL,
          PRIMARY KEY (provider, version));

        -- Proven, not declared: the report of `oms sp verify`, with its evidence.
        CREATE TABLE oms.verification (
          provider text NOT NULL,
          verified_at timestamptz NOT NULL DEFAULT now(),
          verified_by text NOT NULL,
          passed boolean NOT NULL,
          report jsonb NOT NULL,
          PRIMARY KEY (provider, verified_at));

        CREATE VIEW report.catalog_history AS
          SELECT c.provider, c.version, c.seen_at,
            (SELECT string_agg((s->>'id') || ' ' || (s->>'version') ||
               CASE WHEN (s->>'available')::boolean THEN '' ELSE ' (withdrawn)' END, ', ' ORDER BY s->>'id')
             FROM jsonb_array_elements(c.services) s) AS services
          FROM oms.catalog_version c;
        COMMENT ON VIEW report.catalog_history IS 'Every catalogue that a provider ever had';

        CREATE VIEW report.verification AS
          SELECT provider, verified_at, verified_by, passed,
            (SELECT count(*) FROM jsonb_array_elements(report->'rules') r WHERE r->>'outcome' = 'fail') AS failed_rules,
            report
          FROM oms.verification;
        COMMENT ON VIEW report.verification IS 'Conformance runs of oms sp verify that were recorded, with evidence';

        GRANT SELECT ON report.catalog_history, report.verification TO oms_report;
        """)
