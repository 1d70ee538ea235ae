import ArgumentParser
import Foundation
import OMSSimulation

/// Runs the real cores of OMS in a simulated world, one history per seed (docs/internals/simulation.md).
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "oms-simulate",
        abstract: "Runs the real cores of OMS in a simulated world, one history per seed.",
        discussion: "Exits with 1 if a promise was broken, or if a mutant was not noticed.")

    @Option(help: "How many seeds.")
    var seeds = 1_000

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Option(help: "Run this one seed and print its history.")
    var replay: UInt64?

    @Flag(help: "Leave out one safety rule after the other and see how many seeds it takes to notice.")
    var mutants = false

    @Option(help: "With --replay: leave out this rule.")
    var mutant: String?

    @Option(help: "Upper bound of the simulated minutes with faults.")
    var minutes = 5.0

    @Option(help: "Processes side by side.")
    var jobs = ProcessInfo.processInfo.activeProcessorCount

    @Flag(help: "Some seeds have a second registry that waits for the database's lock.")
    var standby = false

    @Flag(help: "Backups of the database are put back while fleets and gateways run on.")
    var restores = false
    @Flag(inversion: .prefixedNo, help: "Half of the seeds keep their history for a short time only.")
    var retention = true

    @Flag(help: "Schedules are cron expressions instead of rhythms.")
    var cron = false

    @Flag(help: "The database falls back while registries run, and refuses facts, or everything, for a while.")
    var database = false

    @Flag(help: "The broker takes only small messages for a while, or from then on, and providers say much.")
    var sizes = false

    @Flag(help: "Instead: how long the registry plans for 10,000 tenants and 100 providers.")
    var planBench = false

    @Option(help: "Instead: the most that one message may cost, found by blowing up the samples of this folder.")
    var worst: String?

    @Flag(help: .hidden)
    var worker = false
    @Option(help: .hidden)
    var stride: UInt64 = 1
    @Option(help: .hidden)
    var only: [String] = []

    private var options: SimulationOptions {
        var options = SimulationOptions()
        options.minutes = minutes
        options.standby = standby
        options.restores = restores
        options.retention = retention
        options.cron = cron
        options.database = database
        options.sizes = sizes
        if let mutant = mutant.flatMap({ Mutant(rawValue: $0) }) {
            (options.mutants, options.focus) = ([mutant], mutant)
        }
        return options
    }

    func validate() throws {
        guard seeds > 0, jobs > 0, minutes > 0 else {
            throw ValidationError("--seeds, --jobs and --minutes must be greater than 0")
        }
        if let mutant, Mutant(rawValue: mutant) == nil {
            throw ValidationError(
                "--mutant: '\(mutant)' is none of \(Mutant.allCases.map(\.rawValue).joined(separator: ", "))")
        }
    }

    func run() throws {
        if planBench { return print(PlanBench.run(tenants: 10_000, providers: 100)) }
        if let worst { throw try ExitCode(WorstReport(folder: worst).run()) }
        if let replay { throw try ExitCode(show(replay)) }
        if worker, mutants { return workOnMutants() }
        if worker { return work() }
        throw try ExitCode(
            mutants ? MutantReport(command: self).run() : SeedReport(command: self, options: options).run())
    }

    /// One history in full.
    private func show(_ seed: UInt64) throws -> Int32 {
        var options = options
        options.recordsTrace = true
        let outcome = Simulation.run(seed: seed, options)
        for line in outcome.trace { print(line) }
        print("seed \(seed): \(outcome.events) events, \(Int(outcome.simulatedSeconds)) s, \(outcome.figures.text)")
        print("trace \(String(outcome.traceHash, radix: 16))")
        guard let violation = outcome.violation else { return 0 }
        print("violated at \(violation.at) s: \(violation.invariant.rawValue): \(violation.text)")
        return 1
    }

    // MARK: - Workers: processes of their own, so that a trap in a core names its seed

    private func work() {
        var totals = Totals()
        var seed = from
        for _ in 0..<seeds {
            Line.write("seed \(seed)")
            let outcome = Simulation.run(seed: seed, options)
            totals.add(outcome)
            if let violation = outcome.violation {
                Line.write("violation \(seed) \(violation.invariant.rawValue) \(violation.text)")
            }
            seed += stride
        }
        Line.write(totals.line)
    }

    private func workOnMutants() {
        for name in only {
            guard let mutant = Mutant(rawValue: name) else { continue }
            Line.write("seed \(name)")
            let finding = MutantSearch.search(mutant, from: from, most: seeds, options)
            guard let count = finding.seeds, let seed = finding.seed, let violation = finding.violation else {
                Line.write("mutant \(name) 0 0 - -")
                continue
            }
            Line.write("mutant \(name) \(count) \(seed) \(violation.invariant.rawValue) \(violation.text)")
        }
    }
}

extension Outcome.Figures {
    var text: String { "\(epochs) epochs, \(runs) runs, \(jobs) jobs, \(executions) executions" }
}
