/// How far a record of missed ticks reaches, and ticks that somebody asked for.
let migration0010Schedules = Migration(
    number: 10, name: "schedules",
    sql: """
        ALTER TABLE oms.tick
          -- With `superseded`: every tick up to here is accounted for.
          ADD COLUMN through timestamptz,
          -- Asked for by somebody: none of the schedule's ticks, so it says nothing about those before it.
          ADD COLUMN manual boolean NOT NULL DEFAULT false;

        CREATE OR REPLACE VIEW report.tick AS
          SELECT tenant, service, due, outcome, run_id AS run, reason, count, recorded_at, through, manual FROM oms.tick;
        """)
