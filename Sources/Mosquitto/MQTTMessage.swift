/// One application message, in either direction.
package struct MQTTMessage: Sendable, Hashable {
    package var topic: String
    package var payload: [UInt8]
    /// 0 or 1. QoS 2 is not offered: it loses more than QoS 1 when a process dies inside a handler.
    package var qos: Int
    package var retain: Bool
    /// Seconds after which the broker throws the message away.
    package var messageExpiry: UInt32?
    package var contentType: String?
    package var responseTopic: String?
    package var correlationData: [UInt8]?

    package init(
        topic: String, payload: [UInt8], qos: Int = 1, retain: Bool = false, messageExpiry: UInt32? = nil,
        contentType: String? = nil, responseTopic: String? = nil, correlationData: [UInt8]? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.messageExpiry = messageExpiry
        self.contentType = contentType
        self.responseTopic = responseTopic
        self.correlationData = correlationData
    }

    /// An upper bound of what the PUBLISH packet needs.
    var packetBytes: Int {
        topic.utf8.count + payload.count + (contentType?.utf8.count ?? 0) + (responseTopic?.utf8.count ?? 0)
            + (correlationData?.count ?? 0) + 32  // fixed header, lengths and identifiers
    }
}

/// One entry of a SUBSCRIBE packet.
package struct MQTTSubscription: Sendable, Hashable {
    /// When the broker sends the retained messages of a filter.
    package enum RetainHandling: Int32, Sendable {
        case always = 0x00
        case ifNew = 0x10
        case never = 0x20
    }

    package var filter: String
    package var qos: Int
    /// Do not send me what I published myself.
    package var noLocal: Bool
    package var retainHandling: RetainHandling

    package init(_ filter: String, qos: Int = 1, noLocal: Bool = false, retainHandling: RetainHandling = .always) {
        self.filter = filter
        self.qos = qos
        self.noLocal = noLocal
        self.retainHandling = retainHandling
    }
}

/// What happened, always reported on the loop's thread and in order.
package enum MQTTEvent: Sendable {
    /// Connected, and the broker has answered all subscriptions. Retained messages may have arrived just before.
    case connected
    /// The connection, or an attempt at one, ended; the client goes on trying by itself.
    ///
    /// Messages sent and not reported as `published` are forgotten here, `forgotten` of them; whether they arrived is
    /// unknown.
    case disconnected(reason: String, forgotten: Int)
    case messages([MQTTMessage])
    /// The broker has taken the message that was sent with this token.
    case published(token: UInt64)
    /// The broker refused a message: a reason code of 0x80 or above, such as 0x87 "not authorised".
    case refused(topic: String, code: Int, token: UInt64?)
    case subscribed(filter: String)
    /// One of those that may be missing: without one of `setSubscriptions` there is no `connected`, but `disconnected`.
    case subscriptionRefused(filter: String, code: Int)
    case unsubscribed(filter: String)
}

/// What a broker says of itself when it accepts a connection.
package struct MQTTBrokerLimits: Sendable, Equatable {
    /// nil: none.
    package var maximumPacketBytes: Int?
    /// Unacknowledged messages that it takes from one client.
    package var receiveMaximum = 65_535
    package var maximumQoS = 2
    package var retains = true
    package var takesWildcards = true

    /// What OMS cannot do without, in the order of the standard; nil: nothing is missing.
    var missing: String? {
        if maximumQoS < 1 { return "QoS 1 (it offers QoS 0 only)" }
        if !retains { return "retained messages" }
        if !takesWildcards { return "subscriptions with wildcards" }
        if receiveMaximum < 1 { return "a receive maximum above 0" }
        return nil
    }
}

/// What became of a message given to `MQTTClient.send`.
package enum MQTTSendResult: Sendable, Equatable {
    case accepted
    /// Nothing is kept for later: whoever owns the message sends it again after `connected`.
    case notConnected
    /// The bounded queue is full.
    case full
    /// - Parameters:
    ///   - bytes: of its packet, at most.
    ///   - limit: the smaller one of the broker's maximum packet size and our own.
    case tooLarge(bytes: Int, limit: Int)
    /// The topic or a property is not valid MQTT.
    case invalid(reason: String)
}

package struct MQTTError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        case notConnected
        case connectionLost
        case refused(code: Int)
        case full
        case tooLarge
        case invalid
        case timeout
        case closed
    }

    package var code: Code
    package var message: String

    /// Whether the same call may succeed later without a change.
    package var isRetriable: Bool {
        switch code {
        case .notConnected, .connectionLost, .full, .timeout: true
        case .refused, .tooLarge, .invalid, .closed: false
        }
    }

    package var description: String { "mqtt \(code): \(message)" }
}
