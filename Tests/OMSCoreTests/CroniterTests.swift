import FoundationEssentials
import OMSModel
import Testing

@testable import OMSCore

/// Against an independent implementation: Tests/Cron/cases.py made the cases with croniter and zoneinfo.
/// `scripts/cron-tests` makes some thousand new ones and hands them over in `OMS_CRON_CASES`.
@Suite("Cron schedules against croniter")
struct CroniterTests {
    private struct Case: Decodable {
        var text: String
        var zone: String
        var start: Int64
        var seconds: [Int64]

        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            text = try container.decode(String.self)
            zone = try container.decode(String.self)
            start = try container.decode(Int64.self)
            seconds = try container.decode([Int64].self)
        }
    }

    @Test("the next six moments around every change of the clock")
    func cases() throws {
        let own = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Cron/cases.jsonl")
        let file = ProcessInfo.processInfo.environment["OMS_CRON_CASES"].map { URL(filePath: $0) } ?? own
        let lines = String(decoding: try Data(contentsOf: file), as: UTF8.self).split(separator: "\n")
        #expect(lines.count >= 1_000)
        for line in lines {
            let one = try JSONDecoder().decode(Case.self, from: Data(line.utf8))
            let cron = try Timetable.cron(one.text, one.zone, seed: "")
            var last = one.start
            for seconds in one.seconds {
                let expected = one.start + seconds
                let next = cron.next(after: last)?.at
                guard next == expected else {
                    Issue.record("'\(one.text)' in \(one.zone) after \(last): \(next ?? -1), not \(expected)")
                    break
                }
                last = expected
            }
        }
    }
}
