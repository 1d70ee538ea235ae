import OMSModel
import OMSProtocol

/// Attaches every provider to one gateway.
extension Registry {
    mutating func attach(_ provider: ProviderID, at now: Moment) {
        guard let track = providers[provider] else { return }
        // The timer also ends the patience with an unwell provider.
        if let since = track.unwellSince, now.monotonic - since >= Self.unwellMilliseconds { replanSoon(at: now) }
        // It stays where it is, as long as that gateway may still act for it.
        let gateway = track.gateway.flatMap { gateways[$0]?.state == .online ? $0 : nil } ?? chooseGateway()
        guard let gateway, let presence = gateways[gateway] else { return }
        if track.gateway == gateway, track.attachedBoot == presence.boot, track.attachedVersion == track.version {
            return
        }
        providers[provider]?.gateway = gateway
        nextCommand += 1
        publish(
            .gatewayControl(gateway),
            .gatewayControl(
                GatewayControl(
                    id: "\(boot)-\(nextCommand)", command: .attach, provider: provider, spec: track.spec,
                    version: track.version)))
        timers.set(.provider(provider), now.monotonic + Self.resendMilliseconds)
    }

    private func chooseGateway() -> NodeID? {
        var load: [NodeID: Int] = [:]
        for track in providers.values { if let gateway = track.gateway { load[gateway, default: 0] += 1 } }
        return gateways.filter { $0.value.state == .online }.keys
            .min { (load[$0] ?? 0, $0) < (load[$1] ?? 0, $1) }
    }

    mutating func attached(_ gateway: NodeID, _ ack: GatewayAck, at now: Moment) {
        guard let track = providers[ack.provider], track.gateway == gateway, ack.version == track.version else {
            return
        }
        providers[ack.provider]?.attachedBoot = ack.boot
        providers[ack.provider]?.attachedVersion = ack.version
        if track.unwellSince == nil { timers.set(.provider(ack.provider), nil) }
    }
}
