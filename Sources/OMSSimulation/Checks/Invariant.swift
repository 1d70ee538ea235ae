/// The promises (docs/internals/architecture.md), each as something that can be seen to be broken.
package enum Invariant: String, CaseIterable, Sendable {
    /// The calls of a gateway for a tenant never fall back to a lower epoch, not even after its death.
    case doorFallsBack = "P1-door"
    /// No submit or stop of a lower epoch leaves any gateway once a Work Manager of a higher one has begun.
    case oldEpochActs = "P1-epoch"
    /// Two gateways never submit to one provider at the same time.
    case twoDoors = "P1-one-door"
    /// Nothing of a lower epoch is under way to a provider when a Work Manager of a higher one has begun.
    case oldEpochArrives = "P1-flight"
    /// A Work Manager begins only after the epoch before has its end and its receipt.
    case noReceipt = "P2-receipt"
    /// It begins in the process for which its epoch was opened.
    case wrongProcess = "P2-process"
    /// A recovery needs the end of the process, not its silence.
    case livesOn = "P2-alive"
    /// A graceful receipt leaves to the next epoch only what its service lets be adopted.
    case leftBehind = "P2-drain"
    /// It begins only after every gateway that may act for the tenant refuses the epoch before.
    case notSealed = "P2-seal"
    /// Nothing of an older epoch works at a provider without being in a row or in a receipt.
    case unaccounted = "P2-jobs"
    /// A provider begins the work of a job id once (as far as its own memory reaches).
    case executedTwice = "P3"
    /// Before a submit leaves, its intent is on the gateway's disk.
    case noIntent = "P3-intent"
    /// A terminal row of a job never changes, and nobody tries to change it.
    case secondEnd = "P4-once"
    /// What the row says is what happened at the provider.
    case untrueEnd = "P4-truth"
    /// What a row does not have of what the provider said, it names.
    case cutUnmarked = "P4-whole"
    /// What a provider has executed has a row.
    case unrecorded = "P4-row"
    /// After the faults everything ends, in time.
    case neverEnds = "P4-ends"
    /// What was pruned does not come back as something to do.
    case prunedReturns = "P4-pruned"
    /// A tick ends once.
    case tickTwice = "P5-once"
    /// No tick of a schedule is without an end.
    case tickLost = "P5-hole"
    /// A result names every provider that was asked, once.
    case resultIncomplete = "P6"
    /// What does not run has a reason, and runs again when the reason is gone.
    case noReason = "P8"
    /// A process handles a bounded number of events in a second.
    case timerStorm = "bound-events"
    /// What a core says of itself between two events.
    case core = "core"
    /// What does not help is not repeated for ever: a Work Manager is not told its rows again and again.
    case repairLoop = "bound-repairs"
    /// What waits is bounded.
    case memory = "bound-memory"
    /// A core trapped. Seen by the runner only: the process is gone.
    case trap = "trap"
}

package struct Violation: Sendable, Equatable {
    package var invariant: Invariant
    package var text: String
    /// Simulated seconds.
    package var at: String
}
