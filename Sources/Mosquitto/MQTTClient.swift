package import OMSRuntime

/// An MQTT 5 client that keeps itself connected for ever, living on the thread of an `EventLoop`.
///
/// An actor that shares the loop calls it with `client.assumeIsolated { $0.send(...) }`, without a hop; everybody else
/// with `await`. Events go to the handler, always on the loop's thread, one batch of messages per turn. The broker's
/// messages are acknowledged after the handler has returned.
///
/// The wire is volatile: nothing is queued while there is no connection, and what was in flight when one ended is
/// forgotten. Whoever owns a message sends it again after `connected`.
package actor MQTTClient {
    package enum State: Sendable, Equatable {
        /// Made, not started. Can transition to `connecting`, `closed`.
        case idle
        /// A helper thread resolves and connects. Can transition to `awaitingAnswer`, `waiting`, `closed`.
        case connecting
        /// CONNECT is sent, CONNACK not yet there. Can transition to `subscribing`, `waiting`, `closed`.
        case awaitingAnswer
        /// Subscriptions are sent, some SUBACK not yet there. Can transition to `connected`, `waiting`, `closed`.
        case subscribing
        /// Can transition to `draining`, `waiting`, `closed`.
        case connected
        /// Until the next attempt. Can transition to `connecting`, `closed`.
        case waiting
        /// `disconnect` was called; what was accepted is still being sent. Can transition to `closed`.
        case draining
        /// For good.
        case closed
    }

    package nonisolated let loop: EventLoop
    package nonisolated let configuration: MQTTConfiguration
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor }

    package internal(set) var state = State.idle
    package internal(set) var counters = MQTTCounters()
    /// Why the last connection or attempt ended.
    package internal(set) var lastFailure: String?

    let handler: @Sendable (MQTTEvent) -> Void
    var handle: MosquittoHandle?
    var backoff: Backoff
    var random = SystemRandomNumberGenerator()
    var connectedSince: Int64 = 0
    /// The broker's word or our own, whichever is less; of the present connection.
    var packetLimit: Int
    var inFlightLimit: Int
    private var attempt = 0
    /// At most one: a resolver that hangs must not pile up threads.
    private var helperIsRunning = false
    private var watchdog: LoopTimer?
    private var retry: LoopTimer?
    private var housekeeping: LoopTimer?
    private var closeWaiters: [CheckedContinuation<Void, Never>] = []

    // Outbound: MQTTClient+Outbound.swift
    var queue: OutboundQueue
    var inFlight: [Int32: Outgoing] = [:]
    var publishWaiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
    var lastWaiter: UInt64 = 0
    var connectWaiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]

    // Subscriptions: MQTTClient+Subscriptions.swift
    var subscriptions: [String: MQTTSubscription] = [:]
    /// Without these there is no connection: who does not hear them is deaf.
    var essential: Set<String> = []
    /// Refused while this connection was being made.
    var missing: (filter: String, code: Int)?
    var unansweredSubscribes: [Int32: [MQTTSubscription]] = [:]
    var unansweredUnsubscribes: [Int32: String] = [:]

    // Events of this turn, in order; handed out at its end, when the state is consistent again.
    private var events: [MQTTEvent] = []
    private var messages: [MQTTMessage] = []

    /// - Parameter handler: Called on the loop's thread. It may call back into this client.
    package init(loop: EventLoop, configuration: MQTTConfiguration, handler: @escaping @Sendable (MQTTEvent) -> Void) {
        self.loop = loop
        self.configuration = configuration
        self.handler = handler
        packetLimit = configuration.packetLimitBytes
        inFlightLimit = configuration.inFlightLimit
        queue = OutboundQueue(
            messageLimit: configuration.queueLimitMessages, byteLimit: configuration.queueLimitBytes)
        backoff = Backoff(
            baseMilliseconds: configuration.reconnectBase.roundedUpMilliseconds,
            capMilliseconds: configuration.reconnectCap.roundedUpMilliseconds,
            floorMilliseconds: configuration.reconnectFloor.roundedUpMilliseconds)
    }

    /// Begins to connect, and goes on trying until `disconnect`. Set the subscriptions before.
    package func start() {
        guard state == .idle else { return }
        loop.register(self)
        tick()
        connect()
    }

    /// Sends what has been accepted, then DISCONNECT, then closes for good. Idempotent.
    ///
    /// - Parameter deadline: After it, what is not acknowledged is given up.
    package func disconnect(deadline: Duration = .seconds(2)) async {
        switch state {
        case .closed: return
        case .idle, .connecting, .awaitingAnswer, .subscribing, .waiting: close(reason: "closed")
        case .connected:
            state = .draining
            watch(for: deadline, "closed before all was acknowledged")
            finishDraining()
        case .draining: break
        }
        guard state != .closed else { return }
        await withCheckedContinuation { closeWaiters.append($0) }
    }

    // MARK: Connecting

    private func connect() {
        guard state == .idle || state == .waiting else { return }
        guard !helperIsRunning else {
            return retryLater()  // the last attempt was given up, but its thread still hangs in the resolver
        }
        attempt += 1
        helperIsRunning = true
        state = .connecting
        let attempt = attempt
        let (loop, configuration) = (loop, configuration)
        // mosquitto_connect_bind_v5 resolves and connects without a deadline. So a helper thread first finds an address
        // that answers, within one, and then makes the library connect to it; the loop never blocks.
        HelperThread.run(name: "mqtt-connect") {
            let result = Self.blockingConnect(configuration)
            loop.post { self.assumeIsolated { $0.helperReturned(result, attempt: attempt) } }
        }
        watch(for: configuration.connectTimeout + .seconds(1), "no connection in time")
    }

    private static func blockingConnect(_ configuration: MQTTConfiguration) -> Result<MosquittoHandle, MQTTError> {
        do {
            let address = try TCPProbe.firstReachableAddress(
                host: configuration.host, port: configuration.port, timeout: configuration.connectTimeout)
            let handle = try MosquittoHandle(configuration)
            try handle.connect(address: address, configuration: configuration)
            return .success(handle)
        } catch let error as MQTTError {
            return .failure(error)
        } catch {
            return .failure(MQTTError(code: .notConnected, message: "\(error)"))
        }
    }

    private func helperReturned(_ result: Result<MosquittoHandle, MQTTError>, attempt: Int) {
        helperIsRunning = false
        guard state == .connecting, attempt == self.attempt else { return }  // given up: the handle dies here
        switch result {
        case .failure(let error): lost(error.message)
        case .success(let connected):
            handle = connected
            state = .awaitingAnswer
            watch(for: configuration.connectTimeout, "no CONNACK in time")
        }
    }

    func becomeConnected() {
        state = .connected
        connectedSince = MonotonicClock.milliseconds
        counters.connects += 1
        stopWatching()
        let waiters = connectWaiters
        connectWaiters = [:]
        for waiter in waiters.values { waiter.resume() }
        emit(.connected)
    }

    /// The connection or the attempt is over: forget everything that belonged to it and try again later.
    func lost(_ reason: String) {
        switch state {
        case .idle, .waiting, .closed: return
        case .draining: return close(reason: reason)
        case .connected, .subscribing, .awaitingAnswer, .connecting: break
        }
        if state == .connected {
            counters.connectionsLost += 1
            // A connection that lived shortly counts as a failed attempt: two holders of one client id, who throw each
            // other out, then slow down instead of fighting at full speed.
            if MonotonicClock.milliseconds - connectedSince >= backoff.capMilliseconds { backoff.reset() }
        }
        state = .waiting
        tearDown(reason)
        retryLater()
    }

    /// Ends a connection that is of no use, and tries again later. By a DISCONNECT, so that the broker drops the will: who
    /// was never there has not been lost.
    func leave(_ reason: String) {
        handle?.sendDisconnect()
        _ = handle?.write()
        lost(reason)
    }

    private func retryLater() {
        let delay = backoff.nextMilliseconds(using: &random)
        retry = loop.schedule(after: .milliseconds(delay)) { self.connect() }
    }

    private func tearDown(_ reason: String) {
        lastFailure = reason
        stopWatching()
        if let retry { loop.cancel(retry) }
        handle = nil
        packetLimit = configuration.packetLimitBytes
        inFlightLimit = configuration.inFlightLimit
        missing = nil
        unansweredSubscribes = [:]
        unansweredUnsubscribes = [:]
        let forgotten = forgetOutbound(MQTTError(code: .connectionLost, message: reason))
        emit(.disconnected(reason: reason, forgotten: forgotten))
    }

    // MARK: Closing

    func finishDraining() {
        guard state == .draining, inFlight.isEmpty, queue.isEmpty, let handle else { return }
        handle.sendDisconnect()
        // The socket's buffer is empty, everything before was acknowledged, so one write takes the five bytes.
        _ = handle.write()
        close(reason: "closed")
    }

    private func close(reason: String) {
        let wasIdle = state == .idle
        state = .closed
        tearDown(reason)
        let error = MQTTError(code: .closed, message: reason)
        for waiter in connectWaiters.values { waiter.resume(throwing: error) }
        connectWaiters = [:]
        if let housekeeping { loop.cancel(housekeeping) }
        if !wasIdle { loop.deregister(self) }
        loop.post { self.assumeIsolated { $0.handOutEvents() } }  // no longer polled, so nobody else would
        for waiter in closeWaiters { waiter.resume() }
        closeWaiters = []
    }

    // MARK: Turns of the loop

    private func tick() {
        housekeeping = loop.schedule(after: .seconds(1)) { self.tick() }
        guard let handle, handle.socket >= 0 else { return }
        let failure = handle.housekeeping()
        process(failure)
    }

    private func watch(for timeout: Duration, _ reason: String) {
        stopWatching()
        watchdog = loop.schedule(after: timeout) { self.lost(reason) }
    }

    private func stopWatching() {
        if let watchdog { loop.cancel(watchdog) }
        watchdog = nil
    }

    private func read() {
        guard let handle else { return }
        process(handle.read())
    }

    private func flush() -> PollInterest? {
        pump()
        finishDraining()
        handOutEvents()
        if let handle, handle.wantsWrite {
            process(handle.write())
            pump()  // a QoS 0 message is complete once written, and makes room
        }
        handOutEvents()
        guard let handle, handle.socket >= 0 else { return nil }
        return PollInterest(fileDescriptor: handle.socket, wantsWrite: handle.wantsWrite)
    }

    /// Handles what callbacks left during the last library call, then the failure of the call itself.
    func process(_ failure: String?) {
        guard let handle else { return }
        for arrival in handle.takeArrivals() { process(arrival) }
        guard self.handle === handle else { return }  // one of the arrivals ended the connection
        if let failure { lost(failure) } else if handle.socket < 0 { lost("connection closed") }
    }

    private func process(_ arrival: Arrival) {
        switch arrival {
        case .connectAnswer(let code, let limits): connectAnswered(code, limits)
        case .disconnected(let code):
            // From the server with its reason, or from the library with an error number of its own.
            lost(code >= 0x80 ? "disconnected by the broker: \(MosquittoHandle.reason(code))" : "connection lost")
        case .message(let message):
            counters.received += 1
            messages.append(message)
        case .publishAnswer(let packetID, let code): publishAnswered(packetID, code)
        case .subscribeAnswer(let packetID, let codes): subscribeAnswered(packetID, codes)
        case .unsubscribeAnswer(let packetID):
            if let filter = unansweredUnsubscribes.removeValue(forKey: packetID) { emit(.unsubscribed(filter: filter)) }
        }
    }

    private func connectAnswered(_ code: Int, _ limits: MQTTBrokerLimits) {
        guard state == .awaitingAnswer else { return }
        guard code == 0 else {
            return lost("refused by the broker: \(MosquittoHandle.reason(code)) (\(code))")
        }
        if let missing = limits.missing {
            return leave("refused by this client: the broker does not offer \(missing), which OMS needs")
        }
        if let bytes = limits.maximumPacketBytes { packetLimit = min(packetLimit, bytes) }
        inFlightLimit = min(inFlightLimit, limits.receiveMaximum)
        state = .subscribing
        watch(for: configuration.connectTimeout, "no SUBACK in time")
        subscribeAll()
    }

    func emit(_ event: MQTTEvent) {
        flushMessages()
        events.append(event)
    }

    private func flushMessages() {
        guard !messages.isEmpty else { return }
        events.append(.messages(messages))
        messages = []
    }

    private func handOutEvents() {
        flushMessages()
        // The handler may send and so cause more events; they are for the next round, as calls must not nest.
        let current = events
        events = []
        for event in current { handler(event) }
    }
}

extension MQTTClient: PollSource {
    package nonisolated func prepare() -> PollInterest? { assumeIsolated { $0.flush() } }

    package nonisolated func ready(readable: Bool, writable: Bool) {
        // Writing happens in `flush`, which follows in the same turn.
        if readable { assumeIsolated { $0.read() } }
    }
}
