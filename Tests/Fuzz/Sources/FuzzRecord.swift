import OMSModel
import OMSProtocol
import OMSSimulation

/// One record of a play; see `FuzzScript`.
struct FuzzRecord {
    var verb: String
    var words: [String]
    var body: [UInt8]

    func word(_ index: Int) -> String { index < words.count ? words[index] : "" }

    static func records(_ bytes: [UInt8]) -> [FuzzRecord] {
        var records: [FuzzRecord] = []
        var lines: [ArraySlice<UInt8>] = []
        func close() {
            if let record = FuzzRecord(lines) { records.append(record) }
            lines = []
        }
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.elementsEqual("===".utf8) { close() } else { lines.append(line) }
        }
        close()
        return records
    }

    private init?(_ lines: [ArraySlice<UInt8>]) {
        guard let first = lines.first else { return nil }
        // Headers may hold spaces, so they are what is left of the line.
        let words = String(decoding: first, as: UTF8.self).split(separator: " ", maxSplits: 5).map(String.init)
        guard let verb = words.first else { return nil }
        self.verb = verb
        self.words = Array(words.dropFirst())
        body = Array(lines.dropFirst().joined(separator: [UInt8(ascii: "\n")]))
    }

    /// `etag="x"|retry-after=5`
    var headers: [(name: String, value: String)] {
        words.dropFirst(2).joined(separator: " ").split(separator: "|").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "")
        }
    }

    func envelope(_ data: [UInt8]) -> [UInt8] {
        let type = Topic(word(0))?.kind.row.type ?? ""
        return Array(
            #"{"specversion":"1.0","id":"1","source":"fuzz","type":"\#(type)","time":"2026-01-01T00:00:00Z","data":"#
                .utf8)
            + data + Array("}".utf8)
    }

    /// The body with what stands for something put in.
    func filled(_ stage: Stage, asked: JobID?) -> [UInt8] {
        guard body.contains(UInt8(ascii: "$")) else { return body }
        var filler = Filler(body: body, job: asked ?? stage.openJobs.first, stage: stage)
        return filler.filled(0..<body.count)
    }

    private struct Filler {
        let body: [UInt8]
        let job: JobID?
        let stage: Stage
        var size = 0
        private static let most = 1 << 20

        mutating func filled(_ range: Range<Int>) -> [UInt8] {
            var result: [UInt8] = []
            var index = range.lowerBound
            while index < range.upperBound {
                guard body[index] == UInt8(ascii: "$") else {
                    result.append(body[index])
                    index += 1
                    continue
                }
                if let (word, length) = value(at: index) {
                    result += Array(word.utf8)
                    index += length
                } else if let (count, inner, end) = repetition(at: index, within: range) {
                    let part = filled(inner)
                    let times = min(count, Self.most / max(part.count, 1))
                    guard size + part.count * times <= Self.most else { return result }
                    size += part.count * times
                    for _ in 0..<times { result += part }
                    index = end
                } else {
                    result.append(body[index])
                    index += 1
                }
            }
            return result
        }

        private func value(at index: Int) -> (String, Int)? {
            let rest = body[index...]
            if rest.starts(with: "$job".utf8) { return ("\(job.map { "\($0)" } ?? "none")", 4) }
            if rest.starts(with: "$now".utf8) { return ("\(Stage.moment(stage.now).wall)", 4) }
            if rest.starts(with: "$epoch".utf8) { return ("\(stage.epoch)", 6) }
            return nil
        }

        /// `$x12(..$)`
        private func repetition(at start: Int, within range: Range<Int>) -> (Int, Range<Int>, Int)? {
            var index = start + 1
            guard index < range.upperBound, body[index] == UInt8(ascii: "x") else { return nil }
            index += 1
            var count = 0
            while index < range.upperBound, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(body[index]),
                count < 100_000
            {
                count = count * 10 + Int(body[index] - UInt8(ascii: "0"))
                index += 1
            }
            guard index < range.upperBound, body[index] == UInt8(ascii: "(") else { return nil }
            let first = index + 1
            index = first
            while index + 1 < range.upperBound {
                if body[index] == UInt8(ascii: "$"), body[index + 1] == UInt8(ascii: ")") {
                    return (count, first..<index, index + 2)
                }
                index += 1
            }
            return nil
        }
    }
}
