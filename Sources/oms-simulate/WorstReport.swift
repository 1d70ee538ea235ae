import Foundation
import OMSSimulation

/// What one message or answer may cost at most (docs/internals/fuzzing.md): every sample of the fuzzing corpus, blown up at every
/// place. In processor time, and the best of several tries, so that others on the machine do not count.
struct WorstReport {
    let folder: String

    private static let limit: Int64 = 50_000_000
    private static let tries = 4

    private struct Row {
        var name: String
        var variant = ""
        var bytes = 0
        var cost = WorstCase.Cost()
    }

    func run() throws -> Int32 {
        var rows: [Row] = []
        var variants = 0
        var known: Set<String> = []
        let began = Date()
        for kind in ["envelopes", "answers"] {
            let path = URL(fileURLWithPath: folder).appendingPathComponent(kind)
            for file in try FileManager.default.contentsOfDirectory(atPath: path.path).sorted() {
                let play = String(decoding: try Data(contentsOf: path.appendingPathComponent(file)), as: UTF8.self)
                guard let worst = try WorstCase(play: play, stopwatch: Self.spent),
                    known.insert(worst.record).inserted
                else { continue }
                var row = Row(name: "\(kind)/\(file.split(separator: ".")[0])")
                try worst.each { variant in
                    variants += 1
                    var cost = try worst.cost(of: variant.bytes)
                    for _ in 1..<Self.tries where cost.total > row.cost.total {
                        let again = try worst.cost(of: variant.bytes)
                        if again.total < cost.total { cost = again }
                    }
                    guard cost.total > row.cost.total else { return }
                    (row.cost, row.variant, row.bytes) = (cost, variant.name, variant.bytes.count)
                }
                rows.append(row)
            }
        }
        rows.sort { $0.cost.total > $1.cost.total }
        print("ms | reading | handling | bytes | sample | blown up at")
        for row in rows.prefix(15) {
            print(
                "\(Self.text(row.cost.total)) | \(Self.text(row.cost.reading)) | \(Self.text(row.cost.handling)) | "
                    + "\(row.bytes) | \(row.name) | \(row.variant)\(row.cost.isRead ? "" : " (refused)")")
        }
        print("\(variants) messages and answers of \(rows.count) samples in \(Int(Date().timeIntervalSince(began))) s")
        guard let first = rows.first, first.cost.total <= Self.limit else {
            print("One message takes more than \(Self.limit / 1_000_000) ms.")
            return 1
        }
        return 0
    }

    private static func text(_ nanoseconds: Int64) -> String { String(format: "%.1f", Double(nanoseconds) / 1e6) }

    /// The processor's time of this thread.
    @Sendable private static func spent() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
