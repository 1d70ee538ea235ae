import OMSModel
import OMSProtocol

/// Seals: no epoch begins before every gateway that may act refuses the one before (docs/internals/replacement.md).
extension Registry {
    static let gatewayHoldMilliseconds = SafetyTimes.gatewayIsGoneMilliseconds

    mutating func seeGateway(_ node: NodeID, _ presence: Presence, at now: Moment) {
        let known = gateways[node]
        var track = known ?? GatewayTrack(presence: presence)
        let isBack = known == nil || known?.presence.boot != presence.boot || known?.presence.state != .online
        track.presence = presence
        track.isPresumed = false
        if presence.state == .online {
            track.lostSince = nil
            if isBack {
                // It may be another process, or have given up what it had: it begins anew, with the seals.
                track.sealed = [:]
                track.wanted = [:]
                track.left = [:]
                track.recovering = [:]
                for (tenant, manager) in tenants where manager.sealedEpoch > 0 {
                    track.wanted[tenant] = manager.sealedEpoch
                }
                for (provider, attachment) in providers where attachment.gateway == node {
                    providers[provider]?.attachedBoot = nil
                }
            }
        } else if track.lostSince == nil {
            track.lostSince = now.monotonic
        }
        gateways[node] = track
        if presence.state == .online {
            if isBack { sendSeals(node, at: now) }
        } else {
            timers.set(.gateway(node), now.monotonic + Self.gatewayHoldMilliseconds)
        }
        gatewayChanged(node, at: now)
    }

    /// A gateway that is only presumed lost says something new of a provider: it is there, and its presence was lost on the
    /// way. Counted as gone, it would not be sealed.
    mutating func hearGateway(_ health: Health, after known: Health?, at now: Moment) {
        guard let track = gateways[health.gateway], track.isPresumed, track.presence.boot == health.boot,
            let known, known.gateway == health.gateway, known.checked != health.checked
        else { return }
        var presence = track.presence
        presence.state = .online
        seeGateway(health.gateway, presence, at: now)
    }

    /// Certain to act for nobody: its process has ended, or its hold time has passed.
    func isGone(_ track: GatewayTrack, at now: Moment) -> Bool {
        switch track.presence.state {
        case .online, .draining, .standby: false
        case .offline: true
        case .lost: !isCutOff && (track.lostSince.map { now.monotonic - $0 >= Self.gatewayHoldMilliseconds } ?? false)
        }
    }

    func isConnected(_ node: NodeID) -> Bool { gateways[node]?.presence.state == .online }

    /// Gateways that might still act below `epoch`.
    func unsealed(_ tenant: TenantID, _ epoch: Int, at now: Moment) -> [NodeID] {
        gateways.filter { !isGone($0.value, at: now) && ($0.value.sealed[tenant] ?? 0) < epoch }.keys.sorted()
    }

    mutating func wantSeals(of tenant: TenantID, _ epoch: Int, at now: Moment) {
        for node in unsealed(tenant, epoch, at: now) {
            gateways[node]?.wanted[tenant] = epoch
            // Many tenants at once (a fleet that restarted) make one message.
            if isConnected(node) { timers.set(.gateway(node), now.monotonic + Self.sealBatchMilliseconds) }
        }
    }

    static var sealBatchMilliseconds: Int64 { 5 }

    mutating func attendGateway(_ node: NodeID, at now: Moment) {
        if isConnected(node) { sendSeals(node, at: now) } else { gatewayChanged(node, at: now) }
    }

    private mutating func sendSeals(_ node: NodeID, at now: Moment) {
        guard let track = gateways[node], !track.wanted.isEmpty else { return timers.set(.gateway(node), nil) }
        var seals = track.wanted.filter { track.recovering[$0.key] != $0.value }.sorted { $0.key < $1.key }
            .map { Seal(tenant: $0.key, epoch: $0.value, list: list(of: $0.key, below: $0.value, from: track)) }[...]
        while !seals.isEmpty {
            let chunk = Array(seals.prefix(entries(GatewayControl.maxSeals)))
            seals = seals.dropFirst(chunk.count)
            publish(
                .gatewayControl(node),
                .gatewayControl(GatewayControl(id: commandID(), command: .seal, seals: chunk)))
        }
        timers.set(.gateway(node), now.monotonic + Self.resendMilliseconds)
    }

    mutating func sealed(_ node: NodeID, _ ack: GatewayAck, at now: Moment) {
        guard let boot = gateways[node]?.presence.boot, boot == ack.boot else { return }
        // What came again after it was settled must not stand for a part of the next list that is lost. Nor must what was
        // asked for before everything was forgotten: whoever has read nothing yet has asked for nothing.
        for job in ack.left ?? [] where isLoaded && job.epoch >= gateways[node]?.listed[job.tenant] ?? 0 {
            gateways[node]?.left[job.tenant, default: [:]][job.job] = job
        }
        // First of all: what counts may open the next epoch. A fence is at most one above what has begun.
        for seal in ack.sealed ?? [] {
            learn(max(seal.begun ?? 0, max(seal.epoch, 1) - 1), of: seal.tenant, from: node, at: now)
        }
        guard isLoaded else { return }
        var toWrite: [Seal] = []
        for seal in ack.sealed ?? [] {
            switch judge(seal, of: node) {
            case .counts:
                let listed = gateways[node]?.listed[seal.tenant] ?? 0
                gateways[node]?.listed[seal.tenant] = max(seal.epoch, listed)
                counts(seal, of: node, at: now)
            case .hasLeft: toWrite.append(seal)
            case .isIncomplete: break  // asked again by the gateway's timer
            }
        }
        if !toWrite.isEmpty { recover(node, ack.boot, toWrite, at: now) }
        sealsChanged(node, at: now)
    }

    /// It refuses what is older, and all that went out for that is in the rows.
    mutating func counts(_ seal: Seal, of node: NodeID, at now: Moment) {
        let before = gateways[node]?.sealed[seal.tenant] ?? 0
        gateways[node]?.sealed[seal.tenant] = max(seal.epoch, before)
        gateways[node]?.left[seal.tenant] = nil
        if let wanted = gateways[node]?.wanted[seal.tenant], seal.epoch >= wanted {
            gateways[node]?.wanted[seal.tenant] = nil
        }
        if tenants[seal.tenant]?.phase == .sealing { attend(seal.tenant, at: now) }
    }

    /// What waited for the last seal.
    mutating func sealsChanged(_ node: NodeID, at now: Moment) {
        if gateways[node]?.wanted.isEmpty == true {
            timers.set(.gateway(node), nil)
            for provider in providers.keys.sorted() where providers[provider]?.gateway == node {
                attach(provider, at: now)
            }
        }
    }

    /// It came, went, or its hold time has passed: providers may need another gateway, tenants may wait for it.
    private mutating func gatewayChanged(_ node: NodeID, at now: Moment) {
        for provider in providers.keys.sorted() { attach(provider, at: now) }
        for tenant in tenants.keys.sorted() where tenants[tenant]?.phase == .sealing { attend(tenant, at: now) }
        replanSoon(at: now)
    }
}
