package import OMSModel
import OMSProtocol

/// Combines the results of a run's providers. Each strategy is order-free (only the plan's order counts, never the order
/// of arrival) and idempotent (a branch that is told twice counts once); `MergeProperties` tests both.
package enum Merger {
    /// More than this stays with the jobs: a message of 256 KiB carries a result and its journal entry.
    static let maxInlineBytes = 64_000

    /// - Parameter needed: so many results make it complete; nil: all of them.
    package static func merge(_ branches: [Branch], by rule: MergeRule, needed: Int? = nil) -> Merged {
        let branches = canonical(branches)
        let succeeded = branches.filter { $0.state == .succeeded && !$0.isSpare }
        if let needed, succeeded.count < needed, needed > 1 { return tooFew(branches, succeeded.count, needed) }
        var outcome =
            switch rule.strategy {
            case .first: FirstMerge.merge(succeeded)
            case .concat: ConcatMerge.merge(succeeded, by: rule)
            case .union: UnionMerge.merge(succeeded, by: rule)
            case .majority: MajorityMerge.merge(succeeded, by: rule)
            case .mean: MeanMerge.merge(succeeded, by: rule)
            case .best: BestMerge.merge(succeeded, by: rule)
            case .reciprocalRankFusion: ReciprocalRankFusion.merge(succeeded, by: rule)
            case .pooledProportions: PooledProportions.merge(succeeded, by: rule)
            }
        // They quote what providers said, and name all of them.
        outcome.faults = outcome.faults.mapValues(Self.bounded)
        outcome.failure = outcome.failure.map(Self.bounded)
        if outcome.failure != nil { (outcome.outputs, outcome.used) = ([:], []) }
        if rule.strategy != .first, JSONValue.object(outcome.outputs).encodedBytes > maxInlineBytes {
            outcome.outputs = Manifest.ofJobs(succeeded.filter { outcome.used.contains($0.provider) }, by: rule)
        }
        let contributions = branches.map { branch in
            ProviderContribution(
                provider: branch.provider, outcome: Self.outcome(of: branch, outcome), job: branch.job,
                error: outcome.faults[branch.provider] ?? branch.error)
        }
        let complete =
            needed != nil || contributions.allSatisfy { $0.outcome == .used || $0.outcome == .unused }
        return Merged(
            state: outcome.used.isEmpty ? .failed : complete ? .succeeded : .partial, outputs: outcome.outputs,
            providers: contributions, error: outcome.failure)
    }

    private static func bounded(_ problem: Problem) -> Problem {
        var problem = problem
        AnswerLimits.cut(&problem)
        return problem
    }

    /// A quorum that was not reached: nothing is used, and each branch says what it was.
    private static func tooFew(_ branches: [Branch], _ count: Int, _ needed: Int) -> Merged {
        Merged(
            state: .failed, outputs: [:],
            providers: branches.map {
                ProviderContribution(
                    provider: $0.provider, outcome: outcome(of: $0, MergeOutcome()), job: $0.job, error: $0.error)
            }, error: Problem(.conflict, "\(count) of \(needed) results that the quorum needs"))
    }

    /// In the plan's order, each provider once.
    private static func canonical(_ branches: [Branch]) -> [Branch] {
        var byProvider: [ProviderID: Branch] = [:]
        for branch in branches {
            // Told twice: what has succeeded stands.
            if let known = byProvider[branch.provider], known.state == .succeeded || branch.state != .succeeded {
                continue
            }
            byProvider[branch.provider] = branch
        }
        return byProvider.values.sorted { ($0.position, $0.provider) < ($1.position, $1.provider) }
    }

    private static func outcome(of branch: Branch, _ outcome: MergeOutcome) -> ProviderContribution.Outcome {
        if outcome.used.contains(branch.provider) { return .used }
        if outcome.faults[branch.provider] != nil { return .failed }
        if branch.isSpare, branch.state.map({ !$0.isTerminal || $0 == .succeeded }) ?? true { return .unused }
        if branch.isExpected { return .late }
        guard let state = branch.state else { return .missing }
        if state == .succeeded { return .unused }
        return state.isTerminal ? .failed : .missing
    }
}

/// The first succeeded provider's outputs, as they are.
enum FirstMerge {
    static func merge(_ branches: [Branch]) -> MergeOutcome {
        branches.first.map { MergeOutcome(outputs: $0.outputs, used: [$0.provider]) } ?? MergeOutcome()
    }
}
