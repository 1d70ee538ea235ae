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
    /// So many runs must have ended in a wave before it is judged.
    package var minRuns: Int
    package var phase: Phase
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

    /// What a wave's results mean.
    /// - Parameters:
    ///   - failed, finished: runs of the wave's tenants that ended since it began.
    package func judge(failed: Int, finished: Int, at now: Timestamp) -> Verdict {
        if finished >= max(1, minRuns), failed * 100 > abortPercent * finished {
            return .abort(
                "\(failed) of \(finished) runs failed in wave \(wave + 1) (\(waves[wave]) %); the limit is \(abortPercent) %"
            )
        }
        let soaked = now.milliseconds - waveStarted.milliseconds >= Int64(soakSeconds) * 1000
        if !soaked { return .wait("wave \(wave + 1) shows itself until its \(soakSeconds) s are over") }
        if finished < minRuns { return .wait("\(finished) of \(minRuns) runs have ended in wave \(wave + 1)") }
        return wave + 1 < waves.count ? .nextWave : .complete
    }
}
