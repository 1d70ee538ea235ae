import Foundation
import OMSSimulation

/// Many seeds on all cores; each failure is shrunk and shown.
struct SeedReport {
    let command: Simulate
    let options: SimulationOptions

    private static let maxShown = 3
    private static let traceLines = 40

    func run() throws -> Int32 {
        let began = Date()
        let count = UInt64(min(command.jobs, command.seeds))
        let reports = try Workers.run(
            (0..<count).map { index in
                let share = command.seeds / Int(count) + (Int(index) < command.seeds % Int(count) ? 1 : 0)
                var list = [
                    "--worker", "--from", "\(command.from + index)", "--seeds", "\(share)", "--stride", "\(count)",
                    "--minutes", "\(command.minutes)",
                ]
                if command.standby { list.append("--standby") }
                if command.restores { list.append("--restores") }
                if command.database { list.append("--database") }
                if command.sizes { list.append("--sizes") }
                if command.cron { list.append("--cron") }
                if !command.retention { list.append("--no-retention") }
                if let mutant = command.mutant { list += ["--mutant", mutant] }
                return list
            })
        let seconds = -began.timeIntervalSinceNow
        var totals = Totals()
        var failures: [(seed: UInt64, invariant: String, text: String)] = []
        for report in reports {
            var last: UInt64 = 0
            for line in report.lines {
                let words = line.split(separator: " ", maxSplits: 3)
                switch words[0] {
                case "seed": last = UInt64(words[1]) ?? 0
                case "violation": failures.append((UInt64(words[1]) ?? 0, String(words[2]), String(words[3])))
                case "totals": totals.add(line.split(separator: " ").dropFirst().compactMap { Int($0) })
                default: break
                }
            }
            if let trap = report.trap { failures.append((last, Invariant.trap.rawValue, "the process \(trap)")) }
        }
        show(totals, seconds)
        return show(failures.sorted { $0.seed < $1.seed })
    }

    private func show(_ totals: Totals, _ seconds: TimeInterval) {
        let hours = totals.seconds / 3600
        print(
            "\(totals.seeds) seeds in \(Int(seconds)) s: \(Int(hours)) simulated hours "
                + "(\(String(format: "%.1f", hours / seconds)) per second), \(totals.events) events, "
                + "\(totals.epochs) epochs, \(totals.runs) runs, \(totals.jobs) jobs, \(totals.executions) executions")
    }

    private func show(_ failures: [(seed: UInt64, invariant: String, text: String)]) -> Int32 {
        guard !failures.isEmpty else {
            print("No promise was broken.")
            return 0
        }
        print("\(failures.count) seeds broke a promise:")
        for failure in failures { print("  seed \(failure.seed): \(failure.invariant): \(failure.text)") }
        for failure in failures.prefix(Self.maxShown) where failure.invariant != Invariant.trap.rawValue {
            explain(failure.seed)
        }
        return 1
    }

    private func explain(_ seed: UInt64) {
        let failed = Simulation.run(seed: seed, options)
        let result = Shrinker.shrink(failed, options)
        guard let violation = result.outcome.violation else { return }
        print(
            """

            Seed \(seed), shrunk from \(failed.faults.count) acts of the nemesis to \(result.needed.count) \
            in \(result.runs) runs:
            """)
        for index in result.needed { print("  \(failed.faults[index])") }
        print("  violated at \(violation.at) s: \(violation.invariant.rawValue): \(violation.text)")
        for line in result.outcome.relevant(Self.traceLines) { print("    \(line.prefix(200))") }
        print("  whole history: oms-simulate --replay \(seed) --minutes \(command.minutes)")
    }
}
