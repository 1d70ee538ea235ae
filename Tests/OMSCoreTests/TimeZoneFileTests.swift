import Foundation
import OMSModel
import Testing

@testable import OMSCore

@Suite("Time zone files")
struct TimeZoneFileTests {
    /// A file with one type and the given rule for the time after.
    private func file(
        _ rule: String, transitions: [(Int64, UInt8)] = [], offsets: [Int32] = [-28_800], version: Character = "2"
    ) -> [UInt8] {
        func number(_ value: Int64, _ count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * Int64($0))) }
        }
        func header(_ times: Int, _ types: Int) -> [UInt8] {
            var bytes = Array("TZif\(version)".utf8)
            bytes.append(contentsOf: [UInt8](repeating: 0, count: 15))
            for count in [0, 0, 0, times, types, 4] { bytes.append(contentsOf: number(Int64(count), 4)) }
            return bytes
        }
        // The block with 32-bit times, which is passed over.
        var bytes = header(0, 1)
        bytes.append(contentsOf: number(0, 4) + [0, 0])
        bytes.append(contentsOf: Array("UTC\0".utf8))
        bytes.append(contentsOf: header(transitions.count, offsets.count))
        for (moment, _) in transitions { bytes.append(contentsOf: number(moment, 8)) }
        for (_, type) in transitions { bytes.append(type) }
        for offset in offsets { bytes.append(contentsOf: number(Int64(offset), 4) + [0, 0]) }
        bytes.append(contentsOf: Array("LMT\0\n\(rule)\n".utf8))
        return bytes
    }

    private func offset(_ rules: ZoneRules?, _ time: String) -> Int64? {
        guard let time = Timestamp(time) else { return nil }
        return rules?.offset(at: floorDivide(time.milliseconds, 1000))
    }

    @Test("the law of 2026 is in force where the system's package has it: Vancouver stays on summer time")
    func vancouver() {
        let change = Timestamp("2026-03-08T10:00:00Z")?.milliseconds ?? 0
        let rules = TimeZoneFile.rules(
            "America/Vancouver", file("MST7", transitions: [(change / 1000, 1)], offsets: [-28_800, -25_200]),
            years: 2000...2100)
        #expect(offset(rules, "2026-03-08T09:59:59Z") == -28_800)
        #expect(offset(rules, "2026-11-28T17:00:00Z") == -25_200)
        #expect(offset(rules, "2060-12-24T00:00:00Z") == -25_200)
    }

    @Test(
        "rules for the time after the last transition",
        arguments: [
            ("CET-1CEST,M3.5.0,M10.5.0/3", "2050-03-27T01:00:00Z", Int64(3_600), Int64(7_200)),
            ("EST5EDT,M3.2.0,M11.1.0", "2050-03-13T07:00:00Z", -18_000, -14_400),
            ("IST-1GMT0,M10.5.0,M3.5.0/1", "2050-03-27T01:00:00Z", 0, 3_600),  // Dublin: the winter is the exception
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2050-10-01T15:30:00Z", 37_800, 39_600),
            ("EET-2EEST,M4.5.5/0,M10.5.4/24", "2050-04-28T22:00:00Z", 7_200, 10_800),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2050-03-27T01:00:00Z", -7_200, -3_600),
            ("AAA3BBB,J60/2,J300/2", "2052-03-01T05:00:00Z", -10_800, -7_200),
            ("AAA3BBB,59/2,300/2", "2051-03-01T05:00:00Z", -10_800, -7_200),
        ])
    func rules(text: String, change: String, before: Int64, after: Int64) {
        let rules = TimeZoneFile.rules("x", file(text), years: 2000...2100)
        let moment = floorDivide(Timestamp(change)?.milliseconds ?? 0, 1000)
        #expect(rules?.offset(at: moment - 1) == before, "\(text)")
        #expect(rules?.offset(at: moment) == after, "\(text)")
    }

    @Test(
        "what is no time zone file is none",
        arguments: [
            "", "MST", "MST7MDT", "MST7MDT,M13.1.0,M11.1.0", "MST7MDT,M3.1.0", "MST99", "MST7MDT,M3.1.0,M11.1.0x",
            "\u{1b}[2J",
        ])
    func noRule(text: String) {
        #expect(TimeZoneRule(text) == nil)
    }

    @Test("a file that is cut or changed anywhere is refused or read, never a trap")
    func broken() {
        let whole = file("CET-1CEST,M3.5.0,M10.5.0/3", transitions: [(0, 0), (5, 1)], offsets: [0, 3_600])
        #expect(TimeZoneFile.rules("x", whole, years: 2000...2100) != nil)
        for length in 0..<whole.count - 30 {
            #expect(TimeZoneFile.rules("x", Array(whole.prefix(length)), years: 2000...2100) == nil)
        }
        var generator = SplitMix64(seed: 3)
        for _ in 0..<5_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = TimeZoneFile.rules("x", bytes, years: 2000...2100)
        }
        #expect(TimeZoneFile.rules("x", file("MST7", version: "1"), years: 2000...2100) == nil)
    }

    /// Two readers of the same law agree to the second, in every zone and for a hundred years.
    @Test("the system's files and the program's own copy say the same, where they are of one version")
    func agreement() throws {
        let folder = "/usr/share/zoneinfo"
        let head = (try? String(contentsOfFile: folder + "/tzdata.zi", encoding: .utf8))?.prefix(40) ?? ""
        guard head.hasPrefix("# version \(TimeZone.timeZoneDataVersion)\n") else {
            // Another version on this machine: then the zones that have not changed for decades must agree.
            for name in ["Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Tokyo"] {
                let zone = try #require(TimeZone(identifier: name))
                #expect(ZoneDatabase.compiled(name, in: folder) == ZoneDatabase.linked(zone, name), "\(name)")
            }
            return
        }
        var compared = 0
        for name in TimeZone.knownTimeZoneIdentifiers where name.contains("/") {
            guard let zone = TimeZone(identifier: name), let file = ZoneDatabase.compiled(name, in: folder) else {
                continue
            }
            #expect(file == ZoneDatabase.linked(zone, name), "\(name)")
            compared += 1
        }
        #expect(compared > 400)
    }
}
