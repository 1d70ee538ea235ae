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
            for (index, part) in [control, treatment].enumerated() {
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
        guard let trials = value?[rule.trials ?? "n"]?.intValue, trials >= 0, trials < 1 << 52,
            let successes = value?[rule.successes ?? "clicks"]?.intValue, (0...trials).contains(successes)
        else { return nil }
        return Proportion(trials: Int(trials), successes: Int(successes))
    }

    private static func outputs(
        _ comparison: ProportionComparison, _ names: [String], _ rule: MergeRule, parts: Int
    ) -> JSONObject {
        let alpha = rule.alpha ?? 0.05
        let z = Normal.quantile(1 - alpha / 2)
        let p = comparison.pValue
        let verdict =
            p >= alpha ? "no-difference-shown" : comparison.difference > 0 ? "treatment-better" : "control-better"
        func arm(_ arm: Proportion) -> JSONValue {
            let members: JSONValue = [
                rule.trials ?? "n": .int(Int64(arm.trials)), rule.successes ?? "clicks": .int(Int64(arm.successes)),
                "rate": .double(arm.rate), "interval": interval(arm.wilson(z: z)),
            ]
            return ["value": members]
        }
        return [
            names[0]: arm(comparison.control), names[1]: arm(comparison.treatment),
            "difference": ["value": .double(comparison.difference)],
            "difference_interval": ["value": interval(comparison.newcombe(z: z))],
            "z": ["value": comparison.z.map { .double($0) } ?? .null], "p_value": ["value": .double(p)],
            "alpha": ["value": .double(alpha)], "verdict": ["value": .string(verdict)],
            "parts": ["value": .int(Int64(parts))],
        ]
    }

    private static func interval(_ range: ClosedRange<Double>) -> JSONValue {
        [.double(range.lowerBound), .double(range.upperBound)]
    }
}
