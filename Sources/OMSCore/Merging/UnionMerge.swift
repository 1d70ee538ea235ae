import OMSModel

/// Lists of records, each key once, in the order of the keys. What to do with two records of one key is `conflict`.
enum UnionMerge {
    private struct Candidate {
        var record: JSONValue
        var provider: ProviderID
        /// Before others in the plan, and in its own list.
        var rank: (position: Int, index: Int)
    }

    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let output = rule.output ?? Manifest.defaultOutput(.union)
        let key = rule.key ?? ["id"]
        if let manifest = Manifest.ofReferences(branches, output, by: rule) { return manifest }
        var outcome = MergeOutcome()
        var records: [[JSONValue]: Candidate] = [:]
        for (position, branch) in branches.enumerated() {
            let list: [JSONValue]
            switch branch.list(output) {
            case .success(let found): list = found
            case .failure(let problem):
                outcome.faults[branch.provider] = problem
                continue
            }
            let keys = list.map { record in key.compactMap { record[$0] } }
            if let index = keys.firstIndex(where: { $0.count != key.count }) {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed,
                    "record \(index) of output '\(output)' has no '\(key.joined(separator: "', '"))'", retryable: false)
                continue
            }
            outcome.used.insert(branch.provider)
            for (index, record) in list.enumerated() {
                let candidate = Candidate(record: record, provider: branch.provider, rank: (position, index))
                guard let other = records[keys[index]] else {
                    records[keys[index]] = candidate
                    continue
                }
                if rule.conflict == .error, other.record != record {
                    outcome.failure = Problem(
                        .conflict,
                        "\(other.provider) and \(branch.provider) have different records of key "
                            + "\(keys[index].map { $0.stringValue ?? $0.text() }.joined(separator: ", ")) (merge.conflict: error)",
                        retryable: false)
                }
                if prefers(candidate, to: other, by: rule) { records[keys[index]] = candidate }
            }
        }
        let sorted = records.sorted { MergeOrder.precedes($0.key, $1.key) }.map(\.value.record)
        let merged = rule.top.map { Array(sorted.prefix($0)) } ?? sorted
        if !outcome.used.isEmpty { outcome.outputs = [output: ["value": .array(merged)]] }
        return outcome
    }

    private static func prefers(_ new: Candidate, to old: Candidate, by rule: MergeRule) -> Bool {
        let by = rule.by ?? ""
        switch rule.conflict ?? .preferOrder {
        case .preferOrder, .error: return new.rank < old.rank
        case .newest:
            let times = [new, old].map { $0.record[by]?.stringValue.flatMap { Timestamp($0) }?.milliseconds ?? .min }
            return times[0] == times[1] ? new.rank < old.rank : times[0] > times[1]
        case .largest:
            // What is no number is less than every number.
            let values = [new, old].map { $0.record[by].flatMap { $0.doubleValue == nil ? nil : $0 } }
            switch (values[0], values[1]) {
            case (let value?, let other?) where value != other: return MergeOrder.isLess(other, value)
            case (.some, nil): return true
            case (nil, .some): return false
            default: return new.rank < old.rank
            }
        }
    }

}

/// One order of all values, so that no result depends on hashing: numbers before texts before the rest. Values that differ
/// are never on one place: two ids that are one number to a Double, and two spellings of "é", are in a fixed order too.
enum MergeOrder {
    static func precedes(_ a: [JSONValue], _ b: [JSONValue]) -> Bool {
        for (x, y) in zip(a, b) where x != y { return precedes(x, y) }
        return a.count < b.count
    }

    static func precedes(_ a: JSONValue, _ b: JSONValue) -> Bool {
        if a == b { return false }
        let ranks = [a, b].map { $0.doubleValue != nil ? 0 : $0.stringValue != nil ? 1 : 2 }
        if ranks[0] != ranks[1] { return ranks[0] < ranks[1] }
        if ranks[0] == 0, isLess(a, b) || isLess(b, a) { return isLess(a, b) }
        if let x = a.stringValue, let y = b.stringValue { return x.isBefore(y) }
        return a.text().isBefore(b.text())
    }

    /// Of numbers. Whole ones are compared as such: beyond 2^53 a Double cannot tell them apart.
    static func isLess(_ a: JSONValue, _ b: JSONValue) -> Bool {
        if let i = a.intValue, let j = b.intValue { return i < j }
        guard let x = a.doubleValue, let y = b.doubleValue else { return false }
        return x < y
    }
}
