/// What is needed to take old history out without looking at all of it.
///
/// Pruning makes room in the middle of a table, and new rows go there. From then on the block ranges of a BRIN index would hold
/// old and new times together and say nothing, so runs get a tree for their starts (a start never changes, so updates stay in
/// place; a roll-out's figures use it too). The newest success of each service stays for ever; without an index of its own, that of a service which fails for
/// months would be looked for in all of its runs, by each batch and by each start of its Work Manager.
let migration0013Retention = Migration(
    number: 13, name: "retention",
    sql: """
        CREATE INDEX run_started ON oms.run (started_at);
        CREATE INDEX run_succeeded ON oms.run (tenant, service, due DESC) WHERE state IN ('succeeded', 'partial');
        CREATE INDEX tick_recorded ON oms.tick (recorded_at);

        -- Up to where history was pruned: of what is older, a row that is not there says nothing.
        CREATE TABLE oms.retention (
          one boolean PRIMARY KEY DEFAULT true CHECK (one),
          before timestamptz NOT NULL,
          pruned_at timestamptz NOT NULL);

        CREATE VIEW report.retention AS SELECT before, pruned_at FROM oms.retention;
        COMMENT ON VIEW report.retention IS 'History before this moment is incomplete: it was pruned';
        GRANT SELECT ON report.retention TO oms_report;
        """)
