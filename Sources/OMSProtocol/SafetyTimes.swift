/// Times on which a promise rests, in milliseconds. None of them is right by itself: each must be longer or shorter than
/// others, and `SafetyTimesTests` holds these relations. What only decides how fast something is stands where it is used.
///
/// The story that binds them (P1, one gateway acts for a provider): a gateway that is cut off from the broker notices within
/// two keep-alives and begins nothing more; what it had decided just before is dropped once it is `decision` old; what it had
/// sent ends within `call`; after `gatewayGivesUp` it has given up its providers. Only then, after `gatewayIsGone`, does the
/// registry give them to another one.
package enum SafetyTimes {
    /// MQTT keep-alive of every client. The broker ends a session that was silent for one and a half of it; the client
    /// notices a dead link within two.
    package static let keepAliveMilliseconds: Int64 = 10_000
    /// A request to a provider is given up after this.
    package static let callMilliseconds: Int64 = 10_000
    /// A decision to act at a provider that is older is not carried out: the process was stopped or its disk was slow.
    package static let decisionMilliseconds: Int64 = 10_000
    /// A gateway without the broker, or one that was stopped, gives its providers up after this.
    package static let gatewayGivesUpMilliseconds: Int64 = 20_000
    /// The registry treats a gateway that was lost as one that no longer acts.
    package static let gatewayIsGoneMilliseconds: Int64 = 45_000
    /// After a stop of the process, everything that waited in the connection has been read by then.
    package static let stopIsOverMilliseconds: Int64 = 15_000

    /// How long before the end of its database session a registry that has heard nothing gives no orders any more: for a
    /// message that was decided just before, and for clocks that do not run alike.
    /// - Parameter session: after which PostgreSQL ends a silent session.
    package static func trustMargin(session: Int64) -> Int64 { max(1_000, session / 5) }
}
