import OMSProtocol

/// An MQTT broker with clean sessions: subscriptions live as long as a connection, retained messages as long as the
/// broker. It keeps order only per publisher and topic within one connection, and a connection may be half-open: one
/// side believes in it, the other does not.
struct SimBroker {
    struct Connection {
        let node: Int
        let will: Message
        var filters: [Subscription] = []
        /// The broker holds the session.
        var isAtBroker = true
        /// The client believes in it.
        var isAtClient = true
        /// Packets on the way to the broker keep their order: one TCP stream.
        var upFree: SimTime = 0
        /// Per publisher and topic the time of the last delivery.
        var lanes: [Lane: SimTime] = [:]
        /// What waits for a partition to heal.
        var heldUp: [Message] = []
        var heldDown: [Message] = []
        var queued = 0
    }

    struct Lane: Hashable {
        var publisher: Int
        var topic: Topic
    }

    private(set) var retained: [(topic: Topic, message: Message)] = []
    private var position: [Topic: Int] = [:]
    var connections: [Connection] = []
    /// Indices of the sessions that the broker holds, ascending.
    var sessions: [Int] = []
    var isUp = true
    /// Of a message, in bytes (`max_packet_size`); nil: more than OMS sends.
    var messageLimit: Int?
    /// QoS 1 messages that one session may have waiting; more are dropped without a word.
    var maxQueued = 1_000

    mutating func open(node: Int, will: Message) -> Int {
        connections.append(Connection(node: node, will: will))
        sessions.append(connections.count - 1)
        return connections.count - 1
    }

    /// - Returns: the will, if the broker held the session.
    mutating func drop(_ connection: Int) -> Message? {
        guard connections[connection].isAtBroker else { return nil }
        connections[connection].isAtBroker = false
        connections[connection].filters = []
        sessions.removeAll { $0 == connection }
        return connections[connection].will
    }

    /// kill -9 and a start with empty state.
    mutating func forget() -> [Int] {
        let dropped = sessions
        for connection in dropped { _ = drop(connection) }
        retained = []
        position = [:]
        return dropped
    }

    mutating func retain(_ message: Message) {
        guard message.topic.kind.row.retain else { return }
        if let known = position[message.topic] {
            retained[known].message = message
        } else {
            position[message.topic] = retained.count
            retained.append((message.topic, message))
        }
    }

    /// Retained messages of a new subscription, in order of their first appearance.
    func retained(for filters: [Subscription]) -> [Message] {
        retained.compactMap { entry in
            if case .removed = entry.message.payload { return nil }
            return filters.contains { $0.matches(entry.topic) } ? entry.message : nil
        }
    }

    func subscribers(of topic: Topic) -> [Int] {
        sessions.filter { connections[$0].filters.contains { $0.matches(topic) } }
    }
}
