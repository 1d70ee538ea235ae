import OMSModel
import OMSProtocol

/// The nemesis at work.
extension World {
    func begin(_ index: Int) {
        let fault = faults[index]
        trace.note(now, "nemesis", nil) { fault.description(setting.nodes) }
        switch fault.kind {
        case .kill(let node, let silently, let down):
            kill(nodes[node], silently: silently)
            scheduler.add(.start(node), at: now + down)
        case .cut(let node, let effects, _, let down):
            nodes[node].fuse = (effects, index)
            // Even if the batch never comes.
            scheduler.add(.faultEnds(index), at: now + down + 10 * SimClock.second)
        case .pause(let node, let time):
            pause(nodes[node])
            scheduler.add(.resume(node), at: now + time)
        case .goodbye(let node, let down):
            stop(nodes[node])
            scheduler.add(.start(node), at: now + down)
        case .partition(let node, let time): partition(nodes[node], time)
        case .broker(let down):
            let dropped = broker.forget()
            broker.isUp = false
            for connection in dropped {
                scheduler.add(.clientNotices(connection: connection), at: now + wire.int(1...1_500) * 1_000)
            }
            scheduler.add(.faultEnds(index), at: now + down)
        case .databaseDown(let time):
            databaseState.downUntil = max(databaseState.downUntil, now + time)
            databaseState.lockHolder = nil
        case .backup: databaseState.backup = Backup(database: database, term: databaseState.term)
        case .restore(let down):
            guard let backup = databaseState.backup else { return }
            for node in nodes where node.role == .registry {
                kill(node, silently: false)
                scheduler.add(.start(node.index), at: now + down)
            }
            database = backup.database
            databaseState.term = backup.term
            databaseState.isRestored = true
            databaseState.lockHolder = nil
        case .fallBack(let breaksSessions):
            guard let backup = databaseState.backup else { return }
            let refusesEnds = database.refusesEnds
            database = backup.database
            database.refusesEnds = refusesEnds
            databaseState.term = backup.term
            databaseState.isRestored = true
            if breaksSessions { databaseState.lockHolder = nil }
        case .databaseRefuses(let time):
            databaseState.refusesUntil = max(databaseState.refusesUntil, now + time)
        case .factsRefused: database.refusesEnds = true
        case .smallMessages(let bytes, let time):
            broker.messageLimit = min(broker.messageLimit ?? .max, bytes)
            if let time { scheduler.add(.faultEnds(index), at: now + time) }
        case .databaseStalls(let time):
            databaseState.stalledUntil = max(databaseState.stalledUntil, now + time)
        case .databaseFlaky(let time):
            databaseState.flakiness = 0.3
            scheduler.add(.faultEnds(index), at: now + time)
        case .weather(let provider, _, let weather, let time):
            providers[provider]?.weather = weather
            scheduler.add(.faultEnds(index), at: now + time)
        case .providerRestart(let provider, let forgetting):
            providers[provider]?.restart(forgetting: forgetting, at: now)
            takeExecutions(of: provider)
        case .ledgerFull(let node, let time): nodes[node].ledgerFailsUntil = now + time
        case .ledgerSlow(let node, let time): nodes[node].ledgerSlowUntil = now + time
        case .wallStep(let node, let step): nodes[node].wallOffset += step
        case .storm(let loss, let doubling, let delay, let time):
            storm = Storm(loss: loss, doubling: doubling, longestDelay: delay)
            scheduler.add(.faultEnds(index), at: now + time)
        case .suspend(let tenant, let time):
            apply([setting.tenantDocument(tenant, suspended: true)])
            scheduler.add(.faultEnds(index), at: now + time)
        case .offboard(let tenant, let time):
            ask("offboard", ["tenant": .string(tenant.text)])
            scheduler.add(.faultEnds(index), at: now + time)
        case .reparameterise(let scenario): apply([setting.scenarioDocument(scenario, variant: index)])
        case .respecify(let provider): apply([setting.providerDocument(provider, variant: index)])
        case .replace(let tenant, let seconds):
            ask("replace", ["tenant": .string(tenant.text), "deadline_s": .int(Int64(seconds))])
        case .abort(let tenant): ask("operation.abort", ["tenant": .string(tenant.text)])
        case .neverStops(let provider, let time):
            providers[provider]?.neverStops = true
            scheduler.add(.faultEnds(index), at: now + time)
        case .drainFleet(let fleet, let time):
            ask("fleet.drain", ["fleet": .string(fleet.text)])
            scheduler.add(.faultEnds(index), at: now + time)
        }
    }

    func end(_ index: Int) {
        switch faults[index].kind {
        case .cut(let node, _, _, _):
            if nodes[node].fuse?.fault == index { nodes[node].fuse = nil }
            resume(nodes[node])
            start(nodes[node])
        case .broker: broker.isUp = true
        case .smallMessages: broker.messageLimit = nil
        case .databaseFlaky: databaseState.flakiness = 0
        case .weather(let provider, _, _, _): providers[provider]?.weather = .calm
        case .storm: storm = now < setting.faultsEnd ? setting.background : Storm()
        case .suspend(let tenant, _), .offboard(let tenant, _):
            apply([setting.tenantDocument(tenant, suspended: false)])
        case .neverStops(let provider, _): providers[provider]?.neverStops = false
        case .drainFleet(let fleet, _): ask("fleet.undrain", ["fleet": .string(fleet.text)])
        case .backup, .restore, .fallBack, .databaseRefuses, .factsRefused, .replace, .abort, .kill, .pause, .goodbye,
            .partition,
            .databaseDown, .databaseStalls,
            .providerRestart,
            .ledgerFull,
            .ledgerSlow, .wallStep, .reparameterise, .respecify:
            break
        }
    }

    /// The fuse has burnt down, between two effects.
    func blow(_ node: Node, _ index: Int) {
        guard case .cut(_, _, let kills, let down) = faults[index].kind else { return }
        if kills {
            kill(node, silently: false)
            scheduler.add(.start(node.index), at: now + down)
        } else {
            pause(node)
            scheduler.add(.resume(node.index), at: now + down)
        }
    }

    private func partition(_ node: Node, _ time: SimTime) {
        node.partitionedUntil = max(node.partitionedUntil, now + time)
        scheduler.add(.heal(node.index), at: node.partitionedUntil)
        guard let connection = node.connection else { return }
        // The broker gives up after one and a half keep-alives of 10 s, the client after one or two.
        scheduler.add(.brokerDrops(connection: connection, onlyIfSilent: true), at: now + 15 * SimClock.second)
        let patience = wire.pick([10, 20, 20]) * SimClock.second
        if time > patience { scheduler.add(.clientNotices(connection: connection), at: now + patience) }
    }

    /// The weather clears: nothing new goes wrong from here on, and everything must come to its end.
    func calm() {
        storm = Storm()
        databaseState.flakiness = 0
        databaseState.downUntil = min(databaseState.downUntil, now)
        databaseState.stalledUntil = min(databaseState.stalledUntil, now)
        databaseState.refusesUntil = min(databaseState.refusesUntil, now)
        broker.isUp = true
        for id in setting.providers.map(\.id) { providers[id]?.weather = .calm }
        for node in nodes {
            node.fuse = nil
            node.ledgerFailsUntil = 0
            node.ledgerSlowUntil = 0
            // The clocks are set right.
            node.wallOffset = 0
            node.partitionedUntil = min(node.partitionedUntil, now)
            scheduler.add(.heal(node.index), at: now)
            resume(node)
            start(node)
        }
        for node in nodes where node.role == .fleet { ask("fleet.undrain", ["fleet": .string(node.id.text)]) }
        apply(setting.tenants.map { setting.tenantDocument($0, suspended: false) })
    }
}
