import OMSModel
import OMSProtocol

extension Registry {
    /// What always holds between two events. The simulation asks after each one.
    /// - Returns: the first thing that does not hold, in words.
    package func brokenInvariant() -> String? {
        if let ticket = waiting.keys.first(where: { pending[$0] == nil }) {
            return "a client waits for request \(ticket), which nobody has"
        }
        guard isLoaded else { return tenants.isEmpty ? nil : "tenants are known before anything was read" }
        for (tenant, track) in tenants {
            if let fault = broken(tenant, track) { return "\(tenant), \(track.phase): \(fault)" }
        }
        for (node, gateway) in gateways {
            for (tenant, epoch) in gateway.wanted where gateway.sealed[tenant] ?? 0 >= epoch {
                return "\(node) owes the seal of \(tenant) to \(epoch), which it has given"
            }
        }
        return nil
    }

    private func broken(_ tenant: TenantID, _ track: TenantTrack) -> String? {
        if (track.sweep != nil) != (track.phase == .sweeping) && track.phase != .closing {
            return "a sweep belongs to the phase of that name"
        }
        if track.handedSeq < track.ackSeq { return "committed \(track.ackSeq), handed over \(track.handedSeq)" }
        if track.isEnded, track.epoch > 0, track.phase == .active || track.phase == .draining {
            return "the epoch at work has ended"
        }
        // Nothing is under way without a next look at it, or an answer of the database that brings one.
        if track.phase != .idle, timers[.tenant(tenant)] == nil, !isAsked(about: tenant) {
            return "nobody looks at it again"
        }
        return nil
    }

    private func isAsked(about tenant: TenantID) -> Bool {
        pending.values.contains { $0.request.tenant == tenant }
    }
}

extension StoreRequest {
    /// Whose life goes on with the answer.
    fileprivate var tenant: TenantID? {
        switch self {
        case .savePlan(let tenant, _, _), .openEpoch(let tenant, _, _, _, _, _), .openJobs(let tenant),
            .removeTenant(let tenant, _):
            tenant
        case .beginOperation(let operation), .saveOperation(let operation): operation.tenant
        case .closeEpoch(let closing): closing.tenant
        case .load, .apply, .renew, .audit, .resume, .recover, .drainFleet, .assign, .saveRollout, .rolloutFigures,
            .prove,
            .commit, .observe, .saveVerification, .giveUp, .endGiveUp, .signOfLife, .prune, .query, .settleQuarantined:
            nil
        }
    }
}
