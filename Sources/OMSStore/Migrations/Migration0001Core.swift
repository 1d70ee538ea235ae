/// Schema `oms`: the registry's own tables. Nobody else reads them; reports are in schema `report`.
let migration0001Core = Migration(
    number: 1, name: "core",
    sql: """
        CREATE SCHEMA IF NOT EXISTS oms;

        -- Times travel in one form: RFC 3339 in UTC with milliseconds.
        CREATE FUNCTION oms.rfc3339(t timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
          RETURN to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

        -- Desired state: what operators declared, and every version that ever was.
        CREATE TABLE oms.document (
          kind text NOT NULL CHECK (kind IN ('Provider', 'Scenario', 'Tenant')),
          name text NOT NULL,
          version integer NOT NULL CHECK (version > 0),
          spec jsonb NOT NULL,
          changed_at timestamptz NOT NULL DEFAULT now(),
          changed_by text NOT NULL,
          PRIMARY KEY (kind, name));
        CREATE TABLE oms.document_version (
          kind text NOT NULL,
          name text NOT NULL,
          version integer NOT NULL,
          spec jsonb NOT NULL,
          changed_at timestamptz NOT NULL DEFAULT now(),
          changed_by text NOT NULL,
          PRIMARY KEY (kind, name, version));

        -- One row per tenant: the configuration in force and what is known of its Work Manager.
        CREATE TABLE oms.manager (
          tenant text PRIMARY KEY,
          generation integer NOT NULL DEFAULT 0,
          config jsonb,
          explanation text,
          state text NOT NULL DEFAULT 'none',
          state_since timestamptz NOT NULL DEFAULT now(),
          beat integer,
          uptime_s integer,
          jobs jsonb,
          active jsonb,
          waiting jsonb,
          seen_at timestamptz);
        CREATE TABLE oms.config_version (
          tenant text NOT NULL,
          generation integer NOT NULL,
          config jsonb NOT NULL,
          explanation text NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (tenant, generation));

        -- The fencing token: at most one epoch of a tenant is open.
        CREATE TABLE oms.epoch (
          tenant text NOT NULL,
          epoch integer NOT NULL CHECK (epoch > 0),
          fleet text NOT NULL,
          boot bigint NOT NULL,
          reason text NOT NULL,
          started_at timestamptz NOT NULL DEFAULT now(),
          ended_at timestamptz,
          -- Highest committed number of this epoch's journal: changes only together with the journal's effects.
          ack_seq bigint NOT NULL DEFAULT 0,
          PRIMARY KEY (tenant, epoch));
        CREATE UNIQUE INDEX epoch_open ON oms.epoch (tenant) WHERE ended_at IS NULL;

        CREATE TABLE oms.tick (
          tenant text NOT NULL,
          service text NOT NULL,
          due timestamptz NOT NULL,
          outcome text NOT NULL CHECK (outcome IN ('fired', 'skipped', 'superseded')),
          run_id uuid,
          reason text,
          count integer NOT NULL DEFAULT 1,
          recorded_at timestamptz NOT NULL,
          PRIMARY KEY (tenant, service, due));

        CREATE TABLE oms.run (
          id uuid PRIMARY KEY,
          tenant text NOT NULL,
          service text NOT NULL,
          type text NOT NULL,
          state text NOT NULL CHECK (state IN ('running', 'succeeded', 'partial', 'failed')),
          epoch integer NOT NULL,
          generation integer NOT NULL,
          due timestamptz NOT NULL,
          started_at timestamptz NOT NULL,
          deadline timestamptz NOT NULL,
          finished_at timestamptz,
          consumed jsonb,
          plan jsonb,
          result jsonb,
          error jsonb,
          CHECK ((finished_at IS NOT NULL) = (state <> 'running')));
        CREATE INDEX run_open ON oms.run (tenant) WHERE finished_at IS NULL;
        CREATE INDEX run_by_service ON oms.run (tenant, service, due DESC);

        CREATE TABLE oms.job (
          id uuid PRIMARY KEY,
          run_id uuid NOT NULL,
          tenant text NOT NULL,
          service text NOT NULL,
          type text NOT NULL,
          provider text NOT NULL,
          attempt integer NOT NULL,
          state text NOT NULL CHECK (state IN ('pending', 'submitting', 'queued', 'running', 'stopping', 'unknown',
            'succeeded', 'failed', 'stopped', 'rejected', 'expired', 'lost')),
          revision integer NOT NULL,
          epoch integer NOT NULL,
          created_at timestamptz NOT NULL,
          started_at timestamptz,
          finished_at timestamptz,
          deadline timestamptz NOT NULL,
          updated_at timestamptz NOT NULL,
          progress double precision,
          message text,
          outputs jsonb,
          error jsonb,
          CHECK ((finished_at IS NOT NULL) =
            (state IN ('succeeded', 'failed', 'stopped', 'rejected', 'expired', 'lost'))));
        -- `state` is in no index, so that updates of open jobs stay heap-only.
        CREATE INDEX job_open ON oms.job (tenant, provider) WHERE finished_at IS NULL;
        CREATE INDEX job_finished ON oms.job (tenant, finished_at DESC, id) WHERE finished_at IS NOT NULL;
        CREATE INDEX job_run ON oms.job (run_id);
        ALTER TABLE oms.job SET (fillfactor = 70);

        -- Every recorded step of a job, append-only.
        CREATE TABLE oms.job_event (
          job_id uuid NOT NULL,
          epoch integer NOT NULL,
          revision integer NOT NULL,
          state text NOT NULL,
          time timestamptz NOT NULL,
          progress double precision,
          message text,
          error jsonb,
          received_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (job_id, epoch, revision));

        -- Why something does not do what its scenario says: the current reason only.
        CREATE TABLE oms.reason (
          tenant text NOT NULL,
          subject text NOT NULL,
          code text NOT NULL,
          text text NOT NULL,
          since timestamptz NOT NULL,
          PRIMARY KEY (tenant, subject));

        CREATE TABLE oms.provider_status (
          provider text PRIMARY KEY,
          gateway text,
          status text,
          circuit text,
          latency_ms integer,
          checked_at timestamptz,
          report jsonb,
          error jsonb,
          services jsonb,
          catalog_fetched_at timestamptz,
          catalog_stale boolean);

        CREATE TABLE oms.node (
          role text NOT NULL,
          node text NOT NULL,
          state text NOT NULL,
          boot bigint NOT NULL,
          since timestamptz NOT NULL,
          release text NOT NULL,
          seen_at timestamptz NOT NULL,
          PRIMARY KEY (role, node));

        -- Facts that PostgreSQL refused (never the sender's fault alone): kept whole for a person to look at.
        CREATE TABLE oms.quarantine (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          tenant text NOT NULL,
          epoch integer NOT NULL,
          seq bigint NOT NULL,
          entry text NOT NULL,
          error text NOT NULL,
          received_at timestamptz NOT NULL DEFAULT now());
        """)
