#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif
import OMSModel
import OMSProtocol

/// Which providers work on a run (docs/operate/providers.md).
extension WorkManager {
    /// The planner names every able provider in the order of preference; `usable` is what is known of them this moment.
    func chosen(_ plan: ServicePlan, due: Timestamp) -> [ProviderChoice] {
        let usable = plan.providers.filter { self.usable[$0.provider] ?? true }
        switch plan.use {
        case .all, .firstWins, .quorum: return plan.providers
        // Whether it is able is the planner's to say, which has more patience.
        case .sticky: return Array(plan.providers.prefix(1))
        case .one, .failover: return Array((usable.isEmpty ? plan.providers : usable).prefix(1))
        case .weighted:
            let lot = { (choice: ProviderChoice) in
                Self.lot(choice, plan, tick: "\(tenant)/\(plan.id)/\(due.milliseconds)")
            }
            return (usable.isEmpty ? plan.providers : usable).min { lot($0) < lot($1) }.map { [$0] } ?? []
        }
    }

    /// Weighted rendezvous hashing: with u uniform in (0, 1] by tick and provider, the least -ln(u) / weight belongs to
    /// each provider in proportion to its weight. The same tick gives the same provider, and a provider that is away
    /// changes only its own ticks.
    private static func lot(_ choice: ProviderChoice, _ plan: ServicePlan, tick: String) -> Double {
        let hash = spread(of: "\(tick)/\(choice.provider)")
        let uniform = (Double(hash >> 11) + 1) / Double(UInt64(1) << 53)
        return -log(uniform) / (plan.policy?.weights?[choice.provider] ?? 1)
    }

    /// The next provider of a run with `failover`, when the present one has had its chance.
    ///
    /// Never while it is not certain that the job does not run there, unless two executions do no harm: a job in state
    /// `unknown`, or one whose stop is not confirmed, keeps the run where it is.
    func nextProvider(of run: RunTrack) -> ProviderChoice? {
        guard run.plan.use == .failover, let job = run.jobs.last else { return nil }
        let isSafe = run.plan.safeToRunTwice == true
        switch Fault(of: job) {
        case .provider, .refused: break
        case .ambiguous: if !isSafe { return nil }
        case .job, .final: return nil
        case nil: if job.state == .succeeded || job.timedOut == nil || !isSafe { return nil }
        }
        let tried = Set(run.jobs.map(\.choice.provider))
        let left = run.plan.providers.filter { !tried.contains($0.provider) }
        return left.first { usable[$0.provider] ?? true } ?? left.first
    }
}

extension ServicePlan {
    var use: ProviderPolicy.Use { policy?.use ?? (merge.strategy == .first ? .one : .all) }

    /// So many results make a run complete; nil: one of each provider.
    var needed: Int? {
        switch use {
        case .all: nil
        case .quorum: policy?.count ?? 1
        case .one, .firstWins, .weighted, .sticky, .failover: 1
        }
    }
}

extension RunTrack {
    /// Enough results are in: the others are stopped, and what they still bring is not used.
    mutating func decide() {
        guard decided.isEmpty, let needed = plan.needed else { return }
        let winners = latest.filter { jobs[$0].state == .succeeded }
        guard winners.count >= needed else { return }
        decided = Set(winners.map { jobs[$0].id })
        for index in jobs.indices { jobs[index].stop("enough results are in") }
    }
}
