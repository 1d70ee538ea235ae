package import OMSModel
package import OMSProtocol

/// A fleet process: hosts one Work Manager per tenant placed on it, starts and stops them as the registry says.
package struct Fleet: Sendable {
    package enum Event: Sendable {
        /// The connection stands and all subscriptions with it.
        case connected
        case received(Message)
        /// The subscriptions of a tenant stand (answer to `.subscribe`).
        case subscribed(TenantID)
        /// The broker does not let this process hear what a tenant's Work Manager must hear.
        case deaf(TenantID, why: String)
        /// A message did not leave, and never would.
        case notSent(NotSent)
        case wake
    }

    package enum Effect: Hashable, Sendable {
        case publish(Message)
        /// Subscribe to what a hosted Work Manager hears: heartbeat, committed, epoch, job events.
        /// Asked again for one that waits: subscribing is safe to repeat.
        case subscribe(TenantID)
        case unsubscribe(TenantID)
        /// A newer process has this name: this one must end.
        case superseded(boot: Int64)
        /// For the log.
        case report(Report)
    }

    package enum Report: Hashable, Sendable {
        case started(TenantID, epoch: Int, generation: Int, adopted: Int)
        case reconfigured(TenantID, generation: Int)
        case ended(TenantID, epoch: Int, why: String)
        case refused(TenantID, why: String)
    }

    package let id: NodeID
    package let boot: Int64
    let release: String
    let since: Timestamp
    /// Whose Work Manager the process before was looking after when it died.
    let suspect: TenantID?
    /// Hears before a Work Manager is given an event; decides nothing.
    package var onHandling: (@Sendable (TenantID) -> Void)?

    var managers: [TenantID: WorkManager] = [:]
    var timers = TimerQueue<TenantID>()
    /// The bootstrap command that a starting Work Manager has to acknowledge.
    var starting: [TenantID: WMControl] = [:]
    /// Whose subscriptions the broker has refused since they were last granted.
    private var deaf: Set<TenantID> = []
    private var health: [ProviderID: Health] = [:]
    /// Any message may be lost, this one too: it is said again now and then (monotonic).
    private var nextAnnouncement: Int64 = .max
    /// The highest epoch of a tenant that has ended in this process: it never begins here again.
    var tombstones: [TenantID: Tombstone] = [:]
    /// The drain that is to be acknowledged.
    var draining: [TenantID: WMControl] = [:]

    struct Tombstone: Sendable {
        var epoch: Int
        /// Of a drained one: the last number of its journal, all of it committed. nil: it ended otherwise.
        var lastSeq: Int?
    }
    private var effects: [Effect] = []

    static let announceMilliseconds: Int64 = 10_000

    package init(id: NodeID, boot: Int64, release: String, suspect: TenantID? = nil, at now: Moment) {
        self.suspect = suspect
        self.id = id
        self.boot = boot
        self.release = release
        since = now.wall
    }

    package func presence(_ state: Presence.State) -> Presence {
        Presence(state: state, boot: boot, since: since, release: release, protocols: [1], suspect: suspect)
    }

    package mutating func receive(_ event: Event, at now: Moment) -> [Effect] {
        switch event {
        case .connected:
            announce(at: now)
            for tenant in managers.keys.sorted() { tell(tenant, .connected, at: now) }
            // A connection that broke before the answer to `.subscribe` brings the subscription back by itself.
            for tenant in starting.keys.sorted() where !deaf.contains(tenant) { subscribed(tenant, at: now) }
        case .received(let message): received(message, at: now)
        case .subscribed(let tenant): subscribed(tenant, at: now)
        case .deaf(let tenant, let why): deafened(tenant, why)
        case .notSent(let refusal): notSent(refusal, at: now)
        case .wake:
            if now.monotonic >= nextAnnouncement { announce(at: now) }
            for tenant in timers.popDue(now.monotonic) { tell(tenant, .wake, at: now) }
        }
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    package mutating func nextWake(at now: Moment) -> Int64 {
        max(now.monotonic + 1, min(timers.next() ?? .max, nextAnnouncement, now.monotonic + 60_000))
    }

    private mutating func announce(at now: Moment) {
        effects.append(.publish(Message(.fleetPresence(id), .presence(presence(.online)))))
        nextAnnouncement = now.monotonic + Self.announceMilliseconds
    }

    /// Hosted Work Managers by tenant, for the log and tests.
    package var hosted: [TenantID: Int] { managers.mapValues(\.epoch) }

    private mutating func received(_ message: Message, at now: Moment) {
        switch (message.topic, message.payload) {
        case (.wmControl(let tenant), .wmControl(let control)): obey(control, for: tenant, at: now)
        case (.wmHeartbeat(let tenant), .heartbeat(let heartbeat)): tell(tenant, .heartbeat(heartbeat), at: now)
        case (.wmCommitted(let tenant), .committed(let committed)): tell(tenant, .committed(committed), at: now)
        case (.wmEpoch(let tenant), .wmEpoch(let epoch)):
            if let manager = managers[tenant], epoch.epoch > manager.epoch {
                end(tenant, "epoch \(epoch.epoch) has begun", at: now)
            }
        // Taken away by somebody: the registry, whose it is, says it again. Its absence ends nobody, just as it would not be
        // noticed by a fleet that connects later: an order ends a Work Manager, or a gateway that refuses its epoch.
        case (.wmEpoch, .removed): break
        case (.wmState(let tenant), .removed): tell(tenant, .stateTaken, at: now)
        case (.jobEvent(let tenant, let provider), .jobEvent(let event)):
            tell(tenant, .jobEvent(provider, event), at: now)
        case (.providerHealth(let provider), .health(let report)):
            health[provider] = report
            for tenant in managers.keys.sorted() { tell(tenant, .health(provider, report), at: now) }
        case (.providerHealth(let provider), .removed): health[provider] = nil
        case (.fleetPresence(id), .presence(let presence)):
            // An old will, or the goodbye of an earlier process, must not stand against us.
            if presence.boot > boot {
                if presence.state == .online { effects.append(.superseded(boot: presence.boot)) }
                return
            }
            if presence.state != .online {
                effects.append(.publish(Message(.fleetPresence(id), .presence(self.presence(.online)))))
            }
        case (.fleetPresence(id), .removed): announce(at: now)
        default: break
        }
    }

    private mutating func obey(_ control: WMControl, for tenant: TenantID, at now: Moment) {
        guard control.fleet == id else { return }
        guard control.boot == boot else {
            return reject(control, tenant, "the command is for process \(control.boot), this is \(boot)")
        }
        if control.command == .drain, let tombstone = tombstones[tenant], tombstone.epoch >= control.epoch {
            // Repeated because the acknowledgement was lost, or it ended by other means.
            return acknowledge(
                control, tenant, .done, lastSeq: tombstone.epoch == control.epoch ? tombstone.lastSeq : nil)
        }
        let current = managers[tenant]
        if let current, control.epoch < current.epoch {
            return reject(control, tenant, "epoch \(current.epoch) runs here, \(control.epoch) is over")
        }
        switch control.command {
        case .bootstrap:
            guard let config = control.config, config.tenant == tenant else {
                return reject(control, tenant, "field config is missing or of another tenant")
            }
            if let tombstone = tombstones[tenant], control.epoch <= tombstone.epoch {
                return reject(control, tenant, "epoch \(tombstone.epoch) has ended here already")
            }
            if let current, current.epoch == control.epoch {
                if starting[tenant] != nil {
                    starting[tenant] = control
                    effects.append(.subscribe(tenant))
                } else {
                    tell(tenant, .reconfigure(config), at: now)
                    acknowledge(control, tenant, .done)
                }
                return
            }
            if current != nil { end(tenant, "epoch \(control.epoch) takes its place", at: now) }
            let resume = control.resume ?? .empty
            managers[tenant] = WorkManager(
                tenant: tenant, epoch: control.epoch, fleet: id, boot: boot, config: config, resume: resume, at: now)
            starting[tenant] = control
            effects.append(.subscribe(tenant))
            acknowledge(control, tenant, .accepted)
            effects.append(
                .report(
                    .started(
                        tenant, epoch: control.epoch, generation: config.generation, adopted: resume.open.count)))
        case .reconfigure:
            guard let config = control.config, current?.epoch == control.epoch else {
                return reject(control, tenant, "no Work Manager of epoch \(control.epoch) runs here")
            }
            tell(tenant, .reconfigure(config), at: now)
            acknowledge(control, tenant, .done)
            effects.append(.report(.reconfigured(tenant, generation: config.generation)))
        case .trigger:
            guard let trigger = control.trigger, current?.epoch == control.epoch, starting[tenant] == nil else {
                return reject(control, tenant, "no Work Manager of epoch \(control.epoch) works here yet")
            }
            tell(tenant, .trigger(trigger), at: now)
        case .drain:
            guard let current, current.epoch == control.epoch else {
                // Its bootstrap never came, or is still on its way: it must not begin any more.
                if current != nil { end(tenant, "epoch \(control.epoch) of it is being ended", at: now) }
                tombstones[tenant] = Tombstone(epoch: control.epoch)
                return acknowledge(control, tenant, .done)
            }
            if starting[tenant] != nil {
                end(tenant, "ended before it began", at: now)
                return acknowledge(control, tenant, .done)
            }
            draining[tenant] = control
            acknowledge(control, tenant, .accepted)
            tell(tenant, .drain(until: control.deadline ?? now.wall, isFinal: control.final ?? false), at: now)
        case .resume:
            guard let current, current.epoch == control.epoch else {
                return reject(control, tenant, "no Work Manager of epoch \(control.epoch) runs here")
            }
            draining[tenant] = nil
            tell(tenant, .resume, at: now)
            acknowledge(control, tenant, .done)
        case .reconcile:
            guard let rows = control.resume, current?.epoch == control.epoch else {
                return reject(control, tenant, "no Work Manager of epoch \(control.epoch) runs here")
            }
            tell(tenant, .reconcile(rows), at: now)
            acknowledge(control, tenant, .done)
        case .shutdown:
            if current != nil { end(tenant, control.reason ?? "shut down by the registry", at: now) }
            acknowledge(control, tenant, .done)
        }
    }

    private mutating func subscribed(_ tenant: TenantID, at now: Moment) {
        deaf.remove(tenant)
        guard let control = starting.removeValue(forKey: tenant) else { return }
        for provider in health.keys.sorted() {
            if let report = health[provider] { tell(tenant, .health(provider, report), at: now) }
        }
        tell(tenant, .started, at: now)
        acknowledge(control, tenant, .done)
    }

    /// Nothing begins that nobody could stop. The registry repeats its command, and so the question to the broker.
    private mutating func deafened(_ tenant: TenantID, _ why: String) {
        deaf.insert(tenant)
        guard let control = starting[tenant] else { return }
        acknowledge(control, tenant, .failed, Problem(.unavailable, why))
        effects.append(.report(.refused(tenant, why: why)))
    }

    private mutating func notSent(_ refusal: NotSent, at now: Moment) {
        switch refusal.message.topic {
        case .wmJournal(let tenant), .wmStatus(let tenant), .serviceResult(let tenant, _), .jobCommand(let tenant, _):
            tell(tenant, .notSent(refusal), at: now)
        case .wmAck(let tenant):
            guard case .wmAck(var ack) = refusal.message.payload, ack.error?.detail != nil else { return }
            ack.error?.detail = nil
            ack.error?.errors = nil
            effects.append(.publish(Message(.wmAck(tenant), .wmAck(ack))))
        default: break  // of a fixed size; the log has it
        }
    }

    private mutating func tell(_ tenant: TenantID, _ event: WorkManager.Event, at now: Moment) {
        guard managers[tenant] != nil else { return }
        onHandling?(tenant)
        guard let results = managers[tenant]?.receive(event, at: now) else { return }
        timers.set(tenant, managers[tenant]?.nextWake(at: now))
        var newer: Int?
        var drained: Int?
        for effect in results {
            switch effect {
            case .publish(let message): effects.append(.publish(message))
            case .fenced(let epoch): newer = epoch
            case .answered(let trigger, let problem): answer(trigger, tenant, problem)
            case .draining(let remaining):
                if let control = draining[tenant] { acknowledge(control, tenant, .progress, remaining: remaining) }
            case .drained(let lastSeq): drained = lastSeq
            }
        }
        if let drained { return leave(tenant, lastSeq: drained, at: now) }
        if let newer { end(tenant, "a gateway refuses epoch \(newer): it is over", at: now) }
    }

    /// Drained: first it is gone, then it says so.
    private mutating func leave(_ tenant: TenantID, lastSeq: Int, at now: Moment) {
        guard let manager = managers[tenant] else { return }
        let control = draining[tenant]
        end(tenant, control?.reason ?? "drained", at: now)
        tombstones[tenant] = Tombstone(epoch: manager.epoch, lastSeq: lastSeq)
        effects.append(
            .publish(
                Message(
                    .wmState(tenant),
                    .wmState(
                        WMState(
                            state: .stopped, epoch: manager.epoch, generation: manager.config.generation, fleet: id,
                            since: now.wall)))))
        if let control { acknowledge(control, tenant, .done, remaining: 0, lastSeq: lastSeq) }
    }

    private mutating func end(_ tenant: TenantID, _ why: String, at now: Moment) {
        guard let manager = managers.removeValue(forKey: tenant) else { return }
        if manager.epoch > tombstones[tenant]?.epoch ?? 0 { tombstones[tenant] = Tombstone(epoch: manager.epoch) }
        starting[tenant] = nil
        deaf.remove(tenant)
        draining[tenant] = nil
        timers.set(tenant, nil)
        effects.append(.unsubscribe(tenant))
        effects.append(.report(.ended(tenant, epoch: manager.epoch, why: why)))
    }

    private mutating func reject(_ control: WMControl, _ tenant: TenantID, _ why: String) {
        acknowledge(control, tenant, .rejected, Problem(.staleEpoch, why))
        effects.append(.report(.refused(tenant, why: why)))
    }

    /// The acknowledgement of a wish carries its id, whoever sent it how often.
    private mutating func answer(_ trigger: RunTrigger, _ tenant: TenantID, _ problem: Problem?) {
        guard let manager = managers[tenant] else { return }
        effects.append(
            .publish(
                Message(
                    .wmAck(tenant),
                    .wmAck(
                        WMAck(
                            id: trigger.id, command: .trigger, phase: problem == nil ? .done : .rejected,
                            epoch: manager.epoch, generation: manager.config.generation, fleet: id, error: problem)))))
    }

    private mutating func acknowledge(
        _ control: WMControl, _ tenant: TenantID, _ phase: WMAck.Phase, _ error: Problem? = nil,
        remaining: Int? = nil, lastSeq: Int? = nil
    ) {
        effects.append(
            .publish(
                Message(
                    .wmAck(tenant),
                    .wmAck(
                        WMAck(
                            id: control.id, command: control.command, phase: phase, epoch: control.epoch,
                            generation: managers[tenant]?.config.generation ?? control.generation, fleet: id,
                            remaining: remaining, lastSeq: lastSeq, error: error)))))
    }
}
