import OMSModel
import Testing

@testable import OMSCore

@Suite("A timetable")
struct TimetableTests {
    private func table(_ frequency: Frequency, anchor: Timestamp = at(0).wall, tenant: TenantID = "men") -> Timetable {
        guard let table = try? Timetable(frequency, anchor: anchor, tenant: tenant, service: "s") else {
            preconditionFailure("\(frequency)")
        }
        return table
    }

    @Test("is arithmetic on the anchor: every tick comes exactly once, whenever one looks")
    func everyTickOnce() {
        var generator = SplitMix64(seed: 7)
        let table = table(Frequency(everySeconds: 10))
        var last: Timestamp?
        var seen: [Int64] = []
        var now: Int64 = 0
        while now < 3_600_000 {
            let backlog = table.backlog(after: last, through: at(now).wall, keeping: 1)
            if let missed = backlog.dropped {
                for index in 0..<missed.count { seen.append(missed.first.milliseconds + Int64(index) * 10_000) }
            }
            if let newest = backlog.kept.last {
                seen.append(newest.milliseconds)
                last = newest
            }
            now += Int64.random(in: 1...25_000, using: &generator)
        }
        #expect(seen == (0..<Int64(seen.count)).map { at($0 * 10_000).wall.milliseconds })
    }

    @Test("knows its backlog without walking it, the same as by walking")
    func backlog() {
        var generator = SplitMix64(seed: 9)
        let tables = [
            table(Frequency(everySeconds: 7)), table(Frequency(everySeconds: 60, spread: true)),
            table(Frequency(cron: "*/7 * * * *")), table(Frequency(jitterSeconds: 30, cron: "* * * * *")),
        ]
        for table in tables {
            for _ in 0..<50 {
                let last = at(Int64.random(in: -100_000...500_000, using: &generator)).wall
                let now = last.advanced(byMilliseconds: Int64.random(in: 0...1_500_000, using: &generator))
                let limit = Int.random(in: 0...5, using: &generator)
                var walked: [Timestamp] = []
                while let next = table.next(after: walked.last ?? last)?.due, next <= now { walked.append(next) }
                var expected = Timetable.Backlog(kept: Array(walked.suffix(limit)))
                if walked.count > limit { expected.dropped = (walked[0], walked.count - limit) }
                #expect(table.backlog(after: last, through: now, keeping: limit) == expected)
            }
        }
    }

    @Test("once is once, and once again only when another rhythm was between")
    func once() throws {
        let once = table(Frequency(once: true))
        #expect(once.next(after: nil)?.due == at(0).wall)
        #expect(once.next(after: at(0).wall) == nil)
        #expect(once.next(after: at(-9_000).wall) == nil)
        let again = try #require(
            try Timetable(Frequency(once: true), anchor: at(0).wall, follows: true, tenant: "men", service: "s"))
        #expect(again.next(after: at(-9_000).wall)?.due == at(0).wall)
        #expect(again.next(after: at(0).wall) == nil)
    }

    @Test("on demand has no ticks, a cron expression none before its anchor")
    func bounds() throws {
        #expect(try Timetable(Frequency(onDemand: true), anchor: at(0).wall, tenant: "men", service: "s") == nil)
        // 2023-11-14T22:13:20Z
        let cron = table(Frequency(cron: "13 22 * * *"))
        #expect(cron.next(after: nil)?.due.description == "2023-11-15T22:13:00.000Z")
        #expect(cron.next(after: at(-864_000_000).wall) == cron.next(after: nil))
    }

    @Test("jitter is fixed per tenant and service, and below its bound")
    func jitter() {
        let spread = Frequency(everySeconds: 60, jitterSeconds: 30)
        let offsets = (0..<200).map { Timetable.jitter(spread, tenant: TenantID("t\($0)")!, service: "s") }
        #expect(offsets.allSatisfy { (0..<30_000).contains($0) })
        #expect(Set(offsets).count > 150)
        #expect(offsets[3] == Timetable.jitter(spread, tenant: "t3", service: "s"))
    }

    /// Ticks of 5,000 tenants in each minute of an hour, as a shared provider sees them.
    private func load(_ frequency: Frequency) -> [Int] {
        var minutes = [Int](repeating: 0, count: 60)
        let hour = Timestamp(milliseconds: 1_700_006_400_000)  // 2023-11-15T00:00:00Z
        for index in 0..<5_000 {
            let table = table(frequency, tenant: TenantID("tenant-\(index)")!)
            var last = hour.advanced(byMilliseconds: -1)
            while let next = table.next(after: last)?.due, next < hour.advanced(bySeconds: 3600) {
                minutes[Int(next.milliseconds - hour.milliseconds) / 60_000] += 1
                last = next
            }
        }
        return minutes
    }

    @Test(
        "a shared provider sees a flat line: by itself, with H and with jitter",
        arguments: [
            Frequency(everySeconds: 3600, spread: true), Frequency(cron: "H * * * *"),
            Frequency(jitterSeconds: 3_599, cron: "0 * * * *"),
        ])
    func flat(frequency: Frequency) {
        let minutes = load(frequency)
        #expect(minutes.reduce(0, +) == 5_000)
        // 83 a minute; by chance (Poisson) 5 standard deviations are 46.
        #expect(minutes.allSatisfy { abs($0 - 83) <= 46 }, "\(minutes)")
    }

    @Test("without any of them there is a herd, so the test before can fail")
    func herd() { #expect(load(Frequency(cron: "0 * * * *"))[0] == 5_000) }

    @Test("spread keeps the first tick at once and never doubles or more the distance to the second")
    func firstTicks() {
        for index in 0..<500 {
            let table = table(Frequency(everySeconds: 600, spread: true), tenant: TenantID("t\(index)")!)
            let ticks = table.backlog(after: nil, through: at(3_600_000).wall, keeping: 9).kept
            #expect(ticks[0] == at(0).wall)
            let first = ticks[1].milliseconds - ticks[0].milliseconds
            #expect((300_000..<900_000).contains(first))
            #expect(
                zip(ticks.dropFirst(), ticks.dropFirst(2)).allSatisfy { $1.milliseconds - $0.milliseconds == 600_000 })
        }
    }
}

@Suite("Cron expressions")
struct CronTests {
    private func ticks(_ text: String, _ zone: String, from: String, _ count: Int) throws -> [String] {
        let cron = try Timetable.cron(text, zone, seed: "men/s")
        var last = try #require(Timestamp(from)).milliseconds / 1000
        return try (0..<count).map { _ in
            last = try #require(cron.next(after: last)).at
            return String(Timestamp(milliseconds: last * 1000).description.dropLast(8))
        }
    }

    @Test(
        "at a time of day: what does not exist fires right after the gap, what exists twice fires once, the first time")
    func timeOfDay() throws {
        #expect(
            try ticks("30 2 * * *", "Europe/Berlin", from: "2026-03-28T12:00:00Z", 2)
                == ["2026-03-29T01:00", "2026-03-30T00:30"])
        #expect(
            try ticks("30 2 * * *", "Europe/Berlin", from: "2026-10-24T12:00:00Z", 2)
                == ["2026-10-25T00:30", "2026-10-26T01:30"])
        // Midnight does not exist in Cairo on 2026-04-24.
        #expect(
            try ticks("0 0 * * *", "Africa/Cairo", from: "2026-04-23T12:00:00Z", 2)
                == ["2026-04-23T22:00", "2026-04-24T21:00"])
        // Half an hour on Lord Howe; two skipped times are one tick, and it is none of its own beside a regular one.
        #expect(
            try ticks("5,10 2 * * *", "Australia/Lord_Howe", from: "2026-10-03T00:00:00Z", 3)
                == ["2026-10-03T15:30", "2026-10-04T15:05", "2026-10-04T15:10"])
        #expect(
            try ticks("0 2,3 * * *", "Europe/Berlin", from: "2026-03-28T12:00:00Z", 2)
                == ["2026-03-29T01:00", "2026-03-30T00:00"])
    }

    @Test("every so often goes on in real time")
    func interval() throws {
        for date in ["2026-03-29", "2026-10-25"] {
            let real = try ticks("*/15 * * * *", "Europe/Berlin", from: "\(date)T00:00:00Z", 12)
            #expect(real == (1...12).map { "\(date)T0\($0 / 4):\($0 % 4 == 0 ? "00" : "\($0 % 4 * 15)")" })
        }
        #expect(
            try ticks("5 * * * *", "Europe/Berlin", from: "2026-03-29T00:00:00Z", 3)
                == ["2026-03-29T00:05", "2026-03-29T01:05", "2026-03-29T02:05"], "nothing is made up at 03:00")
    }

    @Test("day of month or day of week, if both are named; names, 7, steps, lists")
    func days() throws {
        #expect(
            try ticks("0 0 13 * FRI", "UTC", from: "2026-11-01T00:00:00Z", 4).map { $0.prefix(10) }
                == ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27"])
        #expect(
            try ticks("0 0 * feb 7", "UTC", from: "2026-01-01T00:00:00Z", 2).map { $0.prefix(10) }
                == ["2026-02-01", "2026-02-08"])
        #expect(
            try ticks("0 0 29 2 *", "UTC", from: "2026-01-01T00:00:00Z", 2).map { $0.prefix(10) }
                == ["2028-02-29", "2032-02-29"])
        #expect(
            try ticks("50-59/3,0 23 31 12 *", "UTC", from: "2026-01-01T00:00:00Z", 3)
                == ["2026-12-31T23:00", "2026-12-31T23:50", "2026-12-31T23:53"])
    }

    @Test("H is fixed for a tenant's service, spread over tenants, within its range and step")
    func hashes() throws {
        var minutes: Set<UInt64> = []
        for index in 0..<300 {
            let cron = try CronExpression("H H(0-5) H * H", seed: "t\(index)/s")
            #expect(try cron == CronExpression("H H(0-5) H * H", seed: "t\(index)/s"))
            #expect(cron.hours < 1 << 6 && cron.days < 1 << 29 && cron.weekdays < 1 << 7)
            for set in [cron.minutes, cron.hours, cron.days, cron.weekdays] { #expect(set.nonzeroBitCount == 1) }
            minutes.insert(cron.minutes)
            let step = try CronExpression("H/20 * * * *", seed: "t\(index)/s").minutes
            #expect(step.nonzeroBitCount == 3 && step.trailingZeroBitCount < 20)
        }
        #expect(minutes.count > 55)
    }

    @Test(
        "an error names the field and the remedy",
        arguments: [
            ("* * * *", "has 4 field(s)"), ("@daily", "write for example 'H H * * *'"),
            ("60 * * * *", "field minute: 60 is not from 0 to 59"), ("0 24 * * *", "field hour: 24"),
            ("0 0 0 * *", "field day-of-month: 0 is not from 1 to 31"), ("0 0 * foo *", "or one of jan, feb"),
            ("5/15 * * * *", "write 5-59/15"), ("0 22-4 * * *", "write 22-23,0-4"), ("*/0 * * * *", "from 1 to 60"),
            ("0 0 31 4,6 *", "would never run"), ("0 0 H(1-31) * *", "end the range at 28"),
            ("H(x * * * *", "write H, H(a-b)"), ("0 0 * * 8", "field day-of-week: 8"), ("1,,2 * * * *", "is no item"),
            ("H/61 * * * *", "from 1 to 60"), ("H(0-9)/20 * * * *", "longer than its range"), ("", "has 0 field(s)"),
        ])
    func errors(text: String, remedy: String) {
        #expect { try CronExpression(text, seed: "") } throws: { ($0 as? CronError)?.text.contains(remedy) == true }
    }

    @Test("zones are IANA's, in their spelling")
    func zones() {
        for name in ["Europe/Berlin", "UTC", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "Asia/Calcutta"] {
            #expect(ZoneDatabase.rules(name) != nil, "\(name)")
        }
        for name in ["Europe/Berln", "GMT+3", "UTC+3", "GMT", "", "europe/berlin", "+03:00"] {
            #expect(ZoneDatabase.rules(name) == nil, "\(name)")
        }
        #expect(ZoneDatabase.nearest(to: "europe/berln") == "Europe/Berlin")
    }
}
