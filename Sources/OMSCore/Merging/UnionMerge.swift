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
                            + "\(keys[index].map { $0.stringValue ?? MergeOrder.canonical($0) }.joined(separator: ", ")) (merge.conflict: error)",
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
            let values = [new, old].map { $0.record[by]?.doubleValue ?? -.infinity }
            return values[0] == values[1] ? new.rank < old.rank : values[0] > values[1]
        }
    }

}

/// One order of all values, so that no result depends on hashing: numbers before texts before the rest.
enum MergeOrder {
    static func precedes(_ a: [JSONValue], _ b: [JSONValue]) -> Bool {
        for (x, y) in zip(a, b) where x != y { return precedes(x, y) }
        return a.count < b.count
    }

    static func precedes(_ a: JSONValue, _ b: JSONValue) -> Bool {
        if let x = a.doubleValue, let y = b.doubleValue {
            // Whole numbers that a Double cannot tell apart.
            if x == y, let i = a.intValue, let j = b.intValue { return i < j }
            return x < y
        }
        if let x = a.stringValue, let y = b.stringValue { return x < y }
        let ranks = [a, b].map { $0.doubleValue != nil ? 0 : $0.stringValue != nil ? 1 : 2 }
        return ranks[0] == ranks[1] ? canonical(a) < canonical(b) : ranks[0] < ranks[1]
    }

    /// A text that is equal for equal values.
    static func canonical(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        case .number(let number): "\(number)"
        case .string(let text): "\"\(text)\""
        case .array(let items): "[" + items.map(canonical).joined(separator: ",") + "]"
        case .object(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { "\"\($0.key)\":" + canonical($0.value) }
                .joined(separator: ",") + "}"
        }
    }
}
