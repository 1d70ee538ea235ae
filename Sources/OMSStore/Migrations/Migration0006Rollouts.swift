/// Staged roll-outs of scenarios.
let migration0006Rollouts = Migration(
    number: 6, name: "rollouts",
    sql: """
        CREATE TABLE oms.rollout (
          id uuid PRIMARY KEY,
          scenario text NOT NULL,
          body jsonb NOT NULL,
          phase text NOT NULL CHECK (phase IN ('running', 'done', 'aborted')),
          started_at timestamptz NOT NULL,
          ended_at timestamptz,
          CHECK ((ended_at IS NOT NULL) = (phase <> 'running')));
        -- One at a time.
        CREATE UNIQUE INDEX rollout_open ON oms.rollout ((true)) WHERE ended_at IS NULL;

        CREATE VIEW report.rollout AS
          SELECT id AS rollout, scenario, phase, body->'waves' AS waves, (body->>'wave')::int + 1 AS wave,
            (body->>'wave_started')::timestamptz AS wave_started, body->>'reason' AS reason,
            body->>'initiator' AS initiator, started_at, ended_at
          FROM oms.rollout;
        COMMENT ON VIEW report.rollout IS 'Staged roll-outs of scenarios: wave, verdict and reason';
        GRANT SELECT ON report.rollout TO oms_report;
        """)
