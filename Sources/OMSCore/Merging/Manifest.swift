import OMSModel

/// Large outputs stay where they are: the merged output names the parts instead of carrying them through the broker.
/// Whoever reads it combines them by the rule that stands beside them.
enum Manifest {
    /// - Returns: nil when every branch carries its output in the message.
    static func ofReferences(_ branches: [Branch], _ output: String, by rule: MergeRule) -> MergeOutcome? {
        guard branches.contains(where: { $0.reference(output) != nil }) else { return nil }
        var outcome = MergeOutcome()
        var parts: [JSONValue] = []
        for branch in branches {
            guard var part = branch.reference(output) ?? branch.value(output).map({ ["value": $0] }) else {
                outcome.faults[branch.provider] = missing(output)
                continue
            }
            part["provider"] = .string(branch.provider.text)
            parts.append(.object(part))
            outcome.used.insert(branch.provider)
        }
        outcome.outputs = [output: .object(["manifest": .array(parts), "merge": describe(rule)])]
        return outcome
    }

    /// A merged result that is too large for a message: the parts are in the jobs' own outputs (`report.job`).
    static func ofJobs(_ branches: [Branch], by rule: MergeRule) -> JSONObject {
        let parts = branches.map { branch in
            JSONValue.object([
                "provider": .string(branch.provider.text),
                "job": branch.job.map { .string("\($0)") } ?? .null,
            ])
        }
        let output = rule.output ?? defaultOutput(rule.strategy)
        return [output: .object(["manifest": .array(parts), "merge": describe(rule)])]
    }

    static func missing(_ output: String) -> Problem {
        Problem(.providerMalformed, "there is no output '\(output)' to merge", retryable: false)
    }

    static func defaultOutput(_ strategy: MergeRule.Strategy) -> String {
        strategy == .reciprocalRankFusion ? "ranking" : "records"
    }

    private static func describe(_ rule: MergeRule) -> JSONValue {
        var members: JSONObject = ["strategy": .string(rule.strategy.rawValue)]
        if let key = rule.key { members["key"] = .array(key.map { .string($0) }) }
        if let conflict = rule.conflict { members["conflict"] = .string(conflict.rawValue) }
        if let by = rule.by { members["by"] = .string(by) }
        return .object(members)
    }
}

extension Branch {
    /// The list in an output, or why there is none.
    func list(_ output: String) -> Result<[JSONValue], Problem> {
        guard let value = value(output) else { return .failure(Manifest.missing(output)) }
        guard let list = value.arrayValue else {
            return .failure(Problem(.providerMalformed, "output '\(output)' is no list", retryable: false))
        }
        return .success(list)
    }
}
