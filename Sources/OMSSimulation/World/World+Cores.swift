import OMSCore
import OMSModel
import OMSProtocol

/// What the three shells do: turn inputs into events of the cores, and carry the effects out.
extension World {
    func feed(_ node: Node, _ input: Node.Input) {
        guard node.isAlive else { return }
        if node.isPaused {
            // The broker drops what a stopped client does not take; what its own threads have for it waits.
            if case .message = input, node.inbox.count >= setting.brokerQueue { return }
            return node.inbox.append(input)
        }
        count(node)
        let moment = moment(node)
        trace.input(now, node, input)
        switch node.role {
        case .registry:
            if case .rest(let effects) = input { return perform(node, effects) }
            guard let event = registryEvent(input) else { return }
            if let effects = node.registry?.receive(event, at: moment) { perform(node, effects) }
        case .fleet:
            if case .restOfFleet(let effects) = input { return perform(node, effects) }
            guard let event = fleetEvent(input) else { return }
            if let effects = node.fleet?.receive(event, at: moment) { perform(node, effects) }
        case .gateway:
            switch input {
            case .restOfGateway(let effects, let failure, let decided):
                return carryOut(node, effects, failure: failure, decided: decided)
            case .recorded(let batch, let failure): return recorded(node, batch, failure)
            default: break
            }
            guard let event = gatewayEvent(input) else { return }
            if let effects = node.gateway?.receive(event, at: moment) { record(node, effects) }
        case .admin, .monitor: break
        }
        if node.isAlive, !node.isPaused { setTimer(node) }
        // A stopped process has its timer when it goes on.
        if node.isAlive, node.isPaused { node.inbox.append(.wake) }
    }

    private func count(_ node: Node) {
        let second = now / SimClock.second
        if node.second != second {
            node.second = second
            node.eventsInSecond = 0
        }
        node.eventsInSecond += 1
        checker.busy(node, node.eventsInSecond, at: now)
    }

    private func registryEvent(_ input: Node.Input) -> Registry.Event? {
        switch input {
        case .connected: return .connected
        case .disconnected: return .disconnected
        case .message(let message): return .received(message)
        case .stored(let ticket, let reply): return .stored(ticket: ticket, reply)
        case .wake: return .wake
        default: return nil
        }
    }

    private func fleetEvent(_ input: Node.Input) -> Fleet.Event? {
        switch input {
        case .connected: return .connected
        case .message(let message): return .received(message)
        case .subscribed(let tenant): return .subscribed(tenant)
        case .wake: return .wake
        default: return nil
        }
    }

    private func gatewayEvent(_ input: Node.Input) -> Gateway.Event? {
        switch input {
        case .connected: return .connected
        case .disconnected: return .disconnected
        case .message(let message): return .received(message)
        case .answer(let call, let latency, let answer): return .answer(call: call, latency: latency, answer)
        case .unrecorded(let entries): return .unrecorded(entries)
        case .wake: return .wake
        default: return nil
        }
    }

    /// Burns the fuse by one effect.
    /// - Returns: false if the process does not go on.
    private func goesOn(_ node: Node) -> Bool {
        guard let fuse = node.fuse else { return true }
        guard fuse.effects == 0 else {
            node.fuse?.effects -= 1
            return true
        }
        node.fuse = nil
        blow(node, fuse.fault)
        return node.isAlive && !node.isPaused
    }

    // MARK: - Registry

    private func perform(_ node: Node, _ effects: [Registry.Effect]) {
        for (index, effect) in effects.enumerated() {
            guard goesOn(node) else {
                if node.isAlive { node.inbox.insert(.rest(Array(effects[index...])), at: 0) }
                return
            }
            switch effect {
            case .publish(let message): publish(node, message)
            case .store(let ticket, let request): store(node, ticket, request)
            case .superseded(let boot): superseded(node, by: boot)
            }
        }
    }

    // MARK: - Fleet

    private func perform(_ node: Node, _ effects: [Fleet.Effect]) {
        for (index, effect) in effects.enumerated() {
            guard goesOn(node) else {
                if node.isAlive { node.inbox.insert(.restOfFleet(Array(effects[index...])), at: 0) }
                return
            }
            switch effect {
            case .publish(let message): publish(node, message)
            case .subscribe(let tenant): subscribe(node, ShellSubscriptions.workManager(tenant), tenant)
            case .unsubscribe(let tenant): unsubscribe(node, ShellSubscriptions.workManager(tenant))
            case .superseded(let boot): superseded(node, by: boot)
            case .report(let report):
                trace.note(now, "fleet", node) { "\(report)" }
                checker.fleetReports(node, report, at: now)
                if case .started(let tenant, let epoch, _, _) = report { checkSuccession(tenant, epoch, on: node) }
            }
        }
    }

    // MARK: - Gateway

    /// Intent before effect, as GatewayShell does it: a batch with a blocking entry, and all that come after it, wait
    /// for the disk.
    private func record(_ node: Node, _ effects: [Gateway.Effect]) {
        let entries = effects.compactMap { if case .record(let entry) = $0 { entry } else { nil } }
        let isBlocking = entries.contains { $0.isBlocking } && !options.mutants.contains(.effectsBeforeLedger)
        if !isBlocking {
            if !entries.isEmpty { write(node, entries, batch: nil) }
            if node.held.isEmpty { return carryOut(node, effects, failure: nil, decided: now) }
        }
        let number = node.firstHeld + node.held.count
        node.held.append(Node.HeldBatch(effects: effects, isReady: !isBlocking, decided: now))
        if isBlocking { write(node, entries, batch: number) }
    }

    private func write(_ node: Node, _ entries: [LedgerEntry], batch: Int?) {
        node.ledgerQueue.append(Node.LedgerWrite(entries: entries, batch: batch))
        guard node.ledgerQueue.count == 1 else { return }
        scheduler.add(.ledger(node.index, incarnation: node.incarnation), at: now + ledgerDelay(node))
    }

    private func ledgerDelay(_ node: Node) -> SimTime {
        let usual = disk.delay(200, 4_000, rarely: 60_000)
        return node.ledgerSlowUntil > now ? usual * 200 : usual
    }

    func commitLedger(_ node: Node, _ incarnation: Int) {
        guard node.isAlive, node.incarnation == incarnation, !node.ledgerQueue.isEmpty else { return }
        let batch = node.ledgerQueue
        node.ledgerQueue = []
        let failure = node.ledgerFailsUntil > now ? "database or disk is full" : nil
        if failure == nil { for write in batch { node.ledger.apply(write.entries) } }
        for case let write in batch {
            if let number = write.batch { feed(node, .recorded(batch: number, failure: failure)) }
        }
    }

    private func recorded(_ node: Node, _ number: Int, _ failure: String?) {
        guard node.held.indices.contains(number - node.firstHeld) else { return }
        node.held[number - node.firstHeld].isReady = true
        if failure != nil {
            for index in node.held.indices.dropFirst(number - node.firstHeld) { node.held[index].failure = failure }
        }
        while let batch = node.held.first, batch.isReady, node.isAlive {
            node.held.removeFirst()
            node.firstHeld += 1
            carryOut(node, batch.effects, failure: batch.failure, decided: batch.decided)
            if batch.failure != nil {
                let entries = batch.effects.compactMap { if case .record(let entry) = $0 { entry } else { nil } }
                feed(node, .unrecorded(entries))
            }
        }
    }

    private func carryOut(_ node: Node, _ effects: [Gateway.Effect], failure: String?, decided: SimTime) {
        for (index, effect) in effects.enumerated() {
            guard goesOn(node) else {
                if node.isAlive {
                    node.inbox.insert(
                        .restOfGateway(Array(effects[index...]), failure: failure, decided: decided), at: 0)
                }
                return
            }
            switch effect {
            case .publish(let message):
                if failure == nil || options.mutants.contains(.promisesUnwritten) { publish(node, message) }
            case .call(let call):
                let isStale = call.kind.acts && now - decided > 10 * SimClock.second
                if isStale && !options.mutants.contains(.staleDecisions) {
                    refuse(node, call, "decided too long ago")
                } else if let failure, call.kind.isSubmit {
                    refuse(node, call, failure)
                } else {
                    send(node, call)
                }
            case .subscribe(let provider): subscribe(node, [.commandsForProvider(provider)], nil)
            case .unsubscribe(let provider): unsubscribe(node, [.commandsForProvider(provider)])
            case .record: break  // was taken out before
            case .superseded(let boot): superseded(node, by: boot)
            case .report(let report):
                trace.note(now, "gateway", node) { "\(report)" }
                if case .attached(let provider) = report {
                    node.attached.insert(provider)
                    checker.attached(node, provider, at: now)
                }
                if case .detached(let provider) = report { node.attached.remove(provider) }
            }
        }
    }

    /// It does not leave the process.
    private func refuse(_ node: Node, _ call: ProviderCall, _ why: String) {
        scheduler.add(
            .answer(
                node.index, incarnation: node.incarnation, call: call.id, latency: 0, .failed(.notSent, .ledger, why)),
            at: now)
    }
}
