import OMSCore
import OMSModel
import OMSProtocol

/// Everything that can be scheduled. Actions of a process carry its incarnation: what was under way when it died does
/// not reach its successor.
enum Action {
    // The wire
    case connect(Int, incarnation: Int)
    /// The broker has the client's standing subscriptions.
    case subscribed(connection: Int)
    /// The client knows that they stand.
    case connected(connection: Int)
    case subscribe(connection: Int, [Subscription], TenantID?)
    case tenantSubscribed(connection: Int, TenantID)
    case unsubscribe(connection: Int, [Subscription])
    /// Without a message: DISCONNECT.
    case toBroker(connection: Int, Message?)
    case toClient(connection: Int, Message)
    /// The broker ends a session: because it saw the connection break, or because it has not heard of the client for
    /// too long (`onlyIfSilent`).
    case brokerDrops(connection: Int, onlyIfSilent: Bool)
    /// The client finds out that its connection is dead.
    case clientNotices(connection: Int)

    // Processes
    case wake(Int, incarnation: Int, at: Int64)
    case refused(Int, incarnation: Int, NotSent)
    case start(Int)
    case resume(Int)

    // Providers and the ledger
    case call(Int, incarnation: Int, ProviderCall)
    case answer(Int, incarnation: Int, call: Int, latency: Int, ProviderAnswer)
    case ledger(Int, incarnation: Int)

    // The database
    case store(Int, incarnation: Int, ticket: Int, StoreRequest)
    case stored(Int, incarnation: Int, ticket: Int, StoreReply)

    // People and faults
    case operatorAsks
    case fault(Int)
    case faultEnds(Int)
    case heal(Int)
    case calm
    case audit
    case end
}
