import OMSRuntime

extension MQTTClient {
    /// Filters per SUBSCRIBE packet.
    private static let batchLimit = 100

    /// Replaces all subscriptions. They survive reconnects: each connection subscribes again before `connected`, which
    /// comes only when the broker has granted all of them.
    package func setSubscriptions(_ new: [MQTTSubscription]) {
        let wanted = Dictionary(new.map { ($0.filter, $0) }, uniquingKeysWith: { _, last in last })
        let gone = subscriptions.keys.filter { wanted[$0] == nil }
        let changed = wanted.values.filter { subscriptions[$0.filter] != $0 }
        unsubscribe(gone)
        subscribe(changed)
        essential = Set(wanted.keys)
    }

    /// Adds or changes subscriptions; `subscribed` or `subscriptionRefused` reports each when connected.
    package func subscribe(_ new: [MQTTSubscription]) {
        for subscription in new { subscriptions[subscription.filter] = subscription }
        if state == .connected || state == .subscribing { sendSubscribes(new) }
    }

    package func unsubscribe(_ filters: [String]) {
        for filter in filters {
            subscriptions[filter] = nil
            essential.remove(filter)
            guard state == .connected || state == .subscribing, let handle else { continue }
            do {
                unansweredUnsubscribes[try handle.unsubscribe(filter)] = filter
            } catch {
                emit(.unsubscribed(filter: filter))  // an invalid filter was never subscribed; a lost one is gone too
            }
        }
    }

    func subscribeAll() {
        sendSubscribes(Array(subscriptions.values))
        allAnswered()
    }

    private func allAnswered() {
        guard state == .subscribing, unansweredSubscribes.isEmpty else { return }
        guard let missing else { return becomeConnected() }
        leave(
            "refused by the broker: the subscription to \(missing.filter) "
                + "(\(MosquittoHandle.reason(missing.code)), \(missing.code)); without it this client would be deaf")
    }

    func subscribeAnswered(_ packetID: Int32, _ codes: [Int]) {
        guard let asked = unansweredSubscribes.removeValue(forKey: packetID) else { return }
        for (index, subscription) in asked.enumerated() {
            // A broker that answers for fewer than it was asked for has not granted the rest.
            let code = index < codes.count ? codes[index] : 0x80
            // Granted with less than was asked for: messages would be lost that must not be.
            if code >= 0x80 || code < subscription.qos {
                refused(subscription.filter, code)
            } else {
                emit(.subscribed(filter: subscription.filter))
            }
        }
        allAnswered()
    }

    private func refused(_ filter: String, _ code: Int) {
        guard essential.contains(filter) else { return emit(.subscriptionRefused(filter: filter, code: code)) }
        missing = missing ?? (filter, code)
        if state == .connected { leave("refused by the broker: the subscription to \(filter) (\(code))") }
    }

    private func sendSubscribes(_ all: [MQTTSubscription]) {
        guard let handle else { return }
        // The library takes one QoS and one set of options for all filters of a packet.
        struct Options: Hashable {
            var qos: Int
            var noLocal: Bool
            var retainHandling: MQTTSubscription.RetainHandling
        }
        let groups = Dictionary(grouping: all) {
            Options(qos: $0.qos, noLocal: $0.noLocal, retainHandling: $0.retainHandling)
        }
        for group in groups.values {
            let sorted = group.sorted { $0.filter < $1.filter }
            for start in stride(from: 0, to: sorted.count, by: Self.batchLimit) {
                send(Array(sorted[start..<min(start + Self.batchLimit, sorted.count)]), on: handle)
            }
        }
    }

    private func send(_ batch: [MQTTSubscription], on handle: MosquittoHandle) {
        do {
            unansweredSubscribes[try handle.subscribe(batch)] = batch
        } catch {
            // One bad filter spoils its packet: alone, each good one gets through and the bad one is known by name.
            if batch.count > 1 && error.code == .invalid {
                for subscription in batch { send([subscription], on: handle) }
            } else {
                for subscription in batch { refused(subscription.filter, 0x8f) }
            }
        }
    }
}
