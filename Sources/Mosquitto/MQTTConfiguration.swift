package struct MQTTConfiguration: Sendable {
    package struct Will: Sendable {
        package var message: MQTTMessage
        /// The broker also sends a will when the session ends, so with `sessionExpirySeconds` 0 there is no delay.
        package var delaySeconds: UInt32

        package init(_ message: MQTTMessage, delaySeconds: UInt32 = 5) {
            self.message = message
            self.delaySeconds = delaySeconds
        }
    }

    package var host: String
    package var port: Int
    /// Unique per process run: two holders of one id throw each other out for ever.
    package var clientID: String
    package var username: String?
    package var password: String?
    package var keepAliveSeconds = 10
    /// How long the broker keeps the session; 0 because the wire is volatile and durability is the application's.
    package var sessionExpirySeconds: UInt32 = 0
    package var will: Will?

    /// Unacknowledged messages at the broker. Small, because libmosquitto walks the list of them on each publish.
    package var inFlightLimit = 200
    package var queueLimitMessages = 10_000
    package var queueLimitBytes = 32 << 20
    /// Used unless the broker announces a lower limit.
    package var packetLimitBytes = 512 << 10

    /// For resolving plus connecting, again for CONNACK, and again for all SUBACKs.
    package var connectTimeout: Duration = .seconds(5)
    /// How long sent data may stay unacknowledged by the peer's TCP.
    package var userTimeout: Duration = .seconds(10)
    package var reconnectFloor: Duration = .milliseconds(50)
    package var reconnectBase: Duration = .milliseconds(100)
    package var reconnectCap: Duration = .seconds(5)

    package init(host: String, port: Int, clientID: String, username: String? = nil, password: String? = nil) {
        self.host = host
        self.port = port
        self.clientID = clientID
        self.username = username
        self.password = password
    }
}

/// Counts since the client was made.
package struct MQTTCounters: Sendable, Equatable {
    package var sent = 0
    package var acknowledged = 0
    package var refused = 0
    package var received = 0
    package var connects = 0
    package var connectionsLost = 0
    package var droppedNotConnected = 0
    package var droppedFull = 0
    package var droppedTooLarge = 0
    /// In flight or queued when a connection ended.
    package var forgotten = 0
}
