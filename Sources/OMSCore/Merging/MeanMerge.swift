import OMSModel

/// The mean of a number, or of each number of an object, weighted by `weights` (1 by default). An object's member is the
/// mean over the providers that have it.
enum MeanMerge {
    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let output = rule.output ?? Manifest.defaultOutput(.mean)
        var outcome = MergeOutcome()
        // Summed in the plan's order, so that rounding does not depend on who was first.
        var members: [JSONKey: [(number: Double, weight: Double)]] = [:]
        var isObject: Bool?
        for branch in branches {
            guard let value = branch.value(output), let numbers = numbers(value) else {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed,
                    "output '\(output)' is neither a number that can be computed with nor an object of them",
                    retryable: false)
                continue
            }
            let object = value.objectValue != nil
            guard isObject == nil || isObject == object else {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed, "output '\(output)' is a number at one provider and an object at another",
                    retryable: false)
                continue
            }
            isObject = object
            let weight = rule.weights?[branch.provider] ?? 1
            for (name, number) in numbers { members[name, default: []].append((number, weight)) }
            outcome.used.insert(branch.provider)
        }
        guard !outcome.used.isEmpty else { return outcome }
        let means = JSONObject(uniqueKeysWithValues: members.map { ($0.key.text, .double(mean($0.value))) })
        outcome.outputs = [output: ["value": isObject == true ? .object(means) : means[""] ?? .null]]
        return outcome
    }

    /// Always finite: where the sum of great numbers is not, each is divided before it is added.
    private static func mean(_ parts: [(number: Double, weight: Double)]) -> Double {
        let weight = parts.reduce(0) { $0 + $1.weight }
        let plain = parts.reduce(0) { $0 + $1.weight * $1.number } / weight
        if plain.isFinite { return plain }
        let shares = parts.reduce(0) { $0 + $1.weight / weight * $1.number }
        // Rounding may carry it past the greatest of them.
        let numbers = parts.map(\.number)
        return min(max(shares, numbers.min() ?? shares), numbers.max() ?? shares)
    }

    private static func numbers(_ value: JSONValue) -> [(name: JSONKey, number: Double)]? {
        if let number = value.doubleValue, number.isFinite { return [(JSONKey(text: ""), number)] }
        guard let members = value.objectValue, !members.isEmpty else { return nil }
        let numbers = members.compactMap { name, value in
            value.doubleValue.flatMap { $0.isFinite ? (name: JSONKey(text: name), number: $0) : nil }
        }
        return numbers.count == members.count ? numbers : nil
    }
}
