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
            case .restOfGateway(let batch): return carryOut(node, batch)
            case .recorded(let ticket, let failure): return recorded(node, ticket, failure)
            default: break
            }
            guard let event = gatewayEvent(input) else { return }
            if let effects = node.gateway?.receive(event, at: moment) { record(node, effects) }
        case .admin, .monitor: break
        }
        checker.checkCore(node, at: now)
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
        case .notSent(let refusal): return .notSent(refusal)
        case .wake: return .wake
        default: return nil
        }
    }

    private func fleetEvent(_ input: Node.Input) -> Fleet.Event? {
        switch input {
        case .connected: return .connected
        case .message(let message): return .received(message)
        case .subscribed(let tenant): return .subscribed(tenant)
        case .notSent(let refusal): return .notSent(refusal)
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
        case .notSent(let refusal): return .notSent(refusal)
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
            case .subscribe(let tenant): subscribe(node, heard(Fleet.subscriptions(of: tenant)), tenant)
            case .unsubscribe(let tenant): unsubscribe(node, heard(Fleet.subscriptions(of: tenant)))
            case .superseded(let boot): superseded(node, by: boot)
            case .report(let report):
                trace.note(now, "fleet", node) { "\(report)" }
                checker.fleetReports(node, report, at: now)
                if case .started(let tenant, let epoch, _, _) = report { checkSuccession(tenant, epoch, on: node) }
            }
        }
    }

    // MARK: - Gateway

    private func record(_ node: Node, _ effects: [Gateway.Effect]) {
        let admission = node.gate.admit(effects, at: moment(node).monotonic)
        write(node, admission.entries, for: admission.ticket)
        if let batch = admission.batch { carryOut(node, batch) }
    }

    private func write(_ node: Node, _ entries: [LedgerEntry], for ticket: Int?) {
        guard !entries.isEmpty else { return }
        node.ledgerQueue.append(Node.LedgerWrite(entries: entries, ticket: ticket))
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
            if let ticket = write.ticket { feed(node, .recorded(ticket: ticket, failure: failure)) }
        }
    }

    private func recorded(_ node: Node, _ ticket: Int, _ failure: String?) {
        node.gate.written(ticket, failure: failure)
        while node.isAlive, let batch = node.gate.release() {
            carryOut(node, batch)
            if let lost = batch.unrecorded { feed(node, .unrecorded(lost)) }
        }
    }

    private func carryOut(_ node: Node, _ released: EffectGate.Batch) {
        var batch = released
        while true {
            let rest = batch
            guard let step = batch.next(at: moment(node).monotonic) else { return }
            guard goesOn(node) else {
                if node.isAlive { node.inbox.insert(.restOfGateway(rest), at: 0) }
                return
            }
            switch step {
            case .refuse(let call, let why): refuse(node, call, why)
            case .skip: break
            case .perform(let effect): carryOut(node, effect)
            }
        }
    }

    private func carryOut(_ node: Node, _ effect: Gateway.Effect) {
        switch effect {
        case .publish(let message): publish(node, message)
        case .call(let call): send(node, call)
        case .subscribe(let provider): subscribe(node, heard(Gateway.subscriptions(for: provider)), nil)
        case .unsubscribe(let provider): unsubscribe(node, heard(Gateway.subscriptions(for: provider)))
        case .record: break  // the gate took it
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

    /// It does not leave the process.
    private func refuse(_ node: Node, _ call: ProviderCall, _ why: String) {
        scheduler.add(
            .answer(
                node.index, incarnation: node.incarnation, call: call.id, latency: 0, .failed(.notSent, .ledger, why)),
            at: now)
    }
}
