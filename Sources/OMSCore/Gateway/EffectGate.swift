import OMSProtocol

/// Intent before effect: what the gateway decided leaves it in the order in which it was decided, and nothing leaves before
/// what must be in the ledger is there (promises P1 and P3). A pure value: the shell and the simulation write what it asks
/// for, and carry out what it releases.
package struct EffectGate: Sendable {
    /// What it watches over. Only the mutants of the simulation leave any of it out.
    package enum Rule: Hashable, Sendable, CaseIterable {
        /// Effects wait until the entries that were decided with them, or before them, are on disk.
        case waitsForLedger
        /// What is not on disk is not promised to anybody.
        case promisesOnlyWritten
        /// A decision to act at a provider that is too old is not carried out any more.
        case dropsStaleDecisions
    }

    /// Effects that may be carried out now, one after the other.
    package struct Batch: Sendable {
        private var effects: ArraySlice<Gateway.Effect>
        fileprivate var isReady: Bool
        /// Why what belongs to it could not be written.
        fileprivate var failure: String?
        /// When the core decided so (monotonic, in milliseconds).
        private let decided: Int64
        private let rules: Set<Rule>
        private let entries: [LedgerEntry]

        fileprivate init(
            _ effects: [Gateway.Effect], _ entries: [LedgerEntry], isReady: Bool, at now: Int64, _ rules: Set<Rule>
        ) {
            self.effects = effects[...]
            self.entries = entries
            self.isReady = isReady
            self.rules = rules
            decided = now
        }

        package enum Step: Sendable {
            case perform(Gateway.Effect)
            /// Not sent to the provider; the core is answered so.
            case refuse(ProviderCall, why: String)
            /// Written already, or not to be promised.
            case skip
        }

        /// - Parameter now: monotonic, in milliseconds.
        /// - Returns: nil when nothing is left.
        package mutating func next(at now: Int64) -> Step? {
            guard let effect = effects.popFirst() else { return nil }
            switch effect {
            case .record: return .skip
            case .publish:
                // Whoever asked asks again.
                return failure != nil && rules.contains(.promisesOnlyWritten) ? .skip : .perform(effect)
            case .call(let call):
                if let failure, call.kind.isSubmit { return .refuse(call, why: failure) }
                guard call.kind.acts, rules.contains(.dropsStaleDecisions),
                    now - decided > SafetyTimes.decisionMilliseconds
                else { return .perform(effect) }
                return .refuse(call, why: "decided too long ago: this process was stopped")
            case .subscribe, .unsubscribe, .superseded, .report: return .perform(effect)
            }
        }

        /// What the core is to be told when all is carried out: these entries are not on disk.
        package var unrecorded: [LedgerEntry]? { failure == nil ? nil : entries }
    }

    /// What follows from a decision.
    package struct Admission: Sendable {
        /// To be written, in this order.
        package var entries: [LedgerEntry] = []
        /// Nobody waits for them if nil; else `written` is to be called with it.
        package var ticket: Int?
        package var batch: Batch?
    }

    private let rules: Set<Rule>
    private var held: [Batch] = []
    /// Ticket of the first one in `held`.
    private var first = 0

    package init(without left: Set<Rule> = []) { rules = Set(Rule.allCases).subtracting(left) }

    /// Takes what the core has just decided.
    /// - Parameter now: monotonic, in milliseconds.
    package mutating func admit(_ effects: [Gateway.Effect], at now: Int64) -> Admission {
        let entries = effects.compactMap { if case .record(let entry) = $0 { entry } else { nil } }
        let isBlocking = rules.contains(.waitsForLedger) && entries.contains { $0.isBlocking }
        let batch = Batch(effects, entries, isReady: !isBlocking, at: now, rules)
        // All that comes after a batch that waits, waits with it.
        if !isBlocking, held.isEmpty { return Admission(entries: entries, batch: batch) }
        held.append(batch)
        return Admission(entries: entries, ticket: isBlocking ? first + held.count - 1 : nil)
    }

    /// The entries of a ticket are on disk, or cannot be written.
    package mutating func written(_ ticket: Int, failure: String?) {
        let index = ticket - first
        guard held.indices.contains(index) else { return }
        held[index].isReady = true
        guard let failure else { return }
        // What came after may rest on it: a repeated fence is confirmed because the first one is being written.
        for later in index..<held.count { held[later].failure = failure }
    }

    /// The next batch that waits for nothing any more; to be asked until it is nil.
    package mutating func release() -> Batch? {
        guard let batch = held.first, batch.isReady else { return nil }
        held.removeFirst()
        first += 1
        return batch
    }
}
