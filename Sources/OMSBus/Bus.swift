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
    private(set) package var unreadable = 0
    private(set) package var notSent = 0

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
    package func start(_ configuration: MQTTConfiguration, will: Message?, subscribe filters: [MQTTSubscription]) {
        var configuration = configuration
        if let will, let message = packet(will) { configuration.will = .init(message, delaySeconds: 0) }
        let client = MQTTClient(loop: loop, configuration: configuration) { [weak self] event in
            self?.assumeIsolated { $0.received(event) }
        }
        self.client = client
        client.assumeIsolated {
            $0.setSubscriptions(filters)
            $0.start()
        }
    }

    package func publish(_ message: Message) {
        guard let client, let packet = packet(message) else { return }
        switch client.assumeIsolated({ $0.send(packet) }) {
        case .accepted: break
        case .notConnected: notSent += 1  // the owner's resend covers it
        case .full, .tooLarge, .invalid:
            notSent += 1
            logger.warning(
                "message not sent", metadata: [LoggingKeys.topic: "\(packet.topic)", LoggingKeys.count: "\(notSent)"])
        }
    }

    package func subscribe(_ filters: [MQTTSubscription]) { client?.assumeIsolated { $0.subscribe(filters) } }
    package func unsubscribe(_ filters: [String]) { client?.assumeIsolated { $0.unsubscribe(filters) } }

    /// Sends what was accepted and a last message, then leaves.
    package func close(farewell: Message?) async {
        if let farewell { publish(farewell) }
        isLeaving = true
        await client?.disconnect()
        client = nil
    }

    private func packet(_ message: Message) -> MQTTMessage? {
        counter += 1
        let header = EnvelopeHeader(
            id: "\(boot)-\(counter)", source: source, time: Timestamp(milliseconds: WallClock.milliseconds))
        let row = message.topic.kind.row
        do {
            let bytes = try codec.encode(message, header)
            return MQTTMessage(
                topic: message.topic.name, payload: bytes, qos: row.qos, retain: row.retain,
                messageExpiry: row.expirySeconds.map(UInt32.init), contentType: EnvelopeCodec.contentType)
        } catch {
            notSent += 1
            logger.error(
                "message not encoded",
                metadata: [LoggingKeys.topic: "\(message.topic.name)", LoggingKeys.error: "\(error)"])
            return nil
        }
    }

    private func received(_ event: MQTTEvent) {
        switch event {
        case .connected:
            logger.notice("connected to the broker")
            handler(.connected)
        case .disconnected(let reason, let forgotten):
            // Who leaves does not try again, and has nothing to warn of unless something was not acknowledged.
            if !isLeaving || forgotten > 0 {
                logger.warning(
                    isLeaving ? "left the broker" : "no connection to the broker, trying again",
                    metadata: [LoggingKeys.reason: "\(reason)", LoggingKeys.count: "\(forgotten)"])
            }
            handler(.disconnected)
        case .messages(let batch):
            for message in batch { decode(message) }
        case .published, .unsubscribed: break
        case .refused(let topic, let code, _):
            logger.error(
                "the broker refused a message; check the ACL",
                metadata: [LoggingKeys.topic: "\(topic)", LoggingKeys.code: "\(code)"])
        case .subscribed(let filter): handler(.subscribed(filter))
        case .subscriptionRefused(let filter, let code):
            logger.error(
                "the broker refused a subscription; check the ACL",
                metadata: [LoggingKeys.topic: "\(filter)", LoggingKeys.code: "\(code)"])
        }
    }

    private func decode(_ packet: MQTTMessage) {
        do {
            handler(.message(try codec.decode(topic: packet.topic, packet.payload).0))
        } catch {
            unreadable += 1
            logger.warning(
                "unreadable message ignored",
                metadata: [
                    LoggingKeys.topic: "\(packet.topic)", LoggingKeys.error: "\(error)",
                    LoggingKeys.count: "\(unreadable)",
                ])
        }
    }
}

extension TopicKind {
    /// The subscription to all topics of the kind.
    package var subscription: MQTTSubscription {
        MQTTSubscription(row.filter, qos: TopicTable.subscriptionQoS(self))
    }
}

extension Topic {
    /// The subscription to this one topic.
    package var subscription: MQTTSubscription {
        MQTTSubscription(name, qos: TopicTable.subscriptionQoS(kind))
    }
}
