import Glibc
import Logging
import OMSBus
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

@testable import Mosquitto

/// What brokers refuse, and what they say of themselves.
@Suite("Brokers that refuse", .serialized, .timeLimit(.minutes(1)))
struct BrokerLimitTests {
    private struct Run {
        let loop = EventLoop(name: "test")
        let client: MQTTClient
        let events = Locked([MQTTEvent]())

        init(port: Int, _ filters: [String]) async {
            var configuration = MQTTConfiguration(host: "127.0.0.1", port: port, clientID: "test")
            configuration.reconnectCap = .milliseconds(200)
            configuration.will = .init(MQTTMessage(topic: "t/will", payload: [1]), delaySeconds: 0)
            client = MQTTClient(loop: loop, configuration: configuration) { [events] event in
                events.withLock { $0.append(event) }
            }
            await client.setSubscriptions(filters.map { MQTTSubscription($0) })
            await client.start()
        }

        func wait(_ holds: ([MQTTEvent]) -> Bool) async throws {
            for _ in 0..<500 {
                if events.withLock({ holds($0) }) { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            throw TestFailure("not within 5 s: \(events.withLock { $0 })")
        }

        func end() async {
            await client.disconnect(deadline: .milliseconds(100))
            loop.shutdown()
        }
    }

    private static func isConnected(_ events: [MQTTEvent]) -> Bool {
        events.contains { if case .connected = $0 { true } else { false } }
    }

    private static func reasons(_ events: [MQTTEvent]) -> [String] {
        events.compactMap { if case .disconnected(let reason, _) = $0 { reason } else { nil } }
    }

    @Test("a refused subscription is no connection: nobody is told that all is well, and it is tried again")
    func deaf() async throws {
        let broker = FakeBroker(.init(refused: ["t/orders": 0x87]))
        let run = await Run(port: broker.port, ["t/orders", "t/own"])
        try await run.wait { Self.reasons($0).count >= 3 }
        let events = run.events.withLock { $0 }
        #expect(!Self.isConnected(events))
        let reasons = Self.reasons(events)
        #expect(reasons.allSatisfy { $0.contains("the subscription to t/orders") && $0.contains("135") }, "\(reasons)")
        #expect(await run.client.send(MQTTMessage(topic: "t/presence", payload: [])) == .notConnected)
        // With a DISCONNECT each time: a will would say that somebody was lost who never was there.
        let seen = broker.seen.withLock { $0 }
        #expect(seen.disconnects >= 2 && seen.publishes == 0)
        broker.rules.withLock { $0.refused = [:] }
        try await run.wait(Self.isConnected)
        await run.end()
    }

    @Test("a later subscription that is refused is told by its filter, and the connection stays")
    func later() async throws {
        let broker = FakeBroker(.init(refused: ["t/late": 0x87]))
        let run = await Run(port: broker.port, ["t/own"])
        try await run.wait(Self.isConnected)
        await run.client.subscribe([MQTTSubscription("t/late")])
        try await run.wait {
            $0.contains { if case .subscriptionRefused("t/late", 0x87) = $0 { true } else { false } }
        }
        #expect(await run.client.state == .connected)
        await run.end()
    }

    @Test(
        "a broker without what OMS needs is left with a sentence",
        arguments: [([0x24, 0], "QoS 1"), ([0x25, 0], "retained messages"), ([0x28, 0], "wildcards")]
            as [([UInt8], String)])
    func missing(properties: [UInt8], word: String) async throws {
        let broker = FakeBroker(.init(properties: properties))
        let run = await Run(port: broker.port, ["t/own"])
        try await run.wait { Self.reasons($0).contains { $0.contains(word) && $0.contains("OMS needs") } }
        #expect(!Self.isConnected(run.events.withLock { $0 }))
        await run.end()
    }

    @Test("the broker's maximum packet size and receive maximum are kept")
    func limits() async throws {
        // maximum packet size 1,000; receive maximum 3
        let broker = FakeBroker(.init(properties: [0x27, 0, 0, 3, 0xE8, 0x21, 0, 3], acknowledges: false))
        let run = await Run(port: broker.port, ["t/own"])
        try await run.wait(Self.isConnected)
        let large = MQTTMessage(topic: "t/x", payload: Array(repeating: 0, count: 2_000))
        #expect(await run.client.send(large) == .tooLarge(bytes: large.packetBytes, limit: 1_000))
        for _ in 0..<10 { #expect(await run.client.send(MQTTMessage(topic: "t/x", payload: [1])) == .accepted) }
        try await Task.sleep(for: .milliseconds(300))
        #expect(broker.seen.withLock { $0.publishes } == 3)
        #expect(await run.client.unacknowledged == 10)
        await run.end()
    }
}

/// The bus of a service at a real broker.
@Suite("The bus", .serialized, .timeLimit(.minutes(1)))
struct BusTests {
    private struct Line: Sendable {
        var text: String
        var metadata: Logger.Metadata
    }

    private struct Recorder: LogHandler {
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]
        let lines: Locked<[Line]>

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            lines.withLock { $0.append(Line(text: event.message.description, metadata: event.metadata ?? [:])) }
        }
    }

    private final class World: Sendable {
        let loop = EventLoop(name: "bus")
        let bus: Bus
        let lines = Locked([Line]())
        let messages = Locked([Message]())
        let connects = Locked(0)

        init() {
            let recorder = Recorder(lines: lines)
            bus = Bus(loop: loop, source: "oms/r1", boot: 1, logger: Logger(label: "bus") { _ in recorder }) {
                [messages, connects] event in
                switch event {
                case .message(let message): messages.withLock { $0.append(message) }
                case .connected: connects.withLock { $0 += 1 }
                default: break
                }
            }
        }

        func start(port: Int) async throws {
            let configuration = MQTTConfiguration(
                host: "127.0.0.1", port: port, clientID: "bus", username: "user", password: "secret")
            await bus.start(configuration, will: nil, subscribe: [.every(.query)])
            try await wait { connects.withLock { $0 } > 0 }
        }

        func wait(_ holds: () -> Bool) async throws {
            for _ in 0..<500 {
                if holds() { return }
                try await Task.sleep(for: .milliseconds(10))
            }
            throw TestFailure("not within 5 s")
        }

        func count(_ text: String) -> Int { lines.withLock { $0.count { $0.text.contains(text) } } }

        func end() async {
            await bus.close(farewell: nil)
            loop.shutdown()
        }
    }

    private static func request(_ id: String) throws -> [UInt8] {
        try EnvelopeCodec().encode(
            Message(.query, .request(ClientRequest(id: id, client: "c", method: "ping", params: [:]))),
            EnvelopeHeader(id: id, source: "cli/c", time: Timestamp(milliseconds: 0)))
    }

    @Test("a retained question is not answered at each connection, and ten thousand unreadable ones make one line")
    func noise() async throws {
        let broker = try TestBroker(rights: "topic readwrite oms/#\n")
        let loop = EventLoop(name: "monitor")
        let monitor = MQTTClient(
            loop: loop,
            configuration: MQTTConfiguration(
                host: "127.0.0.1", port: broker.port, clientID: "monitor", username: "user", password: "secret")
        ) { _ in }
        await monitor.start()
        try await monitor.waitUntilConnected(deadline: .seconds(5))
        try await monitor.publish(
            MQTTMessage(topic: "oms/query", payload: try Self.request("kept"), retain: true))
        let world = World()
        try await world.start(port: broker.port)
        for number in 0..<2_000 {
            _ = await monitor.send(MQTTMessage(topic: "oms/query", payload: Array("{\(number)".utf8)))
        }
        try await monitor.publish(MQTTMessage(topic: "oms/query", payload: try Self.request("live"), retain: true))
        try await world.wait { !world.messages.withLock { $0.isEmpty } }
        let ids = world.messages.withLock { messages in
            messages.compactMap { if case .request(let request) = $0.payload { request.id } else { nil } }
        }
        #expect(ids == ["live"], "the one that is forwarded counts, whatever its flag; the one that was kept does not")
        let counters = await world.bus.counters
        #expect(counters.unreadable == 2_000 && counters.stray == 1)
        #expect(world.count("unreadable") == 1 && world.count("retained message ignored") == 1)
        await monitor.disconnect()
        loop.shutdown()
        await world.end()
    }

    @Test("what is too large comes back with the sizes, the broker's where that is the smaller one")
    func verdict() async throws {
        let broker = try TestBroker(maxPacketBytes: 20_000, rights: "topic readwrite oms/#\ntopic readwrite client/#\n")
        let world = World()
        try await world.start(port: broker.port)
        func answer(_ bytes: Int) -> Message {
            Message(
                .response("c"),
                .response(
                    ClientResponse(id: "q", status: 200, result: .string(String(repeating: "x", count: bytes)))))
        }
        #expect(await world.bus.publish(answer(10_000)) == nil)
        for _ in 0..<50 {
            let refusal = try #require(await world.bus.publish(answer(50_000)))
            guard case .tooLarge(let bytes, let limit) = refusal.reason else { throw TestFailure("\(refusal.reason)") }
            #expect(bytes > 50_000 && limit < 20_000 && limit > 19_000)
            #expect(refusal.text.contains("max_packet_size"))
        }
        let refusal = try #require(await world.bus.publish(answer(300_000)))
        #expect(refusal.limit == EnvelopeCodec.maxBytes, "and ours where nothing is sent")
        #expect(world.count("message not sent") == 1, "one line a minute")
        let reason = world.lines.withLock { lines in
            lines.first { $0.text == "message not sent" }?.metadata["reason"]?.description ?? ""
        }
        #expect(reason.contains("bytes"), "with its size")
        #expect(await world.bus.counters.notSent == 51)
        await world.end()
    }

    @Test("nobody can guess a client id, and no two are the same")
    func secrets() {
        let all = (0..<100).map { _ in ClientSecret.make() }
        #expect(Set(all).count == 100 && all.allSatisfy { $0.count == 32 })
    }
}
