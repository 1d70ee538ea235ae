import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What the registry keeps of one tenant: the ledger of ticks and the open runs, written piece by piece.
private struct StoredTenant {
    var epoch = 1
    var ackSeq = 0
    var ticks: [Timestamp: TickRecord] = [:]
    var open: [RunID: (record: RunRecord, jobs: [JobID: JobRecord])] = [:]
    var ended: Set<RunID> = []

    /// As in PostgreSQL: in order, each number once, the first record of a tick stands.
    mutating func commit(_ journal: Journal, upTo count: Int) {
        guard journal.epoch == epoch, journal.firstSeq <= ackSeq + 1 else { return }
        for entry in journal.entries.prefix(count).dropFirst(ackSeq + 1 - journal.firstSeq) {
            ackSeq += 1
            if let tick = entry.tick, ticks[tick.due] == nil { ticks[tick.due] = tick }
            if let run = entry.run, !ended.contains(run.id) {
                if run.state.isTerminal {
                    ended.insert(run.id)
                    open[run.id] = nil
                } else {
                    open[run.id] = (run, [:])
                }
            }
            if let job = entry.job { open[job.run]?.jobs[job.id] = job }
        }
    }

    var resume: WorkManagerResume {
        let last = ticks.values.filter { $0.manual != true }.map { $0.through ?? $0.due }.max()
        return WorkManagerResume(
            ticks: last.map { ["s": $0] } ?? [:], succeeded: [:], consumed: [:],
            open: open.values.compactMap { run, jobs in
                guard let plan = run.plan else { return nil }
                return OpenRun(
                    run: run.id, service: "s", due: run.due, started: run.started, deadline: run.deadline, plan: plan,
                    jobs: jobs.values.map {
                        OpenJob(
                            id: $0.id, provider: $0.provider, attempt: $0.attempt, state: $0.state,
                            revision: $0.revision)
                    })
            })
    }
}

@Suite("A year of ticks")
struct YearOfTicksTests {
    private static let begin = Timestamp(milliseconds: 1_767_225_600_000)  // 2026-01-01T00:00:00Z
    private static let end = Timestamp(milliseconds: 1_798_761_600_000)  // 2027-01-01T00:00:00Z
    private static let zones = [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "UTC",
        "America/Santiago", "Pacific/Chatham",
    ]
    private static let expressions = [
        "30 2 * * SUN", "0 0 * * FRI", "H H * * *", "0 3 * * MON", "*/30 1-2 * * SUN", "0 */12 H * *",
        "15 2 1,15 * *", "0 2,3 * * 0", "H H(0-5) H * *", "59 23 28 * *",
    ]

    private func plan(_ index: Int, _ generator: inout SplitMix64) -> ServicePlan {
        var plan = Fixture.plan("s", deadline: 900_000, attempts: 1)
        plan.frequency =
            index % 7 == 0
            ? Frequency(everySeconds: [86_400, 200_000, 604_800].randomElement(using: &generator), spread: true)
            : Frequency(
                jitterSeconds: index % 5 == 0 ? 600 : nil, cron: Self.expressions[index % 10],
                timeZone: Self.zones[index / 10 % Self.zones.count])
        plan.anchor = Self.begin.advanced(bySeconds: index * 37)
        plan.overlap = OverlapPolicy.allCases[index % 4]
        plan.queueLimit = plan.overlap == .queueAll ? 3 : nil
        plan.catchUpSeconds = index % 3 == 0 ? 100_000 : nil
        return plan
    }

    @Test("of 1,000 schedules over changes of the clock, restarts and replacements: none is lost, none doubled")
    func year() throws {
        var generator = SplitMix64(seed: 2026)
        var total = 0
        var ends: [TickRecord.Outcome: Int] = [:]
        var deaths = 0
        for index in 0..<1_000 {
            let plan = plan(index, &generator)
            let (stored, died) = live(plan, TenantID("t\(index)")!, &generator)
            deaths += died
            // Every tick of the timetable, and how the ledger says that it ended.
            let timetable = try #require(try plan.timetable(TenantID("t\(index)")!))
            var expected: Set<Timestamp> = []
            var last: Timestamp?
            while let next = timetable.next(after: last)?.due, next <= Self.end {
                expected.insert(next)
                last = next
            }
            var seen: Set<Timestamp> = []
            for tick in stored.ticks.values where tick.manual != true {
                var due = tick.due
                for step in 0..<(tick.count ?? 1) {
                    if step > 0 { due = try #require(timetable.next(after: due)?.due) }
                    #expect(seen.insert(due).inserted, "schedule \(index): \(due) ended twice")
                }
                if let run = tick.run { #expect(stored.ended.contains(run), "schedule \(index): \(due) has no run") }
                if tick.count != nil { #expect(try #require(tick.through) >= due) }
                ends[tick.outcome, default: 0] += tick.count ?? 1
            }
            #expect(seen == expected, "schedule \(index): \(expected.symmetricDifference(seen).sorted().prefix(3))")
            total += expected.count
        }
        // A year in which nothing happened would prove nothing.
        #expect(total > 100_000 && deaths > 3_000, "\(total) ticks, \(deaths) deaths")
        #expect(ends.values.allSatisfy { $0 > 1_000 } && ends.count == 3, "\(ends)")
    }

    /// One tenant's year: jobs of all lengths, Work Managers that die with facts that nobody has, absences of up to a
    /// week, manual runs.
    private func live(_ plan: ServicePlan, _ tenant: TenantID, _ generator: inout SplitMix64) -> (StoredTenant, Int) {
        var stored = StoredTenant()
        var time = Self.begin
        var deaths = 0
        var (manager, jobs) = begin(plan, tenant, stored, at: time, &generator)
        while true {
            // 1. The next thing that happens: a tick, the end of a job, or the end of the year.
            let now = moment(time)
            let end = jobs.min { ($0.value, $0.key) < ($1.value, $1.key) }
            time = min(Self.end, min(manager.nextTick(at: now) ?? Self.end, end?.value ?? Self.end))
            var effects: [WorkManager.Effect] = []
            if let end, end.value <= time {
                jobs[end.key] = nil
                effects += manager.receive(
                    .jobEvent("alpha", event(end.key, .succeeded, epoch: stored.epoch, at: moment(time))),
                    at: moment(time))
            }
            effects += manager.receive(.wake, at: moment(time))
            if Int.random(in: 0..<200, using: &generator) == 0 {
                let wish = RunTrigger(id: "\(time)", service: "s", due: time.advanced(byMilliseconds: 1))
                effects += manager.receive(.trigger(wish), at: moment(time))
            }
            take(effects, &jobs, at: time, &generator)
            if time >= Self.end, jobs.isEmpty { time = Self.end.advanced(byMilliseconds: 1) }
            // 2. Either the registry has it, or the Work Manager dies and what it wrote is cut anywhere.
            let dies = time < Self.end && Int.random(in: 0..<40, using: &generator) == 0
            for case .publish(let message) in effects {
                guard case .journal(let journal) = message.payload else { continue }
                let count = dies ? Int.random(in: 0...journal.entries.count, using: &generator) : .max
                stored.commit(journal, upTo: count)
                if dies, count < journal.entries.count { break }
            }
            if dies {
                deaths += 1
                let absence = Int64.random(in: 0...10, using: &generator) < 7 ? 60_000 : Int64(600_000_000)
                time = min(Self.end, time.advanced(byMilliseconds: Int64.random(in: 0...absence, using: &generator)))
                stored.epoch += 1
                stored.ackSeq = 0
                (manager, jobs) = begin(plan, tenant, stored, at: time, &generator)
                // What the first moments of the new one bring is lost with the next death only.
                let first = manager.receive(.connected, at: moment(time))
                take(first, &jobs, at: time, &generator)
                for case .publish(let message) in first {
                    if case .journal(let journal) = message.payload { stored.commit(journal, upTo: .max) }
                }
            } else {
                _ = manager.receive(
                    .committed(Committed(epoch: stored.epoch, ackSeq: stored.ackSeq)), at: moment(time))
            }
            if time > Self.end || (time == Self.end && jobs.isEmpty) { return (stored, deaths) }
            if time == Self.end {
                // Let what runs end, so that nothing waits in a queue.
                time = Self.end.advanced(byMilliseconds: -1)
                for id in jobs.keys { jobs[id] = time }
            }
        }
    }

    private func begin(
        _ plan: ServicePlan, _ tenant: TenantID, _ stored: StoredTenant, at time: Timestamp,
        _ generator: inout SplitMix64
    ) -> (WorkManager, [JobID: Timestamp]) {
        var manager = WorkManager(
            tenant: tenant, epoch: stored.epoch, fleet: "f1", boot: 1,
            config: WorkManagerConfig(tenant: tenant, generation: 1, scenario: "s", services: [plan]),
            resume: stored.resume, at: moment(time))
        var jobs: [JobID: Timestamp] = [:]
        take(manager.receive(.started, at: moment(time)), &jobs, at: time, &generator)
        return (manager, jobs)
    }

    /// The provider: each job that it hears of ends some time; mostly soon, some after days, at once when stopped.
    private func take(
        _ effects: [WorkManager.Effect], _ jobs: inout [JobID: Timestamp], at time: Timestamp,
        _ generator: inout SplitMix64
    ) {
        for (_, command) in effects.commands {
            if command.command == .stop {
                jobs[command.job] = time.advanced(bySeconds: 5)
            } else if jobs[command.job] == nil {
                let isLong = Int.random(in: 0..<30, using: &generator) == 0
                jobs[command.job] = time.advanced(
                    bySeconds: Int.random(in: 1...(isLong ? 400_000 : 600), using: &generator))
            }
        }
    }

    private func moment(_ time: Timestamp) -> Moment { Moment(monotonic: time.milliseconds, wall: time) }
}
