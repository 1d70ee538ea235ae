import OMSModel

/// The mean of a number, or of each number of an object, weighted by `weights` (1 by default). An object's member is the
/// mean over the providers that have it.
enum MeanMerge {
    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let output = rule.output ?? Manifest.defaultOutput(.mean)
        var outcome = MergeOutcome()
        // Summed in the plan's order, so that rounding does not depend on who was first.
        var sums: [String: (weighted: Double, weight: Double)] = [:]
        var isObject: Bool?
        for branch in branches {
            guard let value = branch.value(output), let numbers = numbers(value) else {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed, "output '\(output)' is neither a number nor an object of numbers",
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
            for (name, number) in numbers {
                let sum = sums[name] ?? (0, 0)
                sums[name] = (sum.weighted + weight * number, sum.weight + weight)
            }
            outcome.used.insert(branch.provider)
        }
        guard !outcome.used.isEmpty else { return outcome }
        let means = sums.filter { $0.value.weight > 0 }.mapValues { JSONValue.double($0.weighted / $0.weight) }
        outcome.outputs = [output: ["value": isObject == true ? .object(JSONObject(means)) : means[""] ?? .null]]
        return outcome
    }

    private static func numbers(_ value: JSONValue) -> [String: Double]? {
        if let number = value.doubleValue { return ["": number] }
        guard let members = value.objectValue, !members.isEmpty else { return nil }
        let numbers = members.compactMapValues(\.doubleValue)
        return numbers.count == members.count ? numbers : nil
    }
}
