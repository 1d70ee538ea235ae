import OMSCore

package struct SimulationOptions: Sendable {
    /// Upper bound of the simulated time with faults.
    package var minutes = 5.0
    package var mutants: Set<Mutant> = []
    package var disabledFaults: Set<Int> = []
    package var invariants: Set<Invariant> = Self.standard
    package var recordsTrace = false
    /// A nemesis that also does what this rule is there for.
    package var focus: Mutant?
    /// Whether some seeds have a second registry that waits for the database's lock.
    package var standby = false
    /// Whether backups of the database are put back while fleets and gateways run on.
    package var restores = false
    /// Whether half of the seeds keep their history for a short time only.
    package var retention = false
    /// Whether schedules are cron expressions instead of rhythms.
    package var cron = false
    /// Whether the database falls back while registries run, and refuses facts, or everything, for a while.
    package var database = false
    /// Whether the broker takes only small messages for a while, or from then on, and providers say much.
    package var sizes = false

    package init() {}

    package static let standard: Set<Invariant> = Set(Invariant.allCases)
}

package struct Outcome: Sendable {
    package var seed: UInt64
    package var violation: Violation?
    package var traceHash: UInt64
    package var trace: [String]
    package var events: Int
    package var simulatedSeconds: Double
    package var faults: [String]
    package var figures: Figures

    package struct Figures: Sendable {
        package var jobs = 0
        package var runs = 0
        package var epochs = 0
        package var executions = 0
    }
}

/// One seed, one history.
package enum Simulation {
    package static func run(seed: UInt64, _ options: SimulationOptions = SimulationOptions()) -> Outcome {
        let setting = Setting(
            seed: seed, minutes: options.minutes, standby: options.standby, restores: options.restores,
            retention: options.retention, cron: options.cron, database: options.database,
            sizes: options.sizes, focus: options.focus)
        let world = World(setting, options)
        world.run()
        return Outcome(
            seed: seed, violation: world.checker.violation, traceHash: world.trace.hash, trace: world.trace.lines,
            events: world.events, simulatedSeconds: Double(world.now) / Double(SimClock.second),
            faults: setting.faults.map { $0.description(setting.nodes) },
            figures: Outcome.Figures(
                jobs: world.database.jobs.count + world.database.pruned.jobs.count,
                runs: world.database.runs.count + world.database.pruned.runs.count,
                epochs: world.database.epochs.values.reduce(0) { $0 + $1.count },
                executions: world.checker.executed.count))
    }
}
