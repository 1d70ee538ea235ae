import OMSModel

/// An A/B test whose samples lie at several providers: their counts are added up, and the test is made on the sums
/// (pooled two-proportion z-test; Wilson's and Newcombe's intervals). The samples must not overlap, and each provider must
/// have split its own at random: adding up cannot mend a split that went by provider (Simpson's paradox).
enum PooledProportions {
    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let names = [rule.control ?? "control", rule.treatment ?? "treatment"]
        var sums = [Proportion(trials: 0, successes: 0), Proportion(trials: 0, successes: 0)]
        var outcome = MergeOutcome()
        for branch in branches {
            let arms = names.map { arm(branch.value($0), rule) }
            guard let control = arms[0], let treatment = arms[1] else {
                let name = arms[0] == nil ? names[0] : names[1]
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed,
                    "output '\(name)' has no counts '\(rule.trials ?? "n")' and '\(rule.successes ?? "clicks")' with "
                        + "0 <= successes <= trials", retryable: false)
                continue
            }
            let parts = [control, treatment]
            guard zip(sums, parts).allSatisfy({ $0.trials + $1.trials <= maxTrials }) else {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed, "its counts and those of the providers before it are more than 2^53 together",
                    retryable: false)
                continue
            }
            for (index, part) in parts.enumerated() {
                sums[index].trials += part.trials
                sums[index].successes += part.successes
            }
            outcome.used.insert(branch.provider)
        }
        if !outcome.used.isEmpty {
            outcome.outputs = outputs(
                ProportionComparison(control: sums[0], treatment: sums[1]), names, rule, parts: outcome.used.count)
        }
        return outcome
    }

    private static func arm(_ value: JSONValue?, _ rule: MergeRule) -> Proportion? {
        guard let trials = value?[rule.trials ?? "n"]?.intValue, (0...Int64(maxTrials)).contains(trials),
            let successes = value?[rule.successes ?? "clicks"]?.intValue, (0...trials).contains(successes)
        else { return nil }
        return Proportion(trials: Int(trials), successes: Int(successes))
    }

    /// Every count up to here is a Double of its own.
    private static let maxTrials = 1 << 53
    /// A split that differs from the declared one by chance more rarely than this is broken.
    private static let brokenSplit = 0.001

    /// The outputs that it makes itself: no arm can have their names.
    static let reserved: Set<String> = [
        "difference", "difference_interval", "z", "p_value", "alpha", "verdict", "parts", "split_p_value", "warnings",
    ]

    private static func outputs(
        _ comparison: ProportionComparison, _ names: [String], _ rule: MergeRule, parts: Int
    ) -> JSONObject {
        let alpha = rule.alpha ?? 0.05
        let z = Normal.quantile(1 - alpha / 2)
        let p = comparison.pValue
        // An arm that nobody saw has no rate, and there is nothing to compare it with.
        let hasData = comparison.control.trials > 0 && comparison.treatment.trials > 0
        let verdict =
            !hasData
            ? "no-data"
            : p >= alpha ? "no-difference-shown" : comparison.difference > 0 ? "treatment-better" : "control-better"
        func arm(_ arm: Proportion) -> JSONValue {
            let members: JSONValue = [
                rule.trials ?? "n": .int(Int64(arm.trials)), rule.successes ?? "clicks": .int(Int64(arm.successes)),
                "rate": arm.trials > 0 ? .double(arm.rate) : .null, "interval": interval(arm.wilson(z: z)),
            ]
            return ["value": members]
        }
        var outputs: JSONObject = [
            "difference": ["value": hasData ? .double(comparison.difference) : .null],
            "difference_interval": ["value": hasData ? interval(comparison.newcombe(z: z)) : .null],
            "z": ["value": comparison.z.map { .double($0) } ?? .null], "p_value": ["value": .double(p)],
            "alpha": ["value": .double(alpha)], "verdict": ["value": .string(verdict)],
            "parts": ["value": .int(Int64(parts))],
        ]
        let share = rule.split ?? 0.5
        let splitP = comparison.splitPValue(share: share)
        outputs["split_p_value"] = ["value": .double(splitP)]
        if splitP < brokenSplit {
            let total = comparison.control.trials + comparison.treatment.trials
            outputs["warnings"] = [
                "value": [
                    .string(
                        "the split is broken: \(comparison.treatment.trials) of \(total) trials are of '\(names[1])', where "
                            + "\(share * 100) % were meant (p = \(splitP)); whatever drew some of them away may have made the "
                            + "difference too. If another share was meant, say so with merge.split")
                ]
            ]
        }
        for (name, value) in zip(names, [comparison.control, comparison.treatment]) where outputs[name] == nil {
            outputs[name] = arm(value)
        }
        return outputs
    }

    private static func interval(_ range: ClosedRange<Double>) -> JSONValue {
        [.double(range.lowerBound), .double(range.upperBound)]
    }
}
