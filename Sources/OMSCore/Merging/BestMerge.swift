import OMSModel

/// All outputs of the provider whose objective is best among those that keep every constraint; equal ones by the plan's
/// order.
enum BestMerge {
    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let objective = rule.objective ?? ""
        let constraints = rule.require ?? []
        var outcome = MergeOutcome()
        var best: (branch: Branch, value: JSONValue)?
        var refused: [String] = []
        for branch in branches {
            guard let value = branch.value(objective), value.doubleValue?.isFinite == true else {
                outcome.faults[branch.provider] = Problem(
                    .providerMalformed, "output '\(objective)' (merge.objective) is no number", retryable: false)
                continue
            }
            var broken: String?
            for constraint in constraints where broken == nil {
                guard let bound = branch.value(constraint.output)?.doubleValue, bound.isFinite else {
                    outcome.faults[branch.provider] = Problem(
                        .providerMalformed, "output '\(constraint.output)' (merge.require) is no number",
                        retryable: false)
                    broken = ""
                    continue
                }
                if bound < constraint.atLeast ?? -.infinity || bound > constraint.atMost ?? .infinity {
                    broken = "\(branch.provider): \(constraint.output) is \(bound)"
                }
            }
            if let broken {
                if !broken.isEmpty { refused.append(broken) }
                continue
            }
            let isBetter =
                best.map {
                    rule.goal == .minimise ? MergeOrder.isLess(value, $0.value) : MergeOrder.isLess($0.value, value)
                }
                ?? true
            if isBetter { best = (branch, value) }
        }
        if let best {
            outcome.outputs = best.branch.outputs
            outcome.used = [best.branch.provider]
        } else if !refused.isEmpty {
            outcome.failure = Problem(
                .conflict, "no provider keeps the constraints: \(refused.joined(separator: "; "))", retryable: false)
        }
        return outcome
    }
}
