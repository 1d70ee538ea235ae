/// Operations on Work Managers, drain receipts, jobs that could not be accounted for.
let migration0004Operations = Migration(
    number: 4, name: "operations",
    sql: """
        CREATE TABLE oms.operation (
          id uuid PRIMARY KEY,
          tenant text NOT NULL,
          kind text NOT NULL CHECK (kind IN ('replace', 'move', 'suspend', 'offboard')),
          phase text NOT NULL CHECK (phase IN ('draining', 'sealing', 'sweeping', 'closing', 'starting', 'done', 'aborted')),
          reason text NOT NULL,
          initiator text NOT NULL,
          epoch integer NOT NULL,
          remaining integer,
          forced boolean NOT NULL,
          evidence text,
          started_at timestamptz NOT NULL,
          deadline timestamptz NOT NULL,
          ended_at timestamptz,
          CHECK ((ended_at IS NOT NULL) = (phase IN ('done', 'aborted'))));
        -- One at a time for a tenant.
        CREATE UNIQUE INDEX operation_open ON oms.operation (tenant) WHERE ended_at IS NULL;

        -- The proof that an epoch has ended: every job that was open, and how it ended.
        CREATE TABLE oms.drain_receipt (
          tenant text NOT NULL,
          epoch integer NOT NULL,
          operation uuid,
          reason text NOT NULL,
          graceful boolean NOT NULL,
          jobs jsonb NOT NULL,
          counts jsonb NOT NULL,
          written_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (tenant, epoch));

        -- Jobs whose end nobody could confirm when their Work Manager was replaced by force.
        CREATE TABLE oms.quarantined_job (
          job_id uuid PRIMARY KEY,
          tenant text NOT NULL,
          provider text NOT NULL,
          epoch integer NOT NULL,
          reason text NOT NULL,
          since timestamptz NOT NULL);

        ALTER TABLE oms.node ADD COLUMN draining boolean NOT NULL DEFAULT false;
        ALTER TABLE oms.node ADD COLUMN changed_by text;

        CREATE VIEW report.operation AS
          SELECT id AS operation, tenant, kind, phase, reason, initiator, epoch, remaining, forced, evidence, started_at,
            deadline, ended_at, round(extract(epoch FROM coalesce(ended_at, now()) - started_at)::numeric, 1) AS took_s
          FROM oms.operation;
        COMMENT ON VIEW report.operation IS 'Replacements, moves, suspensions and off-boardings of Work Managers';

        CREATE VIEW report.drain_receipt AS
          SELECT tenant, epoch, operation, reason, graceful, counts, jobs, written_at FROM oms.drain_receipt;
        COMMENT ON VIEW report.drain_receipt IS 'How every job of an ended epoch ended; adopted ones are open in the next';

        CREATE VIEW report.quarantined_job AS
          SELECT q.job_id AS job, q.tenant, q.provider, q.epoch, q.reason, q.since, j.state, j.finished_at AS resolved_at
          FROM oms.quarantined_job q LEFT JOIN oms.job j ON j.id = q.job_id;
        COMMENT ON VIEW report.quarantined_job IS 'Jobs whose end could not be confirmed; resolved_at says when it was';

        CREATE OR REPLACE VIEW report.node AS SELECT * FROM oms.node;
        GRANT SELECT ON report.operation, report.drain_receipt, report.quarantined_job, report.node TO oms_report;
        """)
