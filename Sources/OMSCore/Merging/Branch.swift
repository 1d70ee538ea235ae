package import OMSModel
package import OMSProtocol

/// What one asked provider brought to a run.
package struct Branch: Hashable, Sendable {
    package var provider: ProviderID
    /// In the plan's order of preference.
    package var position: Int
    package var job: JobID?
    /// nil: nothing yet, or never.
    package var state: JobState?
    package var outputs: JSONObject
    package var error: Problem?
    /// It has not ended and may still amend the result.
    package var isExpected: Bool
    /// Enough others are in: it is stopped, and not used whatever it brings.
    package var isSpare: Bool

    package init(
        provider: ProviderID, position: Int = 0, job: JobID? = nil, state: JobState? = nil,
        outputs: JSONObject = [:], error: Problem? = nil, isExpected: Bool = false,
        isSpare: Bool = false
    ) {
        self.isSpare = isSpare
        self.provider = provider
        self.position = position
        self.job = job
        self.state = state
        self.outputs = outputs
        self.error = error
        self.isExpected = isExpected
    }

    /// The content of an output: `{"value": x}` is x. nil for one that is given by reference.
    func value(_ output: String) -> JSONValue? {
        guard let found = outputs[output] else { return nil }
        if found["href"] != nil { return nil }
        return found["value"] ?? found
    }

    /// The reference of an output: `href`, `type`, `bytes`, `sha256`.
    func reference(_ output: String) -> JSONObject? {
        guard let found = outputs[output]?.objectValue, found["href"]?.stringValue != nil else { return nil }
        return found
    }
}

/// The merged outputs, and what became of each branch: every asked provider appears exactly once.
package struct Merged: Hashable, Sendable {
    package var state: RunRecord.State
    package var outputs: JSONObject
    package var providers: [ProviderContribution]
    /// Why nothing could be merged, where the reason lies between the branches.
    package var error: Problem?
}

/// What a strategy made of the succeeded branches.
struct MergeOutcome: Sendable {
    var outputs: JSONObject = [:]
    var used: Set<ProviderID> = []
    /// Branches whose outputs do not have the form that the rule needs.
    var faults: [ProviderID: Problem] = [:]
    /// There is no result, though the branches are in order.
    var failure: Problem?
}
