import OMSModel

/// Reads how results are merged: which fields belong to which strategy is in one table.
enum MergeReader {
    /// The fields that only some strategies know.
    private static let fields: [(name: String, strategies: Set<MergeRule.Strategy>)] = [
        ("output", [.concat, .union, .majority, .mean, .reciprocalRankFusion]),
        ("top", [.concat, .union, .reciprocalRankFusion]),
        ("item_key", [.reciprocalRankFusion]), ("k", [.reciprocalRankFusion]),
        ("key", [.union]), ("conflict", [.union]), ("by", [.union]),
        ("weights", [.mean, .majority]),
        ("objective", [.best]), ("goal", [.best]), ("require", [.best]),
        ("control", [.pooledProportions]), ("treatment", [.pooledProportions]), ("trials", [.pooledProportions]),
        ("successes", [.pooledProportions]), ("alpha", [.pooledProportions]), ("split", [.pooledProportions]),
    ]

    static func merge(_ source: FieldReader) -> MergeRule {
        var reader = source
        let strategy = reader.choice("strategy", MergeRule.Strategy.self)
        if strategy == nil, !reader.has("strategy") { reader.fail("strategy", "is missing; write for example 'union'") }
        var rule = MergeRule(
            strategy: strategy ?? .first, output: reader.string("output"), itemKey: reader.string("item_key"),
            k: reader.int("k", in: 1...10_000), top: reader.int("top", in: 1...10_000))
        rule.key = keys(&reader)
        rule.conflict = reader.choice("conflict", MergeRule.Conflict.self)
        rule.by = reader.string("by")
        rule.weights = weights(&reader)
        rule.objective = reader.string("objective")
        rule.goal = reader.choice("goal", MergeRule.Goal.self)
        rule.require = constraints(&reader)
        rule.control = reader.string("control")
        rule.treatment = reader.string("treatment")
        rule.trials = reader.string("trials")
        rule.successes = reader.string("successes")
        rule.alpha = reader.number("alpha", above: 0, below: 0.5)
        rule.split = reader.number("split", above: 0, below: 1)
        rule.deliverAfterSeconds = reader.int("deliver_after_s", in: 1...2_592_000)
        reader.finish()
        guard let strategy else { return rule }
        for field in fields where reader.has(field.name) && !field.strategies.contains(strategy) {
            let known = field.strategies.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")
            reader.fail(field.name, "belongs to strategy \(known), not to '\(strategy.rawValue)'")
        }
        check(rule, reader)
        return rule
    }

    private static func check(_ rule: MergeRule, _ reader: FieldReader) {
        if rule.strategy == .union, rule.key == nil, !reader.has("key") {
            reader.fail("key", "is missing: the member, or the members, that make two records the same one")
        }
        let needsBy = rule.conflict == .newest || rule.conflict == .largest
        if rule.strategy == .union, needsBy != (rule.by != nil) {
            reader.fail(
                "by",
                needsBy
                    ? "is missing: the member that says which record is the \(rule.conflict?.rawValue ?? "")"
                    : "belongs to conflict 'newest' and 'largest'")
        }
        if rule.strategy == .best, rule.objective == nil {
            reader.fail("objective", "is missing: the numeric output that is compared")
        }
        if rule.strategy == .pooledProportions, (rule.control ?? "control") == (rule.treatment ?? "treatment") {
            reader.fail("treatment", "is the same output as control; name two different ones")
        }
        checkNames(rule, reader)
    }

    /// A merged result has members of its own, which no output of a provider may hide.
    private static func checkNames(_ rule: MergeRule, _ reader: FieldReader) {
        func refuse(_ field: String, _ name: String?, _ reserved: Set<String>) {
            guard let name, reserved.contains(name) else { return }
            reader.fail(field, "'\(name)' is a name that the merged result uses itself; choose another one")
        }
        switch rule.strategy {
        case .majority: refuse("output", rule.output, ["votes"])
        case .reciprocalRankFusion: refuse("item_key", rule.itemKey, ["score", "ranks"])
        case .pooledProportions:
            refuse("control", rule.control, PooledProportions.reserved)
            refuse("treatment", rule.treatment, PooledProportions.reserved)
            refuse("trials", rule.trials, ["rate", "interval"])
            refuse("successes", rule.successes, ["rate", "interval"])
            if (rule.trials ?? "n") == (rule.successes ?? "clicks") {
                reader.fail("successes", "is the same member as trials; name two different ones")
            }
        case .first, .concat, .union, .mean, .best: break
        }
    }

    /// One name, or several.
    private static func keys(_ reader: inout FieldReader) -> [String]? {
        guard let value = reader.value("key") else { return nil }
        let texts = value.stringValue.map { [$0] } ?? value.arrayValue?.compactMap(\.stringValue)
        guard let texts, !texts.isEmpty, texts.count == value.arrayValue?.count ?? 1 else {
            reader.fail("key", "must be a name or a list of names")
            return nil
        }
        return texts
    }

    private static func weights(_ reader: inout FieldReader) -> [ProviderID: Double]? {
        guard let members = reader.children("weights") else { return nil }
        var weights: [ProviderID: Double] = [:]
        for (key, value, _) in members {
            guard let weight = value.doubleValue, weight > 0, weight <= 1e6 else {
                reader.fail("weights/\(key)", "must be a number above 0, at most 1000000")
                continue
            }
            if let provider: ProviderID = reader.check(key, at: "\(reader.pointer)/weights/\(key)") {
                weights[provider] = weight
            }
        }
        return weights
    }

    private static func constraints(_ reader: inout FieldReader) -> [MergeRule.Constraint]? {
        guard let items = reader.items("require") else { return nil }
        return items.compactMap { item in
            guard var item else { return nil }
            let value = MergeRule.Constraint(
                output: item.string("output", required: true) ?? "", atLeast: item.number("at_least"),
                atMost: item.number("at_most"))
            item.finish()
            if value.atLeast == nil, value.atMost == nil { item.fail(nil, "needs 'at_least' or 'at_most'") }
            if let low = value.atLeast, let high = value.atMost, low > high {
                item.fail("at_least", "is above at_most (\(high)): nothing could keep both")
            }
            return value
        }
    }
}
