/// Leaves out of a failing history what it can fail without.
package enum Shrinker {
    package struct Result: Sendable {
        package var outcome: Outcome
        /// Acts of the nemesis that the failure needs.
        package var needed: [Int]
        package var runs: Int
    }

    /// - Returns: the shortest history found that breaks the same promise, with its trace.
    package static func shrink(_ failed: Outcome, _ options: SimulationOptions) -> Result {
        guard let invariant = failed.violation?.invariant else {
            return Result(outcome: failed, needed: Array(failed.faults.indices), runs: 0)
        }
        var options = options
        options.recordsTrace = false
        var runs = 0
        func fails(without disabled: Set<Int>) -> Bool {
            runs += 1
            options.disabledFaults = disabled
            return Simulation.run(seed: failed.seed, options).violation?.invariant == invariant
        }
        var disabled: Set<Int> = []
        var chunk = max(1, failed.faults.count / 2)
        while true {
            let left = failed.faults.indices.filter { !disabled.contains($0) }
            var shortened = false
            var start = 0
            while start < left.count {
                let candidate = disabled.union(left[start..<min(start + chunk, left.count)])
                if candidate.count > disabled.count, fails(without: candidate) {
                    disabled = candidate
                    shortened = true
                }
                start += chunk
            }
            if chunk == 1, !shortened { break }
            if chunk > 1 { chunk = max(1, chunk / 2) }
        }
        options.disabledFaults = disabled
        options.recordsTrace = true
        let outcome = Simulation.run(seed: failed.seed, options)
        return Result(
            outcome: outcome, needed: failed.faults.indices.filter { !disabled.contains($0) }, runs: runs)
    }
}

extension Outcome {
    /// The last lines of the trace that have to do with the violation: what names the same job, run or tenant, or is
    /// an act of the nemesis.
    package func relevant(_ count: Int) -> [String] {
        guard let violation else { return Array(trace.suffix(count)) }
        let words = violation.text.split { !($0.isLetter || $0.isNumber || $0 == "-") }.map(String.init)
        let ids = words.filter { $0.count == 36 && $0.contains("-7") }
        let names = ids.isEmpty ? words.filter { $0.count == 2 && $0.first?.isLetter == true } : ids
        let lines = trace.filter { line in
            line.contains(" nemesis ") || line.contains(" kill ") || line.contains(" start ")
                || names.contains { line.contains($0) }
        }
        return Array(lines.suffix(count))
    }
}
