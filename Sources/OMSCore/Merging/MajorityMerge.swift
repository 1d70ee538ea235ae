import OMSModel

/// The value on which more than half of the votes agree. Votes weigh `weights`, 1 by default; providers that did not
/// deliver have no vote.
enum MajorityMerge {
    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let output = rule.output ?? Manifest.defaultOutput(.majority)
        var outcome = MergeOutcome()
        var votes: [JSONValue: [Branch]] = [:]
        var total = 0.0
        for branch in branches {
            // A large output votes by what it is, not by where it lies.
            guard let value = branch.value(output) ?? branch.reference(output)?["sha256"] else {
                outcome.faults[branch.provider] = Manifest.missing(output)
                continue
            }
            votes[value, default: []].append(branch)
            total += weight(branch, rule)
        }
        let counted = votes.map { value, voters in
            (value: value, voters: voters, weight: voters.reduce(0) { $0 + weight($1, rule) })
        }.sorted { ($1.weight, $0.voters[0].position) < ($0.weight, $1.voters[0].position) }
        guard let winner = counted.first else { return outcome }
        // By more than what rounding makes of weights such as 0.1 and 0.2 against 0.3.
        guard winner.weight * 2 > total * (1 + 1e-12) else {
            outcome.failure = Problem(
                .conflict,
                "no majority for output '\(output)': "
                    + counted.map { "\($0.voters.map(\.provider.text).joined(separator: "+")) \($0.weight)" }
                    .joined(separator: " against "), retryable: false)
            return outcome
        }
        outcome.used = Set(winner.voters.map(\.provider))
        outcome.outputs = winner.voters[0].outputs.filter { $0.key == output }
        outcome.outputs["votes"] = [
            "value": .array(
                counted.map { group in
                    [
                        "weight": .double(group.weight),
                        "providers": .array(group.voters.map { .string($0.provider.text) }),
                    ]
                })
        ]
        return outcome
    }

    private static func weight(_ branch: Branch, _ rule: MergeRule) -> Double { rule.weights?[branch.provider] ?? 1 }
}
