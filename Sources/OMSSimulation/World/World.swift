import OMSCore
import OMSModel
import OMSProtocol

/// The simulated system: real cores, everything else made up. One thread, one seed, one history.
final class World {
    let setting: Setting
    let options: SimulationOptions
    var scheduler = Scheduler()
    var now: SimTime = 0
    var nodes: [Node] = []
    var broker = SimBroker()
    var database = SimDatabase()
    var databaseState = DatabaseState()
    var providers: [ProviderID: SimProvider] = [:]
    var operatorDesk = OperatorDesk()
    var checker: Checker
    var trace: Trace
    var faults: [Fault]
    var activeFaults: Set<Int> = []
    /// Random streams, one per kind of decision.
    var wire: SimRandom
    var web: SimRandom
    var disk: SimRandom
    var storage: SimRandom
    /// Losses and doublings now.
    var storm = Storm()
    var events = 0

    struct Storm {
        var loss = 0.0
        var doubling = 0.0
        var longestDelay: SimTime = 20 * SimClock.millisecond
    }

    /// What of PostgreSQL is not in its tables.
    struct DatabaseState {
        var downUntil: SimTime = 0
        var stalledUntil: SimTime = 0
        /// Probability that a request is answered with an error; half of those were carried out.
        var flakiness = 0.0
        /// The registry whose session holds the advisory lock.
        var lockHolder: (node: Int, incarnation: Int)?
        /// `oms.active_registry`.
        var term = 0
        var backup: Backup?
        var isRestored = false
        var refusesUntil: SimTime = 0
    }

    struct Backup {
        var database: SimDatabase
        var term: Int
    }

    init(_ setting: Setting, _ options: SimulationOptions) {
        self.setting = setting
        self.options = options
        wire = SimRandom(seed: setting.seed, stream: 11)
        web = SimRandom(seed: setting.seed, stream: 12)
        disk = SimRandom(seed: setting.seed, stream: 13)
        storage = SimRandom(seed: setting.seed, stream: 14)
        checker = Checker(setting, options)
        trace = Trace(isRecording: options.recordsTrace)
        faults = setting.faults
        broker.maxQueued = setting.brokerQueue
        storm = setting.background
        database.broken = options.mutants
        for (id, traits) in setting.providers {
            var provider = SimProvider(
                id: id, traits: traits,
                random: SimRandom(seed: setting.seed, stream: 100 + UInt64(providers.count)))
            provider.bulk = setting.bulk
            provider.isIdempotent = !options.mutants.contains(.providerRunsTwice)
            if options.mutants.contains(.providerForgetsStops) { provider.hasTombstones = false }
            providers[id] = provider
        }
        _ = database.apply(setting.documents)
        for (index, member) in setting.nodes.enumerated() {
            let node = Node(index: index, role: member.role, id: member.id)
            node.ledger.loses = Mutant.lossOfLedger(options.mutants)
            node.ledger.forgetsEnded = options.mutants.contains(.forgetfulLedger)
            nodes.append(node)
            scheduler.add(.start(index), at: wire.int(0...500) * SimClock.millisecond)
        }
        for fault in faults.indices where !options.disabledFaults.contains(fault) {
            scheduler.add(.fault(fault), at: faults[fault].at)
        }
        scheduler.add(.calm, at: setting.faultsEnd)
        scheduler.add(.audit, at: SimClock.second)
        scheduler.add(.end, at: setting.end)
    }

    /// Runs until the end or the first violation.
    func run() {
        while checker.violation == nil, let next = scheduler.next() {
            now = next.at
            events += 1
            if case .end = next.action {
                finish()
                return
            }
            carryOut(next.action)
        }
    }

    private func carryOut(_ action: Action) {
        switch action {
        case .connect(let node, let incarnation): connect(nodes[node], incarnation)
        case .subscribed(let connection): standingSubscriptions(connection)
        case .connected(let connection): connected(connection)
        case .subscribe(let connection, let filters, let tenant): subscribe(connection, filters, tenant)
        case .tenantSubscribed(let connection, let tenant): tenantSubscribed(connection, tenant)
        case .unsubscribe(let connection, let filters): unsubscribe(connection, filters)
        case .toBroker(let connection, let message): arrivedAtBroker(connection, message)
        case .toClient(let connection, let message): arrivedAtClient(connection, message)
        case .brokerDrops(let connection, let onlyIfSilent): brokerDrops(connection, onlyIfSilent)
        case .clientNotices(let connection): clientNotices(connection)
        case .wake(let node, let incarnation, let at): wake(nodes[node], incarnation, at)
        case .refused(let node, let incarnation, let refusal):
            guard nodes[node].incarnation == incarnation else { return }
            feed(nodes[node], .notSent(refusal))
        case .start(let node): start(nodes[node])
        case .resume(let node): resume(nodes[node])
        case .call(let node, let incarnation, let call): arrivedAtProvider(node, incarnation, call)
        case .answer(let node, let incarnation, let call, let latency, let answer):
            guard nodes[node].incarnation == incarnation else { return }
            feed(nodes[node], .answer(call: call, latency: latency, answer))
        case .ledger(let node, let incarnation): commitLedger(nodes[node], incarnation)
        case .store(let node, let incarnation, let ticket, let request):
            transact(nodes[node], incarnation, ticket, request)
        case .stored(let node, let incarnation, let ticket, let reply):
            guard nodes[node].incarnation == incarnation else { return }
            nodes[node].storeOpen -= 1
            feed(nodes[node], .stored(ticket: ticket, reply))
        case .operatorAsks: operatorAsks()
        case .fault(let index): begin(index)
        case .faultEnds(let index): end(index)
        case .heal(let node): heal(nodes[node])
        case .calm: calm()
        case .audit: audit()
        case .end: break
        }
    }

    func moment(_ node: Node) -> Moment { SimClock.moment(now, offset: node.wallOffset) }

    // MARK: - Processes

    func start(_ node: Node) {
        guard !node.isAlive else { return }
        node.incarnation += 1
        node.isAlive = true
        node.isPaused = false
        node.inbox = []
        node.fuse = nil
        node.storeOpen = 0
        node.storeFree = now
        node.storeRetryAt = 0
        node.isStandby = false
        node.term = 0
        node.repliesFree = now
        node.wanted = .max
        node.scheduled = .max
        let moment = moment(node)
        // Fleets and gateways count their incarnations in a folder of their own; the registry has the wall clock alone.
        node.boot = node.role == .registry ? moment.wall.milliseconds : max(node.boot + 1, moment.wall.milliseconds)
        node.attached = []
        trace.note(now, "start", node) { "boot \(node.boot)" }
        switch node.role {
        case .registry:
            node.registry = Registry(
                id: node.id, boot: node.boot, release: "sim", heartbeatSeconds: setting.heartbeatSeconds,
                retention: setting.retention, at: moment)
            node.filters = heard(node.registry?.subscriptions ?? [])
        case .fleet:
            node.fleet = Fleet(id: node.id, boot: node.boot, release: "sim", at: moment)
            node.filters = heard(node.fleet?.subscriptions ?? [])
        case .gateway:
            node.gateway = Gateway(
                id: node.id, boot: node.boot, release: "sim", seed: setting.seed &+ UInt64(node.incarnation),
                timing: setting.timing, ledger: node.ledger.contents, at: moment)
            node.filters = heard(node.gateway?.subscriptions ?? [])
            node.gate = EffectGate(without: Mutant.left(of: options.mutants))
        case .admin, .monitor: break
        }
        node.connectAttempts = 0
        scheduler.add(
            .connect(node.index, incarnation: node.incarnation), at: now + wire.int(5...50) * SimClock.millisecond)
        setTimer(node)
    }

    /// kill -9.
    /// - Parameter silently: the machine went with it, so that the broker finds out by its keep-alive only.
    func kill(_ node: Node, silently: Bool) {
        guard node.isAlive else { return }
        trace.note(now, "kill", node) { silently ? "with its machine" : "" }
        end(node)
        if let connection = node.connection {
            node.connection = nil
            broker.connections[connection].isAtClient = false
            let notices = silently ? 15 * SimClock.second : wire.int(1...80) * SimClock.millisecond
            scheduler.add(.brokerDrops(connection: connection, onlyIfSilent: false), at: now + notices)
        }
    }

    /// It sees a newer process under its own name and ends; its supervisor starts it again.
    func superseded(_ node: Node, by boot: Int64) {
        trace.note(now, "superseded", node) { "by \(boot)" }
        kill(node, silently: false)
        scheduler.add(.start(node.index), at: now + wire.int(1_000...5_000) * SimClock.millisecond)
    }

    /// A process that says goodbye and leaves.
    func stop(_ node: Node) {
        guard node.isAlive, !node.isPaused else { return kill(node, silently: false) }
        trace.note(now, "stop", node) { "" }
        if let farewell = presence(of: node, .offline) { publish(node, farewell) }
        if let connection = node.connection {
            // DISCONNECT takes the will back.
            scheduler.add(
                .toBroker(connection: connection, nil), at: broker.connections[connection].upFree + 1)
            node.connection = nil
            broker.connections[connection].isAtClient = false
        }
        end(node)
    }

    private func end(_ node: Node) {
        checker.processEnded(node)
        leaveDatabase(node)
        node.isAlive = false
        node.isPaused = false
        node.inbox = []
        node.registry = nil
        node.fleet = nil
        node.gateway = nil
        node.fuse = nil
        // What waited for the disk: the write under way may have come through, the others have not.
        if let first = node.ledgerQueue.first, disk.chance(0.5) { node.ledger.apply(first.entries) }
        node.ledgerQueue = []
        node.gate = EffectGate()
    }

    func pause(_ node: Node) {
        guard node.isAlive, !node.isPaused else { return }
        trace.note(now, "pause", node) { "" }
        node.isPaused = true
        if let connection = node.connection {
            scheduler.add(
                .brokerDrops(connection: connection, onlyIfSilent: true), at: now + 15 * SimClock.second)
        }
    }

    func resume(_ node: Node) {
        guard node.isAlive, node.isPaused else { return }
        trace.note(now, "resume", node) { "\(node.inbox.count) inputs" }
        node.isPaused = false
        let waiting = node.inbox
        node.inbox = []
        for input in waiting { feed(node, input) }
    }

    // MARK: - Timers

    func setTimer(_ node: Node) {
        let moment = moment(node)
        let next: Int64
        switch node.role {
        case .registry: next = node.registry?.nextWake(at: moment) ?? .max
        case .fleet: next = node.fleet?.nextWake(at: moment) ?? .max
        case .gateway: next = node.gateway?.nextWake(at: moment) ?? .max
        case .admin, .monitor: next = .max
        }
        node.wanted = next
        guard next < node.scheduled else { return }
        node.scheduled = next
        scheduler.add(
            .wake(node.index, incarnation: node.incarnation, at: next), at: max(now, next * SimClock.millisecond))
    }

    private func wake(_ node: Node, _ incarnation: Int, _ at: Int64) {
        guard node.isAlive, node.incarnation == incarnation, node.scheduled == at else { return }
        node.scheduled = .max
        if node.wanted > at {
            // It was set anew meanwhile.
            node.scheduled = node.wanted
            scheduler.add(
                .wake(node.index, incarnation: incarnation, at: node.wanted), at: node.wanted * SimClock.millisecond)
            return
        }
        feed(node, .wake)
    }
}
