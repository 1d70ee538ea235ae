import Glibc
import OMSRuntime
import Testing

@testable import Mosquitto

/// A client on a loop of its own, with its events as a stream.
private struct TestClient {
    let loop: EventLoop
    let client: MQTTClient
    var events: AsyncStream<MQTTEvent>.Iterator

    init(port: Int, password: String = "secret", change: (inout MQTTConfiguration) -> Void = { _ in }) {
        var configuration = MQTTConfiguration(
            host: "127.0.0.1", port: port, clientID: "test-\(UInt32.random(in: 0 ... .max))", username: "user",
            password: password)
        configuration.reconnectCap = .milliseconds(500)
        change(&configuration)
        let (stream, continuation) = AsyncStream.makeStream(of: MQTTEvent.self)
        loop = EventLoop(name: "test")
        client = MQTTClient(loop: loop, configuration: configuration) { continuation.yield($0) }
        events = stream.makeAsyncIterator()
        let loop = loop
        loop.post { loop.schedule(after: .seconds(8)) { continuation.finish() } }  // no wait of a test is longer
    }

    mutating func next<Value>(_ wanted: (MQTTEvent) throws -> Value?) async throws -> Value {
        while let event = await events.next() {
            if let value = try wanted(event) { return value }
        }
        let (state, counters, open) = await (client.state, client.counters, client.unacknowledged)
        throw TestFailure("no such event in time; \(state), \(open) unacknowledged, \(counters)")
    }

    mutating func nextMessages() async throws -> [MQTTMessage] {
        try await next { if case .messages(let messages) = $0 { messages } else { nil } }
    }

    mutating func connected() async throws {
        try await next { if case .connected = $0 { () } else { nil } }
    }

    func end() async {
        await client.disconnect()
        loop.shutdown()
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct MQTTClientTests {
    @Test func aMessageKeepsItsPropertiesAndARoundTripTakesLessThanFiveMilliseconds() async throws {
        let broker = try TestBroker()
        var test = TestClient(port: broker.port)
        await test.client.setSubscriptions([MQTTSubscription("t/#"), MQTTSubscription("denied/x", qos: 0)])
        await test.client.start()
        try await test.connected()
        let message = MQTTMessage(
            topic: "t/a", payload: [0, 255, 10], messageExpiry: 60, contentType: "x/y", responseTopic: "t/b",
            correlationData: [1, 0, 2])
        try await test.client.publish(message)
        let received = try await test.nextMessages()
        #expect(received == [message])
        var times: [Int64] = []
        for number in 0..<200 {
            let start = MonotonicClock.microseconds
            #expect(await test.client.send(MQTTMessage(topic: "t/rtt", payload: Array("\(number)".utf8))) == .accepted)
            _ = try await test.nextMessages()
            times.append(MonotonicClock.microseconds - start)
        }
        let median = times.sorted()[100]
        print("mqtt round trip: median \(median) us, 99 % \(times.sorted()[197]) us")
        #expect(median < 5_000)
        await test.end()
    }

    @Test func aBurstArrivesCompleteAndInOrder() async throws {
        let broker = try TestBroker()
        var test = TestClient(port: broker.port)
        await test.client.setSubscriptions([MQTTSubscription("t/#")])
        await test.client.start()
        try await test.connected()
        let start = MonotonicClock.milliseconds
        let client = test.client
        let results = await withCheckedContinuation { done in
            test.loop.post {
                client.assumeIsolated { client in
                    done.resume(
                        returning: (0..<10_000).map { number in
                            client.send(
                                MQTTMessage(topic: "t/burst", payload: Array("\(number)".utf8)), token: UInt64(number))
                        })
                }
            }
        }
        #expect(results.allSatisfy { $0 == .accepted })
        var numbers: [Int] = []
        var published = 0
        while numbers.count < 10_000 || published < 10_000 {
            try await test.next { event throws -> Void? in
                if case .messages(let batch) = event {
                    numbers += batch.compactMap { Int(String(decoding: $0.payload, as: UTF8.self)) }
                }
                if case .published = event { published += 1 }
                if case .disconnected = event { throw TestFailure("\(event)") }
                return ()
            }
        }
        print("mqtt burst: \(10_000_000 / max(1, MonotonicClock.milliseconds - start)) messages/s there and back")
        #expect(numbers == Array(0..<10_000))
        await test.end()
    }

    @Test func limitsRefusalsAndBadTopicsAreReportedNotSwallowed() async throws {
        let broker = try TestBroker()
        var test = TestClient(port: broker.port) {
            $0.inFlightLimit = 10
            $0.queueLimitMessages = 20
        }
        #expect(await test.client.send(MQTTMessage(topic: "t", payload: [])) == .notConnected)
        await test.client.start()
        try await test.connected()
        let client = test.client
        let results = await withCheckedContinuation { done in
            test.loop.post {
                client.assumeIsolated { client in
                    done.resume(
                        returning: (0..<40).map { _ in client.send(MQTTMessage(topic: "t/x", payload: []), token: 1) })
                }
            }
        }
        #expect(results == Array(repeating: .accepted, count: 30) + Array(repeating: .full, count: 10))
        for _ in 0..<30 { try await test.next { if case .published = $0 { () } else { nil } } }
        let large = MQTTMessage(topic: "t/x", payload: Array(repeating: 0, count: 300_000))
        #expect(await client.send(large) == .tooLarge(bytes: large.packetBytes, limit: 262_144))
        #expect(
            await client.send(MQTTMessage(topic: "t/#", payload: []))
                == .invalid(reason: "a topic holds no NUL, + or #"))
        await #expect(throws: MQTTError.self) {
            try await client.publish(MQTTMessage(topic: "denied/x", payload: []))
        }
        #expect(await client.send(MQTTMessage(topic: "denied/x", payload: []), token: 7) == .accepted)
        let refusal = try await test.next { event in
            if case .refused(let topic, let code, .some(let token)) = event { "\(topic) \(code) \(token)" } else { nil }
        }
        #expect(refusal == "denied/x 135 7")
        await test.client.subscribe([MQTTSubscription("t/late")])
        try await test.next { if case .subscribed("t/late") = $0 { () } else { nil } }
        await test.client.unsubscribe(["t/late"])
        try await test.next { if case .unsubscribed("t/late") = $0 { () } else { nil } }
        #expect(await client.counters.droppedFull == 10)
        await test.end()
        await client.disconnect()  // idempotent
        #expect(await client.state == .closed)
    }

    @Test func aKilledBrokerIsFoundAgainAndSubscriptionsComeBack() async throws {
        let broker = try TestBroker()
        var test = TestClient(port: broker.port)
        await test.client.setSubscriptions((0..<250).map { MQTTSubscription("t/\($0)", qos: $0 % 2) })
        await test.client.start()
        try await test.connected()
        broker.end(SIGKILL)
        _ = try await test.next { if case .disconnected(let reason, _) = $0 { reason } else { nil } }
        #expect(await test.client.send(MQTTMessage(topic: "t/1", payload: [])) == .notConnected)
        let start = MonotonicClock.milliseconds
        try broker.start()
        try await test.connected()
        print("mqtt reconnect: \(MonotonicClock.milliseconds - start) ms after the broker's start")
        try await test.client.publish(MQTTMessage(topic: "t/249", payload: [1]))
        #expect(try await test.nextMessages().map(\.topic) == ["t/249"])
        await test.end()
    }

    @Test func aWrongPasswordIsReportedEachTimeAndTriedAgain() async throws {
        let broker = try TestBroker()
        var test = TestClient(port: broker.port, password: "wrong")
        await test.client.start()
        for _ in 0..<3 {
            let reason = try await test.next { if case .disconnected(let reason, _) = $0 { reason } else { nil } }
            #expect(reason.contains("refused by the broker"), "\(reason)")
        }
        await #expect(throws: MQTTError.self) { try await test.client.waitUntilConnected(deadline: .milliseconds(50)) }
        await test.end()
    }

    @Test func twoThousandOpenDescriptorsDoNotMatter() async throws {
        let broker = try TestBroker()
        var limit = rlimit(rlim_cur: 8_192, rlim_max: 0)
        var current = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &current)
        limit.rlim_max = current.rlim_max
        if current.rlim_cur < limit.rlim_cur { setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) }
        let opened = (0..<2_000).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
        defer { for descriptor in opened { close(descriptor) } }
        #expect(opened.allSatisfy { $0 >= 0 })
        var test = TestClient(port: broker.port)
        await test.client.setSubscriptions([MQTTSubscription("t/#")])
        await test.client.start()
        try await test.connected()
        try await test.client.publish(MQTTMessage(topic: "t/x", payload: [1]))
        #expect(try await test.nextMessages().count == 1)
        await test.end()
    }

    @Test func anAcceptedMessageIsSentBeforeACleanDisconnectAndTheWillIsNot() async throws {
        let broker = try TestBroker()
        var watcher = TestClient(port: broker.port)
        await watcher.client.setSubscriptions([MQTTSubscription("t/#")])
        await watcher.client.start()
        try await watcher.connected()
        let leaver = TestClient(port: broker.port) {
            $0.will = .init(MQTTMessage(topic: "t/will", payload: [9]), delaySeconds: 0)
        }
        await leaver.client.start()
        try await leaver.client.waitUntilConnected(deadline: .seconds(5))
        for number in 0..<50 { _ = await leaver.client.send(MQTTMessage(topic: "t/last", payload: [UInt8(number)])) }
        await leaver.end()
        try await watcher.client.publish(MQTTMessage(topic: "t/end", payload: []))
        var topics: [String] = []
        while topics.last != "t/end" { topics += try await watcher.nextMessages().map(\.topic) }
        #expect(topics == Array(repeating: "t/last", count: 50) + ["t/end"])
        await watcher.end()
    }

    @Test(arguments: [
        ("a/+/c", "a/b/c", true), ("a/+/c", "a/b/d", false), ("a/#", "a", true), ("a/#", "a/b/c", true),
        ("#", "a/b", true), ("#", "$SYS/x", false), ("+/x", "$SYS/x", false), ("$SYS/#", "$SYS/x", true),
        ("a/+", "a", false), ("a/+", "a/", true), ("a", "a/b", false), ("a/b", "a", false), ("+", "", true),
    ])
    func filtersMatchAsTheStandardSays(filter: String, topic: String, expected: Bool) {
        #expect(MQTTTopicFilter.matches(filter, topic) == expected)
    }
}
