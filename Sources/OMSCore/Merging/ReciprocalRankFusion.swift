import OMSModel

/// Reciprocal rank fusion: score(item) = sum over the lists of 1 / (k + rank), rank from 1
/// (Cormack, Clarke, Buettcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
/// SIGIR 2009). Needs no comparable scores, only the order.
enum ReciprocalRankFusion {
    static let defaultK = 60

    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let output = rule.output ?? Manifest.defaultOutput(.reciprocalRankFusion)
        let itemKey = rule.itemKey ?? "item"
        let k = rule.k ?? defaultK
        var ranks: [JSONValue: [ProviderID: Int]] = [:]
        var outcome = MergeOutcome()
        var longest = 0
        for branch in branches {
            guard let list = branch.value(output)?.arrayValue else {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed, "output '\(output)' is no list, so it cannot be fused")
                continue
            }
            outcome.used.insert(branch.provider)
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
        let scored = ranks.map { item, byProvider in (item, byProvider, score(byProvider.values, k)) }
        // Ties are broken by the item.
        let sorted = scored.sorted { $0.2 == $1.2 ? MergeOrder.precedes($0.0, $1.0) : $0.2 > $1.2 }
        let merged: [JSONValue] = sorted.prefix(rule.top ?? longest).map { item, byProvider, score in
            [
                itemKey.isEmpty ? "item" : itemKey: item, "score": .double(score),
                "ranks": .object(
                    JSONObject(uniqueKeysWithValues: byProvider.map { ($0.key.text, .int(Int64($0.value))) })),
            ]
        }
        if !outcome.used.isEmpty { outcome.outputs = [output: ["value": .array(merged)]] }
        return outcome
    }

    /// Summed in whole units of 2^-112, whose order makes no difference: ranks 1, 2 and 7 and ranks 7, 1 and 2 are a tie,
    /// while three Doubles may differ in the last bit.
    private static func score(_ ranks: some Sequence<Int>, _ k: Int) -> Double {
        let one = UInt128(1) << 112
        let sum = ranks.reduce(UInt128(0)) { $0 + one / UInt128(max(1, k + $1)) }
        return Double(sum) / Double(one)
    }
}
