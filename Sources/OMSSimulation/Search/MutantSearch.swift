/// Runs seeds with one rule left out until the simulation notices.
package enum MutantSearch {
    package struct Finding: Sendable {
        package var mutant: Mutant
        /// nil: not found.
        package var seeds: Int?
        package var seed: UInt64?
        package var violation: Violation?
    }

    package static func search(
        _ mutant: Mutant, from first: UInt64, most: Int, _ options: SimulationOptions
    ) -> Finding {
        var broken = options
        broken.mutants = [mutant]
        broken.focus = mutant
        broken.standby = options.standby || mutant == .lockIgnored || mutant == .termIgnored
        broken.restores = options.restores || Mutant.ofRestores.contains(mutant)
        broken.database = options.database || mutant.isOfDatabase
        broken.retention = mutant.isOfRetention
        broken.sizes = options.sizes || mutant.isOfSizes
        var whole = broken
        whole.mutants = []
        for count in 1...most {
            let seed = first + UInt64(count - 1)
            guard let violation = Simulation.run(seed: seed, broken).violation else { continue }
            // What fails with all rules in force proves nothing about this one.
            if Simulation.run(seed: seed, whole).violation?.invariant == violation.invariant { continue }
            return Finding(mutant: mutant, seeds: count, seed: seed, violation: violation)
        }
        return Finding(mutant: mutant, seeds: nil, seed: nil, violation: nil)
    }
}
