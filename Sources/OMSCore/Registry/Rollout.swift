package import OMSModel

/// A change of a scenario that reaches the tenants in waves, and is taken back when their results get worse.
package struct Rollout: Hashable, Codable, Sendable {
    package enum Phase: String, Codable, Sendable { case running, done, aborted }

    package var id: String
    package var scenario: ScenarioID
    /// What the scenario is to become.
    package var spec: ScenarioSpec
    /// Percent of the tenants that have it in each wave, rising to 100.
    package var waves: [Int]
    /// Index into `waves`.
    package var wave: Int
    package var waveStarted: Timestamp
    /// Seconds that a wave must show itself before the next one.
    package var soakSeconds: Int
    /// More failed runs than this, in percent, take the change back.
    package var abortPercent: Int
    /// So many runs must have ended in a wave before it is judged, and so many of a service before that service is.
    package var minRuns: Int
    /// Seconds after which a wave that has not shown enough is taken back.
    package var deadlineSeconds: Int?
    package var phase: Phase
    /// What the wave waits for, or how the roll-out ended.
    package var reason: String?
    package var initiator: String
    package var startedAt: Timestamp
    package var endedAt: Timestamp?

    enum CodingKeys: String, CodingKey {
        case id, scenario, spec, waves, wave, phase, reason, initiator
        case waveStarted = "wave_started"
        case soakSeconds = "soak_s"
        case abortPercent = "abort_percent"
        case minRuns = "min_runs"
        case deadlineSeconds = "deadline_s"
        case startedAt = "started_at"
        case endedAt = "ended_at"
    }

    /// Whether the tenant has the change in the present wave. By a hash, so that waves are alike and nest.
    package func includes(_ tenant: TenantID) -> Bool {
        let hash = fnv1a128("\(id)/\(tenant)".utf8)
        return Int(truncatingIfNeeded: (hash >> 32) % 10_000) < waves[wave] * 100
    }

    package enum Verdict: Hashable, Sendable {
        case wait(String)
        case nextWave
        case complete
        case abort(String)
    }

    package static let standardDeadlineSeconds = 86_400

    /// What a wave's results mean. Each service counts for itself as well: one that runs daily and always fails must not hide
    /// behind one that runs each second.
    /// - Parameters:
    ///   - tenants: those that have the change in this wave.
    ///   - services: their runs that began since the wave did, under a configuration with the change.
    package func judge(tenants: Int, services: [RunFigures], at now: Timestamp) -> Verdict {
        let enough = max(1, minRuns)
        let all = services.reduce(into: (failed: 0, finished: 0)) {
            $0.failed += $1.failed; $0.finished += $1.finished
        }
        if all.finished >= enough, exceeds(all.failed, of: all.finished) {
            return .abort("\(all.failed) of \(all.finished) runs failed in \(waveText); the limit is \(abortPercent) %")
        }
        let bad = services.filter { exceeds($0.failed, of: $0.finished) }
        if let worst = bad.first(where: { $0.finished >= enough }) {
            return .abort(
                "\(worst.failed) of \(worst.finished) runs failed in service \(worst.service) in \(waveText); the limit is "
                    + "\(abortPercent) %")
        }
        let age = now.milliseconds - waveStarted.milliseconds
        let next: Verdict = wave + 1 < waves.count ? .nextWave : .complete
        guard age >= NumberBounds.milliseconds(soakSeconds) else {
            return .wait("\(waveText) shows itself until its \(soakSeconds) s are over")
        }
        if tenants == 0 { return next }
        guard let missing = missing(all.finished, bad, services) else { return next }
        let deadline = deadlineSeconds ?? Self.standardDeadlineSeconds
        return age < NumberBounds.milliseconds(deadline)
            ? .wait(missing) : .abort("\(missing), and the deadline of a wave (\(deadline) s) is over")
    }

    /// What a wave has not shown yet.
    private func missing(_ finished: Int, _ bad: [RunFigures], _ services: [RunFigures]) -> String? {
        if let worst = bad.first {
            return
                "service \(worst.service): \(worst.failed) of \(worst.finished) runs failed, it is judged after \(minRuns)"
        }
        if let unknown = services.first(where: { $0.finished == 0 && $0.open > 0 }) {
            return "service \(unknown.service): \(unknown.open) runs have begun, none has ended"
        }
        return finished < minRuns ? "\(finished) of \(minRuns) runs have ended in \(waveText)" : nil
    }

    private func exceeds(_ failed: Int, of finished: Int) -> Bool { failed * 100 > abortPercent * finished }

    private var waveText: String { "wave \(wave + 1) (\(waves[wave]) %)" }
}

/// What the registry does for the present wave; not stored.
package struct RolloutWork: Sendable {
    /// A question or a decision is on its way to PostgreSQL: one at a time.
    var isUnderWay = false
    /// The first generation of each tenant's configuration that has the change.
    var from: [TenantID: Int] = [:]
}

/// How the runs of one service went.
package struct RunFigures: Hashable, Sendable {
    package var service: ServiceID
    package var failed: Int
    /// Ended in any way.
    package var finished: Int
    package var open: Int

    package init(_ service: ServiceID, failed: Int = 0, finished: Int = 0, open: Int = 0) {
        self.service = service
        self.failed = failed
        self.finished = finished
        self.open = open
    }
}
