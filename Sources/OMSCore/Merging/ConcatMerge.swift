import OMSModel

/// Lists one after the other, in the plan's order; `top` cuts.
enum ConcatMerge {
    static func merge(_ branches: [Branch], by rule: MergeRule) -> MergeOutcome {
        let output = rule.output ?? Manifest.defaultOutput(.concat)
        if let manifest = Manifest.ofReferences(branches, output, by: rule) { return manifest }
        var outcome = MergeOutcome()
        var merged: [JSONValue] = []
        for branch in branches {
            switch branch.list(output) {
            case .success(let list):
                merged += list
                outcome.used.insert(branch.provider)
            case .failure(let problem): outcome.faults[branch.provider] = problem
            }
        }
        if let top = rule.top { merged = Array(merged.prefix(top)) }
        if !outcome.used.isEmpty { outcome.outputs = [output: ["value": .array(merged)]] }
        return outcome
    }
}
