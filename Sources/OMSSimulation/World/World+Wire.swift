import OMSCore
import OMSModel
import OMSProtocol

/// The MQTT wire: volatile (docs/internals/architecture.md). It loses, doubles and delays; it keeps order only per
/// publisher and topic within one connection.
extension World {
    // MARK: - Connections

    func connect(_ node: Node, _ incarnation: Int) {
        guard node.isAlive, node.incarnation == incarnation, node.connection == nil else { return }
        guard broker.isUp, !node.isPartitioned(at: now), !node.isPaused, let will = presence(of: node, .lost) else {
            node.connectAttempts += 1
            let most = min(5_000, 200 << Int64(min(node.connectAttempts, 5)) as Int64)
            scheduler.add(
                .connect(node.index, incarnation: incarnation), at: now + wire.int(100...most) * SimClock.millisecond)
            return
        }
        node.connectAttempts = 0
        let connection = broker.open(node: node.index, will: will)
        node.connection = connection
        scheduler.add(.subscribed(connection: connection), at: now + hop())
    }

    private func hop() -> SimTime { wire.delay(200, 3_000, rarely: storm.longestDelay) }

    func standingSubscriptions(_ connection: Int) {
        guard broker.connections[connection].isAtBroker else { return }
        let node = nodes[broker.connections[connection].node]
        broker.connections[connection].filters = node.filters
        for message in broker.retained(for: node.filters) { deliver(message, to: connection, from: -1) }
        scheduler.add(.connected(connection: connection), at: now + hop())
    }

    func connected(_ connection: Int) {
        let node = nodes[broker.connections[connection].node]
        guard node.connection == connection else { return }
        if node.isPartitioned(at: now) {
            scheduler.add(.connected(connection: connection), at: node.partitionedUntil + hop())
            return
        }
        feed(node, .connected)
    }

    func brokerDrops(_ connection: Int, _ onlyIfSilent: Bool) {
        let node = nodes[broker.connections[connection].node]
        if onlyIfSilent {
            let isSilent = node.connection != connection || node.isPartitioned(at: now) || node.isPaused
            guard isSilent else { return }
        }
        guard let will = broker.drop(connection) else { return }
        trace.note(now, "session dropped", node) { "" }
        route(will, from: connection)
        if broker.connections[connection].isAtClient {
            let from = max(now, node.partitionedUntil)
            scheduler.add(.clientNotices(connection: connection), at: from + wire.int(1...300) * SimClock.millisecond)
        }
    }

    func clientNotices(_ connection: Int) {
        guard broker.connections[connection].isAtClient else { return }
        broker.connections[connection].isAtClient = false
        let node = nodes[broker.connections[connection].node]
        // The broker may hold the session of a client that has given it up: a half-open connection.
        if broker.connections[connection].isAtBroker {
            scheduler.add(
                .brokerDrops(connection: connection, onlyIfSilent: false),
                at: now + wire.int(10...15_000) * SimClock.millisecond)
        }
        guard node.connection == connection else { return }
        node.connection = nil
        trace.note(now, "disconnected", node) { "" }
        if node.role != .gateway || !options.mutants.contains(.gatewayHoldsOn) { feed(node, .disconnected) }
        scheduler.add(
            .connect(node.index, incarnation: node.incarnation), at: now + wire.int(50...1_000) * SimClock.millisecond)
    }

    func presence(of node: Node, _ state: Presence.State) -> Message? {
        if let core = node.registry { return Message(.registryPresence(node.id), .presence(core.presence(state))) }
        if let core = node.fleet { return Message(.fleetPresence(node.id), .presence(core.presence(state))) }
        if let core = node.gateway { return Message(.gatewayPresence(node.id), .presence(core.presence(state))) }
        return nil
    }

    // MARK: - Subscriptions

    /// Nobody else writes a service's retained state here, and so nobody takes it away.
    func heard(_ subscriptions: [Subscription]) -> [Subscription] { subscriptions.filter { !$0.isOfOwnState } }

    func subscribe(_ node: Node, _ filters: [Subscription], _ tenant: TenantID?) {
        for filter in filters where !node.filters.contains(filter) { node.filters.append(filter) }
        guard let connection = node.connection else { return }
        scheduler.add(.subscribe(connection: connection, filters, tenant), at: up(connection))
    }

    func unsubscribe(_ node: Node, _ filters: [Subscription]) {
        node.filters.removeAll { filters.contains($0) }
        guard let connection = node.connection else { return }
        scheduler.add(.unsubscribe(connection: connection, filters), at: up(connection))
    }

    func subscribe(_ connection: Int, _ filters: [Subscription], _ tenant: TenantID?) {
        guard broker.connections[connection].isAtBroker else { return }
        let node = nodes[broker.connections[connection].node]
        if node.isPartitioned(at: now) {
            scheduler.add(.subscribe(connection: connection, filters, tenant), at: node.partitionedUntil + hop())
            return
        }
        for filter in filters where !broker.connections[connection].filters.contains(filter) {
            broker.connections[connection].filters.append(filter)
        }
        for message in broker.retained(for: filters) { deliver(message, to: connection, from: -1) }
        if let tenant {
            scheduler.add(.tenantSubscribed(connection: connection, tenant), at: now + hop())
        }
    }

    func tenantSubscribed(_ connection: Int, _ tenant: TenantID) {
        let node = nodes[broker.connections[connection].node]
        guard node.connection == connection else { return }
        feed(node, .subscribed(tenant))
    }

    func unsubscribe(_ connection: Int, _ filters: [Subscription]) {
        // Subscribed again meanwhile: the later word counts.
        let node = nodes[broker.connections[connection].node]
        broker.connections[connection].filters.removeAll { filters.contains($0) && !node.filters.contains($0) }
    }

    // MARK: - Messages

    /// One TCP stream per connection: packets arrive in the order of sending.
    private func up(_ connection: Int) -> SimTime {
        let at = max(broker.connections[connection].upFree + 1, now + hop())
        broker.connections[connection].upFree = at
        return at
    }

    func publish(_ node: Node, _ message: Message) {
        checker.published(node, message, at: now)
        guard let connection = node.connection, passesMutants(message) else { return }
        if let refusal = refusal(of: message) {
            // The shells hand it back to the core as soon as they have carried out what it had decided.
            if hearsOfRefusal(message) {
                scheduler.add(.refused(node.index, incarnation: node.incarnation, refusal), at: now)
            }
            return
        }
        scheduler.add(.toBroker(connection: connection, message), at: up(connection))
    }

    /// `Bus.publish`: measured as it is sent. Without a limit nothing here is too large.
    private func refusal(of message: Message) -> NotSent? {
        guard let limit = broker.messageLimit else { return nil }
        let header = EnvelopeHeader(id: "0123456789", source: "simulation", time: SimClock.wall(now, offset: 0))
        do {
            let bytes = try EnvelopeCodec().encode(message, header).count
            return bytes <= limit ? nil : NotSent(message, .tooLarge(bytes: bytes, limit: limit))
        } catch {
            return NotSent(message, .tooLarge(bytes: error.bytes ?? .max, limit: limit))
        }
    }

    func arrivedAtBroker(_ connection: Int, _ message: Message?) {
        guard broker.isUp, broker.connections[connection].isAtBroker else { return }
        guard let message else {
            // DISCONNECT
            _ = broker.drop(connection)
            return
        }
        let node = nodes[broker.connections[connection].node]
        if node.isPartitioned(at: now) {
            broker.connections[connection].heldUp.append(message)
            return
        }
        route(message, from: connection)
    }

    func route(_ message: Message, from publisher: Int) {
        broker.retain(message)
        if !options.mutants.isEmpty { forge(message) }
        if case .response = message.topic { return answered(message) }
        for connection in broker.subscribers(of: message.topic) {
            deliver(message, to: connection, from: publisher)
        }
    }

    private func deliver(_ message: Message, to connection: Int, from publisher: Int) {
        let (isLost, isDoubled, delay) = (wire.chance(storm.loss), wire.chance(storm.doubling), hop())
        if isLost {
            trace.note(now, "lost", nodes[broker.connections[connection].node]) { "\(message.topic.name)" }
            return
        }
        guard broker.connections[connection].queued < broker.maxQueued else { return }
        let lane = SimBroker.Lane(publisher: publisher, topic: message.topic)
        let at = max(now + delay, (broker.connections[connection].lanes[lane] ?? 0) + 1)
        broker.connections[connection].lanes[lane] = at
        broker.connections[connection].queued += 1
        scheduler.add(.toClient(connection: connection, message), at: at)
        if isDoubled {
            broker.connections[connection].queued += 1
            let later = wire.int(1...setting.latestDouble) * SimClock.millisecond
            scheduler.add(.toClient(connection: connection, message), at: at + later)
        }
    }

    func arrivedAtClient(_ connection: Int, _ message: Message) {
        broker.connections[connection].queued -= 1
        guard broker.connections[connection].isAtClient else { return }
        let node = nodes[broker.connections[connection].node]
        if node.isPartitioned(at: now) {
            guard broker.connections[connection].isAtBroker else { return }
            broker.connections[connection].heldDown.append(message)
            broker.connections[connection].queued += 1
            return
        }
        feed(node, .message(Mutant.altered(message, for: node, options.mutants)))
        if options.mutants.contains(.sealInFlight), case .gatewayControl(let control) = message.payload,
            control.command == .seal, node.isAlive,
            node.ledgerFailsUntil < now, node.ledgerSlowUntil < now
        {
            forgeSeal(message, control)
        }
    }

    func heal(_ node: Node) {
        guard !node.isPartitioned(at: now) else { return }
        trace.note(now, "healed", node) { "" }
        for connection in broker.sessions where broker.connections[connection].node == node.index {
            let (up, down) = (broker.connections[connection].heldUp, broker.connections[connection].heldDown)
            broker.connections[connection].heldUp = []
            broker.connections[connection].heldDown = []
            broker.connections[connection].queued -= down.count
            for message in up { route(message, from: connection) }
            for message in down { deliver(message, to: connection, from: -1) }
        }
    }
}
