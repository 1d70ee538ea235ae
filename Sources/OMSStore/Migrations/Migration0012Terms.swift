/// Which registry was the active one last. A session that breaks gives the lock away for as long as it takes to open the
/// next one; a registry that finds another number than its own then knows that what it has in its memory is old.
let migration0012Terms = Migration(
    number: 12, name: "terms",
    sql: """
        CREATE TABLE oms.active_registry (
          one boolean PRIMARY KEY DEFAULT true CHECK (one),
          term bigint NOT NULL,
          registry text NOT NULL,
          since timestamptz NOT NULL);

        CREATE VIEW report.active_registry AS SELECT registry, term, since FROM oms.active_registry;
        COMMENT ON VIEW report.active_registry IS 'The registry that read everything last, and how often that happened';
        GRANT SELECT ON report.active_registry TO oms_report;
        """)
