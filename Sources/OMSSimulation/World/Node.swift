import OMSCore
import OMSModel
import OMSProtocol

/// One simulated operating-system process with its core, and what of its machine survives it.
final class Node {
    let index: Int
    let role: Role
    let id: NodeID

    // The core of the running process; nil while there is none.
    var registry: Registry?
    var fleet: Fleet?
    var gateway: Gateway?

    /// Counted up at every start.
    var incarnation = 0
    var boot: Int64 = 0
    var isAlive = false
    /// SIGSTOP: nothing is handled; what arrives waits in the socket.
    var isPaused = false
    var inbox: [Input] = []

    /// The connection that the client believes in.
    var connection: Int?
    var connectAttempts = 0
    /// What it has subscribed to, brought back at every connect.
    var filters: [Subscription] = []
    /// Cut off from the broker until then.
    var partitionedUntil: SimTime = 0

    /// When the core wants to be woken, and the earliest wake that is scheduled (monotonic milliseconds).
    var wanted: Int64 = .max
    var scheduled: Int64 = .max
    /// How far the machine's wall clock is off.
    var wallOffset: Int64 = 0

    /// After so many more effects the process is killed or stopped: between two effects of one batch.
    var fuse: (effects: Int, fault: Int)?

    // Gateway
    var attached: Set<ProviderID> = []
    var ledger = SimLedger()
    var ledgerQueue: [LedgerWrite] = []
    var gate = EffectGate()
    var ledgerFailsUntil: SimTime = 0
    var ledgerSlowUntil: SimTime = 0

    // Registry
    var storeFree: SimTime = 0
    /// The last try for a session found another registry active.
    var isStandby = false
    /// `Store.term`; 0: none.
    var term = 0
    /// `Store.Term.mark`.
    var mark = 0
    /// Only for the mutant that hides what the database has lost.
    var acknowledged: [SimDatabase.EpochKey: Int] = [:]
    var repliesFree: SimTime = 0
    var storeRetryAt: SimTime = 0
    /// Requests at the database that are not answered yet.
    var storeOpen = 0

    // Figures for the bounds
    var eventsInSecond = 0
    var second: Int64 = 0

    init(index: Int, role: Role, id: NodeID) {
        self.index = index
        self.role = role
        self.id = id
    }

    struct LedgerWrite {
        var entries: [LedgerEntry]
        /// The ticket of the gate that waits for it.
        var ticket: Int?
    }

    /// What a process handles, one after the other.
    enum Input {
        case connected
        case disconnected
        case message(Message)
        case subscribed(TenantID)
        case stored(ticket: Int, StoreReply)
        case answer(call: Int, latency: Int, ProviderAnswer)
        case recorded(ticket: Int, failure: String?)
        case unrecorded([LedgerEntry])
        case notSent(NotSent)
        case wake
        // What a stop interrupted.
        case rest([Registry.Effect])
        case restOfFleet([Fleet.Effect])
        case restOfGateway(EffectGate.Batch)
    }

    func isPartitioned(at now: SimTime) -> Bool { partitionedUntil > now }
}
