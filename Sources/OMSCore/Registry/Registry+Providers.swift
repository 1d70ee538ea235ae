import OMSModel
import OMSProtocol

/// Attaches every provider to one gateway.
extension Registry {
    mutating func attach(_ provider: ProviderID, at now: Moment) {
        guard let track = providers[provider], track.movingTo == nil else { return }
        // It stays where it is, as long as that gateway may still act for it.
        let present = track.gateway.flatMap { node in
            gateways[node].flatMap { isGone($0, at: now) ? nil : node }
        }
        guard let gateway = present ?? chooseGateway() else { return }
        guard track.gateway == gateway else {
            providers[provider]?.movingTo = gateway
            store(.assign(provider, gateway))
            return
        }
        // Not before it refuses every epoch that is over.
        guard isConnected(gateway), let node = gateways[gateway], node.wanted.isEmpty else { return }
        let strays = track.strays.filter { other in
            other != gateway && (gateways[other].map { !isGone($0, at: now) } ?? false)
        }
        guard strays.isEmpty else {
            for other in strays.sorted() { detachStray(provider, other) }
            return timers.set(.provider(provider), now.monotonic + Self.resendMilliseconds)
        }
        if providers[provider]?.attachedBoot == node.presence.boot, track.attachedVersion == track.version { return }
        publish(
            .gatewayControl(gateway),
            .gatewayControl(
                GatewayControl(
                    id: commandID(), command: .attach, provider: provider, spec: track.spec, version: track.version,
                    boot: node.presence.boot, moved: track.hasMoved ? true : nil, deaths: deaths(of: track, provider))))
        timers.set(.provider(provider), now.monotonic + Self.resendMilliseconds)
    }

    /// How often gateways have died of its answers since its document was changed; nil: never. It goes with it from gateway to
    /// gateway, or each would die of it in turn.
    private func deaths(of track: ProviderTrack, _ provider: ProviderID) -> Int? {
        let deaths = gateways.values.reduce(0) { sum, gateway in
            let known = gateway.presence.suspectProviders?.first {
                $0.provider == provider && $0.version == track.version
            }
            return sum.plus(max(0, known?.deaths ?? 0))
        }
        return deaths > 0 ? min(deaths, SuspectProvider.maxDeaths) : nil
    }

    /// `oms provider release`: the operator's word that the cause is gone, without a change to the document. Deaths are held
    /// against one version of it, in ledgers and presences, so a new version ends them everywhere.
    mutating func release(_ request: ClientRequest) {
        guard let name = request.params["provider"]?.stringValue, let provider = ProviderID(name) else {
            return respond(request, Problem(.badRequest, "field provider must be a provider's name", status: 400))
        }
        guard let track = providers[provider] else {
            return respond(
                request, Problem(.notFound, "there is no provider \(provider); see oms get providers", status: 404))
        }
        guard track.health?.status == .quarantined else {
            let status = track.health?.status.rawValue ?? "unknown"
            return respond(
                request,
                Problem(.conflict, "provider \(provider) is not quarantined, its status is \(status)", status: 409))
        }
        waiting[store(.renew(provider, track.spec, from: track.version, by: request.client))] = request
    }

    mutating func assigned(_ provider: ProviderID, _ gateway: NodeID, isSaved: Bool, at now: Moment) {
        guard let track = providers[provider], track.movingTo == gateway else { return }
        providers[provider]?.movingTo = nil
        guard isSaved else { return timers.set(.provider(provider), now.monotonic + 1_000) }
        providers[provider]?.gateway = gateway
        providers[provider]?.attachedBoot = nil
        if let former = track.gateway {
            providers[provider]?.hasMoved = true
            // It counted as gone by what was known; if it shows up meanwhile, it must let go first.
            providers[provider]?.strays.insert(former)
            announce("provider.moved", nil, "provider \(provider) moves from gateway \(former) to \(gateway)")
        }
        attach(provider, at: now)
    }

    /// A gateway says again that it is there. It may have been away without anybody here seeing it (the broker died,
    /// or its will was lost) and have given its providers up: attaching is safe to repeat, so it is repeated.
    mutating func confirmAttachments(of node: NodeID, at now: Moment) {
        for provider in providers.keys.sorted() where providers[provider]?.gateway == node {
            providers[provider]?.attachedBoot = nil
            attach(provider, at: now)
        }
    }

    private func chooseGateway() -> NodeID? {
        var load: [NodeID: Int] = [:]
        for track in providers.values {
            if let gateway = track.movingTo ?? track.gateway { load[gateway, default: 0] += 1 }
        }
        return gateways.filter { $0.value.presence.state == .online }.keys
            .min { (load[$0] ?? 0, $0) < (load[$1] ?? 0, $1) }
    }

    mutating func attached(_ gateway: NodeID, _ ack: GatewayAck, at now: Moment) {
        guard let provider = ack.provider, let track = providers[provider], track.gateway == gateway,
            ack.version == track.version, ack.boot == gateways[gateway]?.presence.boot
        else { return }
        if let error = ack.error {
            return refuse(provider, "gateway \(gateway): \(error.detail ?? error.type)", at: now)
        }
        if track.refusal != nil {
            providers[provider]?.refusal = nil
            settleHealth(provider, at: now)
        }
        providers[provider]?.attachedBoot = ack.boot
        providers[provider]?.attachedVersion = ack.version
        timers.set(.provider(provider), nil)
    }

    mutating func detached(_ gateway: NodeID, _ ack: GatewayAck, at now: Moment) {
        guard let provider = ack.provider, ack.boot == gateways[gateway]?.presence.boot,
            providers[provider]?.strays.remove(gateway) != nil
        else { return }
        attach(provider, at: now)
    }

    /// A gateway that speaks of a provider which another one has: it missed that it was taken from it, or this database
    /// is older than that it was given to it.
    mutating func detachStray(_ provider: ProviderID, _ gateway: NodeID) {
        guard let owner = providers[provider]?.gateway, owner != gateway, isConnected(gateway) else { return }
        publish(
            .gatewayControl(gateway),
            .gatewayControl(GatewayControl(id: commandID(), command: .detach, provider: provider)))
    }
}
