package import Logging
package import Mosquitto
import OMSModel
package import OMSProtocol
package import OMSRuntime

package enum BusEvent: Sendable {
    /// All subscriptions stand. Whoever owns retained state publishes it now.
    case connected
    case disconnected
    case message(Message)
    /// A filter asked for by `subscribe` stands.
    case subscribed(String)
    /// The broker does not let us hear a filter asked for by `subscribe`; it is asked again with the next connection.
    case subscriptionRefused(String, why: String)
}

/// What is counted of a bus since its start.
package struct BusCounters: Sendable, Equatable {
    /// Messages that nobody could read, and retained ones where nothing is retained.
    package var unreadable = 0
    package var stray = 0
    /// By size or by content, by a full queue, or without a connection.
    package var notSent = 0
    /// By the broker, after they were sent.
    package var refused = 0
}

/// The bus as a service sees it: typed messages instead of bytes. Lives on the service's loop, so that a message goes
/// from the socket through the core and back without a thread switch.
package actor Bus {
    package nonisolated let loop: EventLoop
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    private let logger: Logger
    private let codec = EnvelopeCodec()
    private let source: String
    private let handler: @Sendable (BusEvent) -> Void
    private let boot: Int64
    private var counter = 0
    private var client: MQTTClient?
    private var isLeaving = false
    private var isConnected = false
    private var throttle = LogThrottle()
    private(set) package var counters = BusCounters()

    /// - Parameters:
    ///   - source: `gateway/g1`, the CloudEvents source.
    ///   - handler: called on the loop's thread; it may call back into this bus.
    package init(
        loop: EventLoop, source: String, boot: Int64, logger: Logger, handler: @escaping @Sendable (BusEvent) -> Void
    ) {
        self.loop = loop
        self.source = source
        self.boot = boot
        self.logger = logger
        self.handler = handler
    }

    /// - Parameter will: published by the broker when this process vanishes.
    package func start(_ configuration: MQTTConfiguration, will: Message?, subscribe subscriptions: [Subscription]) {
        var configuration = configuration
        if let will, case .success(let message) = packet(will) {
            configuration.will = .init(message, delaySeconds: 0)
        }
        let client = MQTTClient(loop: loop, configuration: configuration) { [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        self.client = client
        client.assumeIsolated {
            $0.setSubscriptions(subscriptions.map(MQTTSubscription.init))
            $0.start()
        }
    }

    /// Hands a message over.
    /// - Returns: what is to be told to whoever wanted it sent: it would be refused each time. What is lost for want of a
    ///   connection or of room is sent again by its owner.
    package func publish(_ message: Message) -> NotSent? {
        guard let client else { return nil }
        let encoded: MQTTMessage
        switch packet(message) {
        case .success(let packet): encoded = packet
        case .failure(let refusal): return tell(NotSent(message, refusal.reason))
        }
        switch client.assumeIsolated({ $0.send(encoded) }) {
        case .accepted: return nil
        case .notConnected:
            counters.notSent += 1
            return nil
        case .tooLarge(let bytes, let limit):
            // The packet holds the topic and some properties besides.
            let other = bytes - encoded.payload.count
            return tell(
                NotSent(
                    message, .tooLarge(bytes: encoded.payload.count, limit: min(EnvelopeCodec.maxBytes, limit - other)))
            )
        case .full: warn("queue", message, "too many messages wait for the broker")
        case .invalid(let reason): warn("invalid", message, reason)
        }
        counters.notSent += 1
        return nil
    }

    private func tell(_ refusal: NotSent) -> NotSent {
        counters.notSent += 1
        warn("size", refusal.message, refusal.text)
        return refusal
    }

    private func warn(_ kind: String, _ message: Message, _ reason: String) {
        say("not-sent/\(kind)/\(message.topic.kind.rawValue)", .warning, "message not sent", message.topic.name, reason)
    }

    /// One line a minute for each kind of trouble; the count says how many there were.
    private func say(_ kind: String, _ level: Logger.Level, _ text: Logger.Message, _ topic: String, _ reason: String) {
        guard let count = throttle.admit(kind, at: MonotonicClock.milliseconds) else { return }
        logger.log(
            level: level, text,
            metadata: [
                LoggingKeys.topic: "\(topic)", LoggingKeys.reason: "\(reason)", LoggingKeys.count: "\(count)",
            ])
    }

    package func subscribe(_ subscriptions: [Subscription]) {
        client?.assumeIsolated { $0.subscribe(subscriptions.map(MQTTSubscription.init)) }
    }
    package func unsubscribe(_ subscriptions: [Subscription]) {
        client?.assumeIsolated { $0.unsubscribe(subscriptions.map(\.filter)) }
    }

    /// Sends what was accepted and a last message, then leaves.
    package func close(farewell: Message?) async {
        if let farewell { _ = publish(farewell) }
        isLeaving = true
        await client?.disconnect()
        client = nil
    }

    private struct Refusal: Error { var reason: NotSent.Reason }

    private func packet(_ message: Message) -> Result<MQTTMessage, Refusal> {
        counter += 1
        let header = EnvelopeHeader(
            id: "\(boot)-\(counter)", source: source, time: Timestamp(milliseconds: WallClock.milliseconds))
        let row = message.topic.kind.row
        do {
            let bytes = try codec.encode(message, header)
            return .success(
                MQTTMessage(
                    topic: message.topic.name, payload: bytes, qos: row.qos, retain: row.retain,
                    messageExpiry: row.expirySeconds.map(UInt32.init), contentType: EnvelopeCodec.contentType))
        } catch {
            if let bytes = error.bytes {
                return .failure(Refusal(reason: .tooLarge(bytes: bytes, limit: EnvelopeCodec.maxBytes)))
            }
            return .failure(Refusal(reason: .notEncodable(error.detail)))
        }
    }

    private func received(_ event: MQTTEvent) {
        switch event {
        case .connected:
            isConnected = true
            logger.notice("connected to the broker")
            handler(.connected)
        case .disconnected(let reason, let forgotten):
            // Who leaves does not try again, and has nothing to warn of unless something was not acknowledged.
            if isLeaving, forgotten > 0 {
                logger.warning(
                    "left the broker",
                    metadata: [LoggingKeys.reason: "\(reason)", LoggingKeys.count: "\(forgotten)"])
            } else if !isLeaving, let count = attempts(reason) {
                logger.warning(
                    "no connection to the broker, trying again",
                    metadata: [
                        LoggingKeys.reason: "\(reason)", LoggingKeys.attempt: "\(count)",
                        LoggingKeys.count: "\(forgotten)",
                    ])
            }
            handler(.disconnected)
        case .messages(let batch):
            for message in batch { decode(message) }
        case .published, .unsubscribed: break
        case .refused(let topic, let code, _):
            counters.refused += 1
            let kind = Topic(topic)?.kind.rawValue ?? "other"
            say(
                "refused/\(kind)/\(code)", .error, "the broker refused a message; check the ACL", topic,
                "reason code \(code)")
        case .subscribed(let filter): handler(.subscribed(filter))
        case .subscriptionRefused(let filter, let code):
            say(
                "deaf/\(filter)", .error, "the broker refused a subscription; check the ACL", filter,
                "reason code \(code)")
            handler(
                .subscriptionRefused(filter, why: "the broker refused the subscription to \(filter) (code \(code))"))
        }
    }

    /// That a connection is lost is always said, that it does not come back once a minute.
    private func attempts(_ reason: String) -> Int? {
        defer { isConnected = false }
        let count = throttle.admit("connection/\(reason)", at: MonotonicClock.milliseconds)
        return isConnected ? count ?? 1 : count
    }

    private func decode(_ packet: MQTTMessage) {
        do {
            let message = try codec.decode(topic: packet.topic, packet.payload).0
            let row = message.topic.kind.row
            // As the broker forwards what it has just got, the flag is off: a command that is kept would be carried out
            // with each new connection.
            guard row.retain || !packet.retain else {
                counters.stray += 1
                return say(
                    "stray/\(row.kind.rawValue)", .warning,
                    "retained message ignored: nothing is retained on this topic", packet.topic,
                    "somebody with the right to write there published it with the retain flag; an empty one removes it")
            }
            handler(.message(message))
        } catch {
            counters.unreadable += 1
            let kind = Topic(packet.topic)?.kind.rawValue ?? "other"
            say("unreadable/\(kind)", .warning, "unreadable message ignored", packet.topic, "\(error)")
        }
    }
}

extension MQTTSubscription {
    package init(_ subscription: Subscription) {
        self.init(
            subscription.filter, qos: TopicTable.subscriptionQoS(subscription.kind),
            noLocal: subscription.isOfOwnState)
    }
}
