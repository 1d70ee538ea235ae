package import OMSModel
package import OMSProtocol

/// The registry's decisions: desired state from PostgreSQL, actual state from the bus, and what to do about the
/// difference. One reconciliation serves the first start, every change and every recovery.
package struct Registry: Sendable {
    package enum Event: Sendable {
        case connected
        /// The broker cannot be reached any more.
        case disconnected
        case received(Message)
        case stored(ticket: Int, StoreReply)
        /// A message did not leave, and never would.
        case notSent(NotSent)
        case wake
        /// Something about this process that operators and reports are to know.
        case noted(kind: String, TenantID?, String)
    }

    package enum Effect: Hashable, Sendable {
        case publish(Message)
        case store(ticket: Int, StoreRequest)
        /// A newer process has this name: this one must end.
        case superseded(boot: Int64)
    }

    package let id: NodeID
    package let boot: Int64
    let release: String
    let since: Timestamp
    /// Seconds between heartbeats.
    let heartbeatSeconds: Int
    let patience: ProviderPatience
    let retention: Retention
    /// After so long a silence PostgreSQL ends this registry's session, and another registry may be the active one.
    let sessionMilliseconds: Int64

    var isLoaded = false
    /// Without the broker nothing is heard, so nobody's silence means anything.
    var isCutOff = true
    /// Another registry is active on the database: this one listens and says nothing.
    var isStandby = false
    /// Retained state needs a moment to arrive after a connect; nothing is planned before.
    var planFrom: Int64 = .max
    var providers: [ProviderID: ProviderTrack] = [:]
    var scenarios: [ScenarioID: ScenarioSpec] = [:]
    /// Scenarios with the overrides of one tenant in them, for tenants that have some; made when first needed.
    var overridden: [TenantID: [ScenarioID: ScenarioSpec]] = [:]
    /// The one that is under way.
    var rollout: Rollout?
    var rolloutWork = RolloutWork()
    /// Tenants that are not registered and whose Work Managers were heard since the start.
    var strangers: Set<TenantID> = []
    /// Tenants of which somebody named an epoch that cannot be.
    var disbelieved: Set<TenantID> = []
    /// `Tenant/men` -> version, for optimistic changes.
    var versions: [String: Int] = [:]
    var specs: [TenantID: TenantSpec] = [:]
    var tenants: [TenantID: TenantTrack] = [:]
    /// Retained state of providers that arrived before the database was read.
    var early: [ProviderID: Heard] = [:]
    var fleets: [NodeID: FleetTrack] = [:]
    var gateways: [NodeID: GatewayTrack] = [:]
    /// Tenants per fleet; counted anew now and then, and kept up to date in between.
    var fleetLoad: [NodeID: Int] = [:]
    var fleetLoadFrom: Int64?
    var pending: [Int: Asked] = [:]
    /// Questions that wait for a session; which client asked is in `waiting` from then on.
    var questions: [Asker: QuestionQueue] = Dictionary(
        uniqueKeysWithValues: Asker.allCases.map { ($0, QuestionQueue($0)) })
    /// Who waits for the answer to a stored request.
    var waiting: [Int: ClientRequest] = [:]
    /// Wishes for a run that their Work Manager has not answered yet, by their id.
    var wishes: [String: (request: ClientRequest, at: Int64)] = [:]
    /// Jobs that are being given up.
    var giveUps: [JobID: GiveUpTrack] = [:]
    var nextTicket = 1
    var nextCommand = 1
    var timers = TimerQueue<TimerKey>()
    var observations = ObservationBuffer()
    /// Tenants whose open jobs are to be compared with their rows.
    var audits: [TenantID] = []
    var isObserving = false
    /// Of a message, in bytes; less when the broker takes less.
    var messageLimit = EnvelopeCodec.maxBytes
    var uploads = Uploads()
    var pruning: PruningWork
    /// What the database refuses now (`Registry+Database.swift`).
    var trouble = DatabaseTrouble()
    /// To be compared with what is read next.
    var confirmed: Confirmed?
    /// What this registry knows of its own session (`Registry+Doubt.swift`).
    var proof = SessionProof()
    /// Monotonic, of the event that is being worked on.
    var present: Int64 = 0
    var effects: [Effect] = []

    struct Asked: Sendable {
        var request: StoreRequest
        /// Monotonic.
        var at: Int64
    }

    struct Heard: Sendable {
        var catalog: Catalog?
        var health: Health?
        /// Gateways that may have it, whatever is read of it next.
        var holders: Set<NodeID> = []
    }

    enum TimerKey: Hashable, Comparable, Sendable {
        case load
        /// The session must be proven again, or cannot be relied on from now on.
        case prove
        case doubt
        case plan
        /// What was seen could not be stored; once more.
        case observe
        case audit
        case giveUps
        case rollout
        case prune
        case tenant(TenantID)
        case provider(ProviderID)
        case health(ProviderID)
        case gateway(NodeID)
        case operation(TenantID)
    }

    static let settleMilliseconds: Int64 = 1_000
    static let resendMilliseconds: Int64 = 3_000
    /// Journals that wait for the database, of all tenants; each Work Manager keeps its own and sends it again.
    static let maxPending = 10_000
    /// Commands that wait for the database.
    static let maxCommands = 200
    static let maxCommandsOfOne = 8
    static let maxEarly = 10_000
    /// So that journals need not wait for long behind what a thousand tenants did at once.
    static let observationsAtOnce = 200

    package init(
        id: NodeID, boot: Int64, release: String, heartbeatSeconds: Int, patience: ProviderPatience = .init(),
        sessionSeconds: Int = 15, retention: Retention = .days(Retention.defaultDays), at now: Moment
    ) {
        self.patience = patience
        sessionMilliseconds = NumberBounds.milliseconds(sessionSeconds)
        self.retention = retention
        pruning = PruningWork(retention)
        self.id = id
        self.boot = boot
        self.release = release
        self.heartbeatSeconds = heartbeatSeconds
        since = now.wall
        timers.set(.load, now.monotonic)
    }

    package func presence(_ state: Presence.State) -> Presence {
        Presence(state: state, boot: boot, since: since, release: release, protocols: [1])
    }

    package mutating func receive(_ event: Event, at now: Moment) -> [Effect] {
        present = now.monotonic
        switch event {
        case .connected: connected(at: now)
        case .disconnected: isCutOff = true
        case .received(let message): received(message, at: now)
        case .stored(let ticket, let reply): stored(ticket, reply, at: now)
        case .notSent(let refusal): notSent(refusal, at: now)
        case .wake: wake(at: now)
        case .noted(let kind, let tenant, let text): announce(kind, tenant, text)
        }
        flushObservations()
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    package mutating func nextWake(at now: Moment) -> Int64 {
        max(now.monotonic + 1, min(timers.next() ?? .max, now.monotonic + 60_000))
    }

    // MARK: - Events

    private mutating func connected(at now: Moment) {
        isCutOff = false
        // Who was lost may have come back unheard: its absence counts from here on.
        for node in gateways.keys.sorted() where gateways[node]?.presence.state == .lost {
            gateways[node]?.lostSince = now.monotonic
            gateways[node]?.isPresumed = true
            timers.set(.gateway(node), now.monotonic + Self.gatewayHoldMilliseconds)
        }
        publishPresence()
        planFrom = now.monotonic + Self.settleMilliseconds
        timers.set(.plan, planFrom)
        // Not before the database has confirmed that this registry is the active one: after a pause it may not be, and
        // retained epochs of the past must not stand over the present ones.
        proof.owesEpochsSince = now.monotonic
        if isLoaded { prove(at: now) }
    }

    func publishPresenceState() -> Presence.State { isLoaded ? .online : .standby }

    mutating func publishPresence() {
        publish(.registryPresence(id), .presence(presence(publishPresenceState())))
    }

    mutating func publishEpochs() {
        for tenant in tenants.keys.sorted() { publishEpoch(tenant) }
    }

    private mutating func wake(at now: Moment) {
        for key in timers.popDue(now.monotonic) {
            switch key {
            case .load: if isLoaded { prove(at: now) } else { store(.load) }
            case .prove: proveIfSilent(at: now)
            case .doubt: doubt()
            case .plan: reconcileAll(at: now)
            case .observe: isObserving = false
            case .audit: sendAudits(at: now)
            case .giveUps: attendGiveUps(at: now)
            case .rollout: attendRollout(at: now)
            case .prune: prune(at: now)
            case .tenant(let tenant): attend(tenant, at: now)
            case .provider(let provider): attach(provider, at: now)
            case .health(let provider): settleHealth(provider, at: now)
            case .gateway(let gateway): attendGateway(gateway, at: now)
            case .operation(let tenant): saveOperation(tenant)
            }
        }
    }

    private mutating func received(_ message: Message, at now: Moment) {
        switch (message.topic, message.payload) {
        case (.fleetPresence(let node), .presence(let presence)):
            see(presence, of: node, .fleet, at: now)
        case (.gatewayPresence(let node), .presence(let presence)):
            see(presence, of: node, .gateway, at: now)
        case (.registryPresence(id), .presence(let presence)):
            if presence.boot > boot {
                if presence.state == .online { effects.append(.superseded(boot: presence.boot)) }
                return
            }
            if presence.state != publishPresenceState() { publishPresence() }
        // Somebody took retained state away: its owner says it again.
        case (.registryPresence(id), .removed): publishPresence()
        case (.wmEpoch(let tenant), .removed): if !isStandby { publishEpoch(tenant) }
        case (.gatewayAck(let node), .gatewayAck(let ack)):
            switch ack.command {
            case .attach: attached(node, ack, at: now)
            case .seal: sealed(node, ack, at: now)
            case .sweep: swept(node, ack, at: now)
            case .detach: detached(node, ack, at: now)
            case .giveUp: gaveUp(ack, at: now)
            }
        case (.providerCatalog(let provider), .catalog(let catalog)): see(catalog, of: provider, at: now)
        case (.providerHealth(let provider), .health(let health)): see(health, of: provider, at: now)
        case (.wmAck(let tenant), .wmAck(let ack)): acknowledged(tenant, ack, at: now)
        case (.wmStatus(let tenant), .wmStatus(let status)): answered(tenant, status, at: now)
        case (.wmJournal(let tenant), .journal(let journal)): take(journal, of: tenant, at: now)
        case (.query, .request(let request)), (.command, .request(let request)):
            serve(request, isCommand: message.topic == .command, at: now)
        default: break
        }
    }

    private mutating func see(_ presence: Presence, of node: NodeID, _ role: Role, at now: Moment) {
        let known = role == .fleet ? fleets[node]?.presence : gateways[node]?.presence
        // A will or goodbye of an earlier incarnation says nothing about the present one.
        if let known, presence.boot < known.boot { return }
        guard known?.boot != presence.boot || known?.state != presence.state else {
            if role == .gateway {
                gateways[node]?.presence.suspectProviders = presence.suspectProviders
                if presence.state == .online { confirmAttachments(of: node, at: now) }
            }
            return
        }
        observe(.presence(role: role, node, presence, at: now.wall))
        announce(
            "\(role.rawValue).\(presence.state.rawValue)", nil,
            "\(role.rawValue) \(node) is \(presence.state.rawValue)")
        if role == .gateway { return seeGateway(node, presence, at: now) }
        if let suspect = presence.suspect, known?.boot != presence.boot { crashed(suspect, on: node, at: now) }
        var track = fleets[node] ?? FleetTrack(presence: presence)
        track.presence = presence
        track.lostSince = presence.state == .online ? nil : track.lostSince ?? now.monotonic
        fleets[node] = track
        fleetLoadFrom = nil
        replanSoon(at: now)
    }

    private mutating func see(_ catalog: Catalog, of provider: ProviderID, at now: Moment) {
        guard providers[provider] != nil else {
            if early.count < Self.maxEarly { early[provider, default: .init()].catalog = catalog }
            return
        }
        let before = providers[provider]?.catalog?.services
        providers[provider]?.catalog = catalog
        observe(.catalog(provider, catalog))
        guard before != catalog.services else { return }
        if before?.map(\.forPlanning) != catalog.services.map(\.forPlanning) { replanSoon(at: now) }
        if let before {
            announce(
                "provider.catalog", nil,
                "catalogue of \(provider) changed: \(CatalogDifference.text(before, catalog.services))")
        }
    }

    private mutating func see(_ health: Health, of provider: ProviderID, at now: Moment) {
        guard let known = providers[provider] else {
            if early.count < Self.maxEarly { early[provider, default: .init()].health = health }
            return
        }
        hearGateway(health, after: known.health, at: now)
        // Also when the database knows of no attachment at all: a backup may be older than the first one.
        if known.gateway != health.gateway {
            providers[provider]?.strays.insert(health.gateway)
            providers[provider]?.hasMoved = true
        }
        if let owner = known.gateway, owner != health.gateway {
            // Retained from before a move, or from a gateway that missed that the provider was taken from it.
            return detachStray(provider, health.gateway)
        }
        let well = health.status == .pass || health.status == .warn
        providers[provider]?.health = health
        providers[provider]?.unwellSince = well ? nil : known.unwellSince ?? now.monotonic
        providers[provider]?.wellSince = well ? known.wellSince ?? now.monotonic : nil
        // One that was never well has nothing to be patient for.
        if known.health == nil || health.status == .quarantined { providers[provider]?.isOut = !well }
        observe(.health(provider, health))
        if known.health?.status != health.status {
            announce(
                "provider.\(health.status.rawValue)", nil,
                "provider \(provider) is \(health.status.rawValue)"
                    + (health.error.map { ": \($0.detail ?? $0.type)" } ?? ""))
        }
        settleHealth(provider, at: now)
    }

    /// Takes over what was heard of a provider before it was known here.
    mutating func hearEarly(_ provider: ProviderID, at now: Moment) {
        guard let heard = early.removeValue(forKey: provider) else { return }
        if let catalog = heard.catalog { see(catalog, of: provider, at: now) }
        if let health = heard.health { see(health, of: provider, at: now) }
        for holder in heard.holders where holder != providers[provider]?.gateway {
            providers[provider]?.strays.insert(holder)
            providers[provider]?.hasMoved = true
        }
    }

    // MARK: - Small helpers of all extensions

    mutating func publish(_ topic: Topic, _ payload: Payload) {
        if isInDoubt, withholds(topic) { return }
        effects.append(.publish(Message(topic, payload)))
    }

    mutating func commandID() -> String {
        nextCommand += 1
        return "\(boot)-\(nextCommand)"
    }

    mutating func announce(_ kind: String, _ tenant: TenantID?, _ text: String) {
        publish(.event, .event(OperatorEvent(kind: kind, tenant: tenant, text: text)))
    }

    @discardableResult
    mutating func store(_ request: StoreRequest) -> Int {
        let ticket = nextTicket
        nextTicket += 1
        pending[ticket] = Asked(request: request, at: present)
        effects.append(.store(ticket: ticket, request))
        return ticket
    }

    mutating func observe(_ observation: Observation) { observations.add(observation) }

    private mutating func flushObservations() {
        guard isLoaded, !isObserving, !observations.isEmpty else { return }
        isObserving = true
        store(.observe(observations.take(Self.observationsAtOnce)))
    }

    mutating func replanSoon(at now: Moment) {
        // Changes come in bursts; one plan for all of them, and none of them puts it off.
        let at = max(planFrom == .max ? now.monotonic + 60_000 : planFrom, now.monotonic + 50)
        timers.set(.plan, min(timers[.plan] ?? .max, at))
    }
}
