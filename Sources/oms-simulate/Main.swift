import ArgumentParser
import OMSSimulation

@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "oms-simulate",
        abstract: "Runs the real cores of OMS in a simulated world, one history per seed.")

    @Option(help: "How many seeds.")
    var seeds: UInt64 = 100

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Option(help: "Run this one seed and print its history.")
    var replay: UInt64?

    @Option(help: "Upper bound of the simulated minutes with faults.")
    var minutes = 5.0

    func run() throws {
        var options = SimulationOptions()
        options.minutes = minutes
        if let replay {
            options.recordsTrace = true
            let outcome = Simulation.run(seed: replay, options)
            for line in outcome.trace { print(line) }
            print(
                outcome.violation.map { "\($0)" } ?? "no violation", outcome.traceHash, outcome.events, outcome.figures)
            return
        }
        var counts: [String: Int] = [:]
        for seed in from..<from + seeds {
            let outcome = Simulation.run(seed: seed, options)
            if let violation = outcome.violation {
                counts[violation.invariant.rawValue, default: 0] += 1
                print(seed, violation.invariant.rawValue, violation.at, violation.text)
            }
        }
        print(counts.sorted { $0.key < $1.key })
    }
}
