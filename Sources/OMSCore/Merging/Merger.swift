package import OMSModel
package import OMSProtocol

/// What one asked provider brought to a run.
package struct Branch: Hashable, Sendable {
    package var provider: ProviderID
    package var job: JobID?
    /// nil: nothing yet, or never.
    package var state: JobState?
    package var outputs: [String: JSONValue]
    package var error: Problem?

    package init(
        provider: ProviderID, job: JobID? = nil, state: JobState? = nil, outputs: [String: JSONValue] = [:],
        error: Problem? = nil
    ) {
        self.provider = provider
        self.job = job
        self.state = state
        self.outputs = outputs
        self.error = error
    }
}

/// The merged outputs, and what became of each branch: every asked provider appears exactly once.
package struct Merged: Hashable, Sendable {
    package var state: RunRecord.State
    package var outputs: [String: JSONValue]
    package var providers: [ProviderContribution]
}

/// Combines the results of a run's providers. Independent of the order in which they arrived: `branches` come in the
/// plan's order.
package enum Merger {
    package static func merge(_ branches: [Branch], by rule: MergeRule) -> Merged {
        var outputs: [String: JSONValue] = [:]
        var used: Set<ProviderID> = []
        var faults: [ProviderID: Problem] = [:]
        let succeeded = branches.filter { $0.state == .succeeded }
        switch rule.strategy {
        case .first:
            if let first = succeeded.first {
                outputs = first.outputs
                used.insert(first.provider)
            }
        case .reciprocalRankFusion:
            (outputs, used, faults) = ReciprocalRankFusion.fuse(succeeded, by: rule)
        }
        let contributions = branches.map { branch in
            ProviderContribution(
                provider: branch.provider,
                outcome: outcome(of: branch, used: used, faults: faults),
                job: branch.job,
                error: faults[branch.provider] ?? branch.error)
        }
        let complete = contributions.allSatisfy { $0.outcome == .used || $0.outcome == .unused }
        let state: RunRecord.State = used.isEmpty ? .failed : complete ? .succeeded : .partial
        return Merged(state: state, outputs: outputs, providers: contributions)
    }

    private static func outcome(
        of branch: Branch, used: Set<ProviderID>, faults: [ProviderID: Problem]
    ) -> ProviderContribution.Outcome {
        if used.contains(branch.provider) { return .used }
        if faults[branch.provider] != nil { return .failed }
        guard let state = branch.state else { return .missing }
        if state == .succeeded { return .unused }
        return state.isTerminal ? .failed : .missing
    }
}

/// Reciprocal rank fusion: score(item) = sum over the lists of 1 / (k + rank), rank from 1
/// (Cormack, Clarke, Buettcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
/// SIGIR 2009). Needs no comparable scores, only the order.
enum ReciprocalRankFusion {
    static let defaultK = 60

    static func fuse(
        _ branches: [Branch], by rule: MergeRule
    ) -> (outputs: [String: JSONValue], used: Set<ProviderID>, faults: [ProviderID: Problem]) {
        let output = rule.output ?? "ranking"
        let itemKey = rule.itemKey ?? "item"
        let k = rule.k ?? defaultK
        var ranks: [JSONValue: [ProviderID: Int]] = [:]
        var used: Set<ProviderID> = []
        var faults: [ProviderID: Problem] = [:]
        var longest = 0
        for branch in branches {
            guard let list = (branch.outputs[output]?["value"] ?? branch.outputs[output])?.arrayValue else {
                faults[branch.provider] = Problem(
                    .providerMalformed, "output '\(output)' is no list, so it cannot be fused")
                continue
            }
            used.insert(branch.provider)
            var rank = 0
            for element in list {
                guard let item = itemKey.isEmpty ? element : element[itemKey],
                    ranks[item]?[branch.provider] == nil  // a doubled item keeps its best rank
                else { continue }
                rank += 1
                ranks[item, default: [:]][branch.provider] = rank
            }
            longest = max(longest, rank)
        }
        let scored = ranks.map { item, byProvider in
            // Summed in a fixed order, so that the score does not depend on hashing.
            (item, byProvider, byProvider.sorted { $0.key < $1.key }.reduce(0.0) { $0 + 1 / Double(k + $1.value) })
        }
        let sorted = scored.sorted { ($1.2, sortKey($0.0)) < ($0.2, sortKey($1.0)) }
        let merged: [JSONValue] = sorted.prefix(rule.top ?? longest).map { item, byProvider, score in
            .object([
                itemKey.isEmpty ? "item" : itemKey: item,
                "score": .double(score),
                "ranks": .object(
                    Dictionary(uniqueKeysWithValues: byProvider.map { ($0.key.text, .int(Int64($0.value))) })),
            ])
        }
        return used.isEmpty ? ([:], [], faults) : ([output: ["value": .array(merged)]], used, faults)
    }

    /// Ties are broken by the item: numbers as numbers, before texts.
    private static func sortKey(_ item: JSONValue) -> String {
        switch item {
        case .int(let value) where value >= 0: "0" + String(repeating: "0", count: 19 - "\(value)".count) + "\(value)"
        case .string(let text): "1" + text
        default: "2\(item)"
        }
    }
}
