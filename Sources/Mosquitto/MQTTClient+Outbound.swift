import OMSRuntime

extension MQTTClient {
    /// Hands a message over, never waits.
    ///
    /// - Parameter token: Comes back in `published` or `refused`. Without a token only a refusal is reported.
    package func send(_ message: MQTTMessage, token: UInt64? = nil) -> MQTTSendResult {
        send(message, completion: token.map { .token($0) } ?? .nobody)
    }

    /// Sends a message and returns when the broker has taken it. For tools and tests; services use `send`.
    ///
    /// After a timeout or a lost connection it is unknown whether the message arrived.
    package func publish(_ message: MQTTMessage, deadline: Duration = .seconds(10)) async throws {
        lastWaiter += 1
        let waiter = lastWaiter
        let result = send(message, completion: .waiter(waiter))
        switch result {
        case .accepted: break
        case .notConnected: throw MQTTError(code: .notConnected, message: "not connected")
        case .full: throw MQTTError(code: .full, message: "the outbound queue is full")
        case .tooLarge(let bytes, let limit):
            throw MQTTError(
                code: .tooLarge, message: "\(message.topic) is \(bytes) bytes, the broker takes at most \(limit)")
        case .invalid(let reason): throw MQTTError(code: .invalid, message: reason)
        }
        let timer = loop.schedule(after: deadline) {
            self.publishWaiters.removeValue(forKey: waiter)?
                .resume(throwing: MQTTError(code: .timeout, message: "not acknowledged in time"))
        }
        defer { loop.cancel(timer) }
        // No suspension since `send`, so the answer cannot have come before the waiter is known.
        try await withCheckedThrowingContinuation { publishWaiters[waiter] = $0 }
    }

    /// Returns at once when connected.
    package func waitUntilConnected(deadline: Duration) async throws {
        if state == .connected { return }
        if state == .closed || state == .draining { throw MQTTError(code: .closed, message: "closed") }
        lastWaiter += 1
        let waiter = lastWaiter
        let timer = loop.schedule(after: deadline) {
            let reason = self.lastFailure ?? "no answer"
            self.connectWaiters.removeValue(forKey: waiter)?
                .resume(throwing: MQTTError(code: .timeout, message: "not connected in time: \(reason)"))
        }
        defer { loop.cancel(timer) }
        try await withCheckedThrowingContinuation { connectWaiters[waiter] = $0 }
    }

    package var unacknowledged: Int { inFlight.count + queue.count }

    private func send(_ message: MQTTMessage, completion: Completion) -> MQTTSendResult {
        guard state == .connected else {
            counters.droppedNotConnected += 1
            return .notConnected
        }
        guard message.packetBytes <= packetLimit else {
            counters.droppedTooLarge += 1
            return .tooLarge(bytes: message.packetBytes, limit: packetLimit)
        }
        if let reason = Self.problem(of: message) { return .invalid(reason: reason) }
        guard queue.append(Outgoing(message: message, completion: completion)) else {
            counters.droppedFull += 1
            return .full
        }
        pump()
        return .accepted
    }

    /// Checked here and not left to the library, because a queued message is published when its caller is gone.
    private static func problem(of message: MQTTMessage) -> String? {
        let topic = message.topic.utf8
        if topic.isEmpty || topic.count > 65_535 { return "a topic has 1 to 65535 bytes" }
        let forbidden: [UInt8] = [0, UInt8(ascii: "+"), UInt8(ascii: "#")]
        if topic.contains(where: forbidden.contains) { return "a topic holds no NUL, + or #" }
        if !(0...1).contains(message.qos) { return "QoS is 0 or 1" }
        if let data = message.correlationData, data.count > 65_535 { return "correlation data over 65535 bytes" }
        return nil
    }

    /// Fills the in-flight window from the queue.
    func pump() {
        guard state == .connected || state == .draining, let handle else { return }
        while inFlight.count < inFlightLimit, let next = queue.popFirst() {
            do {
                let packetID = try handle.publish(next.message)
                counters.sent += 1
                inFlight[packetID] = Outgoing(
                    message: MQTTMessage(topic: next.message.topic, payload: []), completion: next.completion)
            } catch {
                switch error.code {
                case .connectionLost, .notConnected:
                    finish(next, error)
                    // Not from inside `send`, whose caller does not expect its state to turn over.
                    loop.post { self.assumeIsolated { $0.lost(error.message) } }
                    return
                default:
                    // The library knows a rule that `problem(of:)` does not: to the sender this is a refusal.
                    counters.refused += 1
                    emit(.refused(topic: next.message.topic, code: 0x80, token: next.completion.token))
                    finish(next, error)
                }
            }
        }
    }

    func publishAnswered(_ packetID: Int32, _ code: Int) {
        guard let answered = inFlight.removeValue(forKey: packetID) else { return }
        if code >= 0x80 {
            counters.refused += 1
            let topic = answered.message.topic
            emit(.refused(topic: topic, code: code, token: answered.completion.token))
            finish(
                answered, MQTTError(code: .refused(code: code), message: "\(topic): \(MosquittoHandle.reason(code))"))
        } else {
            counters.acknowledged += 1
            if let token = answered.completion.token { emit(.published(token: token)) }
            finish(answered, nil)
        }
    }

    /// Returns how many messages were forgotten.
    func forgetOutbound(_ error: MQTTError) -> Int {
        let all = Array(inFlight.values) + queue.removeAll()
        inFlight = [:]
        counters.forgotten += all.count
        for outgoing in all { finish(outgoing, error) }
        return all.count
    }

    private func finish(_ outgoing: Outgoing, _ error: MQTTError?) {
        guard case .waiter(let waiter) = outgoing.completion else { return }
        guard let continuation = publishWaiters.removeValue(forKey: waiter) else { return }  // its deadline passed
        if let error { continuation.resume(throwing: error) } else { continuation.resume() }
    }
}

extension Completion {
    var token: UInt64? {
        if case .token(let token) = self { token } else { nil }
    }
}
