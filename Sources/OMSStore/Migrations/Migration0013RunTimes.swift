/// Runs by the time they began, for a roll-out's figures. Runs come in nearly that order, so a block range index says as much
/// as a tree would, costs a journal next to nothing, and leaves updates of a run in place (its start never changes).
let migration0013RunTimes = Migration(
    number: 13, name: "run times",
    sql: "CREATE INDEX run_started ON oms.run USING brin (started_at) WITH (autosummarize = on);")
