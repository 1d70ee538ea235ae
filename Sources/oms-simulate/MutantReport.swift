import OMSSimulation

/// Leaves out one rule after the other; every one must be missed.
struct MutantReport {
    let command: Simulate

    func run() throws -> Int32 {
        let mutants = Mutant.allCases.map(\.rawValue)
        let count = min(command.jobs, mutants.count)
        let reports = try Workers.run(
            (0..<count).map { index in
                let mine = mutants.enumerated().filter { $0.offset % count == index }.map(\.element)
                return [
                    "--worker", "--mutants", "--from", "\(command.from)", "--seeds", "\(command.seeds)", "--minutes",
                    "\(command.minutes)",
                ] + mine.flatMap { ["--only", $0] }
            })
        var rows: [String: [Substring]] = [:]
        for report in reports {
            for line in report.lines where line.hasPrefix("mutant ") {
                let words = line.split(separator: " ", maxSplits: 5)
                rows[String(words[1])] = words
            }
            if let trap = report.trap { print("a worker \(trap)") }
        }
        print("rule left out | seeds until noticed | promise | how")
        var missed: [String] = []
        for name in mutants {
            guard let row = rows[name], row.count == 6, row[2] != "0" else {
                missed.append(name)
                print("\(name) | not in \(command.seeds) | - | -")
                continue
            }
            print("\(name) | \(row[2]) | \(row[4]) | seed \(row[3]): \(row[5].prefix(110))")
        }
        guard missed.isEmpty else {
            print("Not noticed: \(missed.joined(separator: ", "))")
            return 1
        }
        print("All \(mutants.count) rules are missed when they are left out.")
        return 0
    }
}
