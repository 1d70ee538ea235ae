import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// The real system with everything going wrong that can: afterwards nothing is lost, nothing was done twice, and never
/// did two Work Managers of one tenant act.
@Suite("Soak", .serialized, .timeLimit(.minutes(60)))
struct SoakTests {
    /// `OMS_TESTS=all OMS_SOAK_SECONDS=900 OMS_SOAK_SEED=7 swift test --filter 'Soak/survives'` for the long one.
    static let seconds = ProcessInfo.processInfo.environment["OMS_SOAK_SECONDS"].flatMap { Int($0) } ?? 75
    /// One plan by default, so that a failure speaks of the change and not of the day; `random` draws another.
    static let seed: UInt64 = {
        let text = ProcessInfo.processInfo.environment["OMS_SOAK_SEED"] ?? "11"
        return text == "random" ? .random(in: 1...999_999) : UInt64(text) ?? 11
    }()

    @Test("kills, pauses, restarts, partitions and replacements: one story in all logs")
    func survives() async throws {
        let plan = SoakPlan(seed: Self.seed, seconds: Self.seconds, tenants: SoakWorld.tenants, providers: 3)
        print("soak: seed \(Self.seed), \(Self.seconds) s, \(plan.faults.values.reduce(0, +)) faults")
        let deaths = Locked<[String: Int]>([:])
        var options = try SoakWorld.options()
        options.onEvent = { event in
            if case .child(.died(let name, _, .some)) = event { deaths.withLock { $0[name, default: 0] += 1 } }
            if case .note(let text) = event { print("soak: \(text)") }
        }
        try await DevEnvironment.with(options) { environment in
            let world = try await SoakWorld.start(environment)
            defer { world.stop() }
            let recorder = await BusRecorder.start(environment.bus(.monitor))
            let before = try await Database.open(environment.postgresConfiguration())
            try await SoakChecker.guardHistory(before)
            try await world.apply(isOver: false)
            try await before.wait(until: "SELECT count(DISTINCT tenant) = 8 FROM report.job WHERE state = 'succeeded'")
            await before.close()

            let report = try await Nemesis(world: world, plan: plan, deaths: deaths).run()
            let healed = MonotonicClock.milliseconds
            try await world.apply(isOver: true)
            let database = try await Database.openPatiently(environment.postgresConfiguration())
            let isSettled = try await database.holds(SoakChecker.isSettled, seconds: 180)
            let settled = MonotonicClock.milliseconds - healed

            var checker = SoakChecker(database, world.providers)
            try await checker.check()
            let heard = recorder.found
            var violations = checker.violations + heard.violations
            if !isSettled { violations.insert("not settled within 180 s", at: 0) }
            // What the bus says in the end is what PostgreSQL says.
            for row in try await database.connection.query("SELECT tenant, max(epoch) FROM oms.epoch GROUP BY 1").rows
            where heard.epochs[row[0] ?? ""].map(String.init) != row[1] {
                violations.append("\(row[0] ?? ""): epoch \(row[1] ?? "") was never heard on the bus")
            }
            print(summary(plan, report, deaths.withLock { $0 }, checker.counts, heard, settled, world.proxy.struck))
            if !violations.isEmpty {
                print("soak: seed \(Self.seed), \(violations.count) violations:")
                for violation in violations.prefix(40) { print("  - \(violation)") }
                print(plan.steps.map { "  \($0)" }.joined(separator: "\n"))
                print(try await database.dump())
            }
            await recorder.stop()
            await database.close()
            // Thrown, so that the logs stay.
            if let first = violations.first { throw DevError("\(violations.count) violations, the first: \(first)") }
            #expect(checker.counts.first { $0.0 == "jobs" }?.1 ?? 0 > Self.seconds, "hardly anything ran")
        }
    }

    private func summary(
        _ plan: SoakPlan, _ report: Nemesis.Report, _ deaths: [String: Int], _ counts: [(String, Int)],
        _ heard: BusRecorder.Finding, _ settled: Int64, _ struck: Int
    ) -> String {
        let faults = plan.faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        return """
            soak: seed \(plan.seed), \(Self.seconds) s
              \(plan.faults.values.reduce(0, +)) faults: \(faults.joined(separator: ", "))
              frames torn and COMMITs cut: \(struck)
              deaths survived: \(deaths.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
              \(report.replacements) replacements asked for, \(report.refusals.count) commands refused or unanswered
              \(counts.map { "\($0.0) \($0.1)" }.joined(separator: ", "))
              \(heard.messages) messages heard, \(heard.connections) connections of the recorder
              settled after \(settled) ms
            """
    }
}

extension Database {
    /// For the time just after PostgreSQL was away.
    static func openPatiently(_ configuration: PostgresConfiguration, seconds: Int = 60) async throws -> Database {
        let database = try await Attempts.until(deadline: .seconds(seconds)) { try? await Database.open(configuration) }
        guard let database else { throw DevError("no PostgreSQL within \(seconds) s") }
        return database
    }

    /// As `wait`, but a matter for the caller.
    func holds(_ condition: String, seconds: Int) async throws -> Bool {
        let deadline = MonotonicClock.milliseconds + Int64(seconds) * 1000
        while try await connection.query("SELECT (\(condition))::int AS ok").rows.first?[0] != "1" {
            guard MonotonicClock.milliseconds < deadline else { return false }
            try await connection.query("SELECT pg_sleep(0.2)")
        }
        return true
    }

    /// What is under way, for a look after a failure.
    func dump() async throws -> String {
        var lines: [String] = []
        for sql in [
            "SELECT tenant, manager_state, epoch, fleet, open_jobs, reason_code, reason FROM report.tenant_status ORDER BY 1",
            "SELECT tenant, kind, phase, epoch, forced, remaining, reason FROM report.operation WHERE ended_at IS NULL",
            "SELECT role, node, state, boot, draining FROM report.node ORDER BY 1, 2",
            "SELECT provider, status, circuit, gateway, error FROM report.provider_status ORDER BY 1",
            "SELECT job, tenant, service, provider, state, created_at FROM report.job WHERE finished_at IS NULL LIMIT 20",
            "SELECT run, tenant, service, state, due FROM report.run WHERE finished_at IS NULL LIMIT 20",
        ] {
            for row in try await connection.query(sql).rows {
                lines.append("  " + row.values.map { $0 ?? "-" }.joined(separator: " | "))
            }
        }
        return lines.joined(separator: "\n")
    }
}
