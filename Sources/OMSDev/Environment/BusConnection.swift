import Glibc
import Mosquitto
package import OMSModel
package import OMSProtocol
import OMSRuntime

/// Where the broker is and who we are to it.
package struct BusEndpoint: Sendable {
    package var host: String
    package var port: Int
    package var user: String
    package var password: String

    package init(host: String, port: Int, user: String, password: String) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
    }
}

/// A connection of a tool: decoded messages in a stream, commands out. Services have their own, with a state machine.
package final class BusConnection: Sendable {
    package enum Event: Sendable {
        case connected
        case lost(reason: String)
        case message(Message, EnvelopeHeader?)
        case unreadable(topic: String, reason: String)
        case refused(topic: String, code: Int)
    }

    package let clientID: NodeID
    /// One reader. When that reader is slower than the bus, the oldest go first.
    package let events: AsyncStream<Event>
    private let client: MQTTClient
    private let loop: EventLoop

    private init(clientID: NodeID, client: MQTTClient, loop: EventLoop, events: AsyncStream<Event>) {
        self.clientID = clientID
        self.client = client
        self.loop = loop
        self.events = events
    }

    /// Connects and subscribes.
    ///
    /// - Parameter persistent: Whether to try again until the deadline; else the first failure is thrown.
    package static func open(
        _ endpoint: BusEndpoint, clientID: NodeID = uniqueID("cli"), kinds: [TopicKind], topics: [Topic] = [],
        responses: Bool = false, persistent: Bool = false, deadline: Duration = .seconds(5)
    ) async throws -> BusConnection {
        let loop = EventLoop(name: "bus")
        let (stream, feed) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(20_000))
        let outcome = FirstOutcome()
        var configuration = MQTTConfiguration(
            host: endpoint.host, port: endpoint.port, clientID: clientID.text, username: endpoint.user,
            password: endpoint.password)
        configuration.keepAliveSeconds = BusSession.keepAliveSeconds
        configuration.sessionExpirySeconds = UInt32(BusSession.sessionExpirySeconds)
        configuration.reconnectCap = .seconds(1)
        let client = MQTTClient(loop: loop, configuration: configuration) { event in
            // On the loop's thread, one after the other.
            switch event {
            case .connected:
                outcome.settle(nil)
                feed.yield(.connected)
            case .disconnected(let reason, _):
                if !persistent || reason.hasPrefix("refused by the broker") { outcome.settle(reason) }
                feed.yield(.lost(reason: reason))
            case .messages(let messages):
                let codec = EnvelopeCodec()
                for message in messages {
                    do {
                        let (decoded, header) = try codec.decode(topic: message.topic, message.payload)
                        feed.yield(.message(decoded, header))
                    } catch {
                        feed.yield(.unreadable(topic: message.topic, reason: "\(error)"))
                    }
                }
            case .refused(let topic, let code, _): feed.yield(.refused(topic: topic, code: code))
            case .subscriptionRefused(let filter, let code): feed.yield(.refused(topic: filter, code: code))
            case .published, .subscribed, .unsubscribed: break
            }
        }
        var subscriptions = kinds.map { MQTTSubscription($0.row.filter, qos: TopicTable.subscriptionQoS($0)) }
        subscriptions += topics.map { MQTTSubscription($0.name, qos: TopicTable.subscriptionQoS($0.kind)) }
        if responses { subscriptions.append(MQTTSubscription(Topic.response(clientID).name)) }
        await client.setSubscriptions(subscriptions)
        await client.start()
        let connection = BusConnection(clientID: clientID, client: client, loop: loop, events: stream)
        if let reason = await outcome.wait(on: loop, deadline: deadline) {
            await connection.close()
            throw DevError(sentence(reason, endpoint))
        }
        return connection
    }

    /// Sends one message as its row of the topic table says, and returns when the broker has it.
    package func send(_ message: Message, id: String) async throws {
        let header = EnvelopeHeader(
            id: id, source: "cli/\(clientID.text)", time: Timestamp(milliseconds: WallClock.milliseconds))
        let row = message.topic.kind.row
        let bytes = try EnvelopeCodec().encode(message, header)
        try await client.publish(
            MQTTMessage(
                topic: message.topic.name, payload: bytes, qos: row.qos, retain: row.retain,
                messageExpiry: row.expirySeconds.map { UInt32($0) }, contentType: EnvelopeCodec.contentType),
            deadline: .seconds(5))
    }

    package func close() async {
        await client.disconnect(deadline: .seconds(1))
        let loop = loop
        // A thread cannot join itself, and a task's thread should not wait for another.
        HelperThread.run(name: "bus-close") { loop.shutdown() }
    }

    package static func uniqueID(_ prefix: String) -> NodeID {
        let random = String(UInt32.random(in: 0 ... .max), radix: 16)
        return NodeID("\(prefix)-\(getpid())-\(random)") ?? "cli"  // always a name: letters, digits and '-'
    }

    private static func sentence(_ reason: String, _ endpoint: BusEndpoint) -> String {
        let place = "the MQTT broker at \(endpoint.host):\(endpoint.port)"
        if reason.hasPrefix("refused by the broker") {
            return
                "\(place) refused the user '\(endpoint.user)' (\(reason)); check --mqtt-user and --mqtt-password-file"
        }
        return "cannot reach \(place): \(reason); is it running, and are --mqtt-host and --mqtt-port right?"
    }
}

/// The first answer to "did it work?": nil for yes, a reason for no. Later ones do not count.
private final class FirstOutcome: Sendable {
    private enum State {
        /// Can transition to `waiting`, `settled`.
        case open
        /// Can transition to `settled`.
        case waiting(CheckedContinuation<String?, Never>)
        case settled(String?)
    }

    private let state = Locked(State.open)

    func settle(_ reason: String?) {
        let waiter = state.withLock { state -> CheckedContinuation<String?, Never>? in
            switch state {
            case .open:
                state = .settled(reason)
                return nil
            case .waiting(let waiter):
                state = .settled(reason)
                return waiter
            case .settled: return nil
            }
        }
        waiter?.resume(returning: reason)
    }

    func wait(on loop: EventLoop, deadline: Duration) async -> String? {
        loop.post { loop.schedule(after: deadline) { self.settle("no answer within \(deadline)") } }
        return await withCheckedContinuation { continuation in
            let known = state.withLock { state -> String?? in
                if case .settled(let reason) = state { return .some(reason) }
                state = .waiting(continuation)
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
