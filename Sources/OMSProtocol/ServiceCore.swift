package import OMSModel

/// The pure core of a service: what happens to it, and what it wants done. Shells and the simulation carry it.
package protocol ServiceCore: Sendable {
    associatedtype Event: Sendable
    associatedtype Effect: Sendable

    var id: NodeID { get }
    /// Counted up, or taken from the wall clock, at every start: which of two processes of one name is the newer one.
    var boot: Int64 { get }
    static var role: Role { get }
    /// First part of the CloudEvents source of its messages.
    static var source: String { get }
    /// What every connection begins with.
    var subscriptions: [Subscription] { get }
    var presenceTopic: Topic { get }

    func presence(_ state: Presence.State) -> Presence
    mutating func receive(_ event: Event, at now: Moment) -> [Effect]
    /// When `wake` is wanted (monotonic milliseconds): at most a minute ahead, because the wall clock may step.
    mutating func nextWake(at now: Moment) -> Int64
    /// - Returns: nil where it is nothing to this core.
    static func event(_ happening: BusHappening) -> Event?
}

extension ServiceCore {
    package static var source: String { role.rawValue }
}

/// What happens to every core.
package enum BusHappening: Sendable {
    /// The connection stands and all subscriptions with it.
    case connected
    case disconnected
    case received(Message)
    /// A message did not leave, and never would.
    case notSent(NotSent)
    case wake
}
