import FoundationEssentials
import Testing

@testable import OMSModel

@Suite("Timestamps")
struct TimestampTests {
    @Test(
        "are written as RFC 3339 UTC with milliseconds",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
        ])
    func format(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test("agree with Foundation over four centuries")
    func againstFoundation() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let milliseconds = Int64.random(in: -2_208_988_800_000...10_413_792_000_000, using: &generator)
            let date = Date(timeIntervalSince1970: Double(milliseconds / 1000))
            let seconds = Timestamp(milliseconds: milliseconds / 1000 * 1000)
            #expect(date.ISO8601Format() == seconds.description.replacing(".000Z", with: "Z"), "\(milliseconds)")
            #expect(Timestamp(Timestamp(milliseconds: milliseconds).description)?.milliseconds == milliseconds)
        }
    }

    @Test("accept offsets and any fraction")
    func offsets() {
        #expect(Timestamp("2023-11-14T23:13:20.1239+01:00")?.description == "2023-11-14T22:13:20.123Z")
        #expect(Timestamp("2019-11-24 00:01:03.979311+00:00")?.description == "2019-11-24T00:01:03.979Z")
    }

    @Test(
        "refuse what is no time",
        arguments: [
            "", "2023-11-14", "2023-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2023-11-14T24:00:00Z",
            "2023-11-14T22:13:20", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20ZZ", "x023-11-14T22:13:20Z",
        ])
    func refused(text: String) { #expect(Timestamp(text) == nil) }
}

@Suite("Names")
struct NameTests {
    @Test("have the one form", arguments: ["a", "0", "men", "open-bandit-2", String(repeating: "x", count: 63)])
    func good(text: String) { #expect(TenantID(text)?.text == text) }

    @Test(
        "refuse what would change a topic, a path or a query",
        arguments: [
            "", "-a", "A", "a/b", "a+b", "#", "a b", "ä", "a.b", "a_b", "..", String(repeating: "x", count: 64),
        ])
    func bad(text: String) { #expect(TenantID(text) == nil) }

    @Test("are keys of JSON objects")
    func keys() throws {
        let data = try JSONEncoder().encode([ServiceID("harvest"): 1])
        #expect(String(decoding: data, as: UTF8.self) == #"{"harvest":1}"#)
        #expect(try JSONDecoder().decode([ServiceID: Int].self, from: data) == ["harvest": 1])
        #expect(throws: (any Error).self) {
            try JSONDecoder().decode([ServiceID: Int].self, from: Data(#"{"a/b":1}"#.utf8))
        }
    }
}

@Suite("Derived ids")
struct UUIDv7Tests {
    let due = Timestamp(milliseconds: 1_700_000_000_123)

    @Test("are version 7 with the tick's time, and the same for the same parts")
    func derived() {
        let id = JobID(time: due, of: "job", "r", "alpha", "1")
        #expect(id == JobID(time: due, of: "job", "r", "alpha", "1"))
        #expect(id.time == due)
        #expect(id.description.count == 36)
        #expect(Array(id.description)[14] == "7")
        #expect("89ab".contains(Array(id.description)[19]))
        #expect(JobID(id.description) == id)
        #expect(JobID(id.description.uppercased()) == id)
    }

    @Test("differ when any part differs, also where parts are shifted")
    func distinct() {
        var seen: Set<JobID> = []
        for a in 0..<100 { for b in 0..<100 { seen.insert(JobID(time: due, of: "\(a)", "\(b)")) } }
        #expect(seen.count == 10_000)
        #expect(JobID(time: due, of: "ab", "c") != JobID(time: due, of: "a", "bc"))
    }

    @Test(
        "refuse other versions and forms",
        arguments: [
            "", "01890a5d-ac96-474b-bcce-b302099a8057", "01890a5d-ac96-774b-7cce-b302099a8057",
            "01890a5dac96774bbcceb302099a8057", "01890a5d-ac96-774b-bcce-b302099a805",
            "g1890a5d-ac96-774b-bcce-b302099a8057",
        ])
    func refused(text: String) { #expect(JobID(text) == nil) }
}

@Suite("JSON values")
struct JSONValueTests {
    @Test("come back as they were")
    func roundTrip() throws {
        let value: JSONValue = ["a": [1, 2.5, "x", true, nil], "b": ["c": [:]], "big": 9_007_199_254_740_993]
        let data = try JSONEncoder().encode(value)
        #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value)
    }

    @Test("66.0 is an integer")
    func integers() {
        #expect(JSONValue.double(66).intValue == 66)
        #expect(JSONValue.double(66.5).intValue == nil)
    }
}

@Suite("Job states")
struct JobStateTests {
    @Test("terminal states never change", arguments: JobState.allCases.filter(\.isTerminal))
    func terminal(state: JobState) {
        for next in JobState.allCases { #expect(!state.mayBecome(next)) }
    }

    @Test("rank never falls, but unknown may become anything")
    func ranks() {
        #expect(JobState.queued.mayBecome(.running))
        #expect(!JobState.running.mayBecome(.queued))
        #expect(!JobState.stopping.mayBecome(.running))
        #expect(JobState.running.mayBecome(.unknown))
        #expect(JobState.unknown.mayBecome(.queued))
        #expect(JobState.unknown.mayBecome(.submitting))
    }
}
