import Foundation
import Testing

@testable import OMSSimulation

@Suite("Simulation of the cores")
struct SimulationTests {
    private static func options(minutes: Double = 2) -> SimulationOptions {
        var options = SimulationOptions()
        options.minutes = minutes
        return options
    }

    @Test("a seed is a history: the same words, twice", arguments: [3, 174, 241] as [UInt64])
    func deterministic(seed: UInt64) {
        var options = Self.options()
        options.recordsTrace = true
        let (first, second) = (Simulation.run(seed: seed, options), Simulation.run(seed: seed, options))
        #expect(first.trace.count > 500)
        // By index, so that a failure shows where the two part.
        let parting = zip(first.trace, second.trace).first { $0 != $1 }
        #expect(parting == nil, "\(parting?.0 ?? "") / \(parting?.1 ?? "")")
        #expect(first.traceHash == second.traceHash)
        options.recordsTrace = false
        #expect(Simulation.run(seed: seed, options).traceHash == first.traceHash, "recorded or not")
    }

    @Test("fresh seeds keep every promise")
    func freshSeeds() {
        let from = UInt64.random(in: 1...1_000_000_000)
        var options = Self.options()
        options.retention = true
        for seed in from..<from + 16 {
            let outcome = Simulation.run(seed: seed, options)
            #expect(
                outcome.violation == nil,
                "scripts/simulate --replay \(seed) --minutes 2: \(outcome.violation.map { "\($0)" } ?? "")")
        }
    }

    @Test("a database that falls back under its registries, refuses single facts or everything: every promise is kept")
    func database() {
        var options = Self.options()
        options.database = true
        let from = UInt64.random(in: 1...1_000_000_000)
        for seed in from..<from + 16 {
            let outcome = Simulation.run(seed: seed, options)
            #expect(
                outcome.violation == nil,
                "scripts/simulate --database --replay \(seed) --minutes 2: \(outcome.violation.map { "\($0)" } ?? "")")
        }
    }

    @Test("a broker that takes only small messages, and providers that say much: every promise is kept")
    func sizes() {
        var options = Self.options()
        options.sizes = true
        let from = UInt64.random(in: 1...1_000_000_000)
        for seed in from..<from + 8 {
            let outcome = Simulation.run(seed: seed, options)
            #expect(
                outcome.violation == nil,
                "scripts/simulate --sizes --replay \(seed) --minutes 2: \(outcome.violation.map { "\($0)" } ?? "")")
        }
    }

    @Test(
        "what the registry owes to such a database is missed when it is left out",
        arguments: [.lossHidden, .refusedWithoutRow, .outageSetAside] as [Mutant])
    func mutantsOfTheDatabase(mutant: Mutant) {
        let finding = MutantSearch.search(mutant, from: 1, most: 40, Self.options(minutes: 5))
        #expect(finding.violation != nil, "\(finding)")
    }

    @Test("seeds that failed once do not fail again")
    func failedSeeds() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "failed-seeds.txt")
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("#") {
            var words = line.split(separator: " ")
            var options = SimulationOptions()
            options.restores = words.first == "restores"
            options.database = words.first == "database"
            if options.restores || options.database { words.removeFirst() }
            let seed = try #require(words.first.flatMap { UInt64($0) }, "\(line)")
            let outcome = Simulation.run(seed: seed, options)
            #expect(outcome.violation == nil, "\(line): \(outcome.violation.map { "\($0)" } ?? "")")
        }
    }

    @Test(
        "a rule that is left out is missed",
        arguments: [
            (.volatileIntent, .noIntent), (.doneBeforeEnd, .untrueEnd), (.willIsProof, .livesOn),
            (.noRepetition, .neverEnds),
        ] as [(Mutant, Invariant)])
    func mutants(mutant: Mutant, invariant: Invariant) {
        let finding = MutantSearch.search(mutant, from: 1, most: 40, Self.options(minutes: 5))
        #expect(finding.violation?.invariant == invariant, "\(finding)")
    }

    @Test("what a failure does not need is left out of its history")
    func shrinks() throws {
        var options = Self.options(minutes: 5)
        options.mutants = [.willIsProof]
        let finding = MutantSearch.search(.willIsProof, from: 1, most: 40, options)
        let failed = Simulation.run(seed: try #require(finding.seed), options)
        let result = Shrinker.shrink(failed, options)
        #expect(result.needed.count < failed.faults.count)
        #expect(result.needed.count <= 3, "\(result.needed.map { failed.faults[$0] })")
        #expect(result.outcome.violation?.invariant == failed.violation?.invariant)
        #expect(!result.outcome.relevant(40).isEmpty)
    }
}
