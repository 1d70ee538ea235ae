import Foundation
import OMSSimulation

/// Lines between a worker and whoever started it.
enum Line {
    static func write(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
}

struct Totals {
    var seeds = 0
    var events = 0
    var seconds = 0.0
    var epochs = 0
    var runs = 0
    var jobs = 0
    var executions = 0

    mutating func add(_ outcome: Outcome) {
        seeds += 1
        events += outcome.events
        seconds += outcome.simulatedSeconds
        epochs += outcome.figures.epochs
        runs += outcome.figures.runs
        jobs += outcome.figures.jobs
        executions += outcome.figures.executions
    }

    var line: String { "totals \(seeds) \(events) \(Int(seconds)) \(epochs) \(runs) \(jobs) \(executions)" }

    mutating func add(_ numbers: [Int]) {
        guard numbers.count == 7 else { return }
        seeds += numbers[0]
        events += numbers[1]
        seconds += Double(numbers[2])
        epochs += numbers[3]
        runs += numbers[4]
        jobs += numbers[5]
        executions += numbers[6]
    }
}

/// Copies of this program that share the work, and what they had to say.
struct Workers {
    struct Report {
        var lines: [Substring]
        /// How the process ended, if not well: the last `seed` line says over what.
        var trap: String?
    }

    /// Starts one process per list of arguments and waits for all.
    static func run(_ arguments: [[String]]) throws -> [Report] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("oms-simulate-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var started: [(process: Process, file: URL)] = []
        for (index, list) in arguments.enumerated() {
            let file = folder.appendingPathComponent("\(index)")
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments = list
            process.standardOutput = try FileHandle(forWritingTo: file)
            try process.run()
            started.append((process, file))
        }
        return try started.map { process, file in
            process.waitUntilExit()
            let text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
            let lines = text.split(separator: "\n")
            guard process.terminationReason == .uncaughtSignal || process.terminationStatus != 0 else {
                return Report(lines: lines)
            }
            return Report(lines: lines, trap: "ended with \(process.terminationStatus)")
        }
    }
}
