import OMSModel
import OMSProtocol

/// When others know more than the database: it was restored from a backup while fleets and gateways ran on. An epoch number
/// is never given out twice, so a gateway's ledger keeps the highest epoch that has begun, and says it with each seal; every
/// epoch, the first one too, begins with a seal (docs/internals/replacement.md).
extension Registry {
    /// Somebody knows that this epoch has begun. If the database does not, the next number is above it.
    ///
    /// Nothing is said of it before the database has taken the operation or the epoch: a registry that is not the active one
    /// any more knows less than the others too.
    mutating func learn(_ epoch: Int, of tenant: TenantID, from node: NodeID, _ why: String? = nil, at now: Moment) {
        guard !isInDoubt, let track = tenants[tenant], epoch > max(track.epoch, track.floor) else { return }
        guard epoch.minus(track.epoch) <= Self.maxEpochsAhead else { return disbelieve(epoch, of: tenant, from: node) }
        tenants[tenant]?.floor = epoch
        tenants[tenant]?.floorReason =
            "the database was restored from a backup: "
            + (why ?? "\(node) knows epoch \(epoch), the last one in it is \(track.epoch)")
        switch track.phase {
        case .active, .starting: goBeyond(tenant, at: now)
        // Asked for anew, with the higher number.
        case .sealing, .sweeping: startSealing(tenant, at: now)
        case .draining: attend(tenant, at: now)
        // They come to it by themselves.
        case .closing, .opening, .idle: break
        }
    }

    /// A database that was restored from a backup lacks as many epochs as have begun since; nobody keeps one for so long.
    static let maxEpochsAhead = 10_000

    /// Numbers come to an end, and one that is forged would use them up for good.
    private mutating func disbelieve(_ epoch: Int, of tenant: TenantID, from node: NodeID) {
        guard disbelieved.count < Self.maxStrangers, disbelieved.insert(tenant).inserted else { return }
        announce(
            "epoch.implausible", tenant,
            "tenant \(tenant): \(node) names epoch \(epoch), the last one is \(tenants[tenant]?.epoch ?? 0): more than "
                + "\(Self.maxEpochsAhead) ahead is not believed. If the database is right, a credential is abused: give "
                + "\(node) a new one, and an empty folder if it is a gateway. If the database was restored, restore a newer backup"
        )
    }

    /// A Work Manager knows a later epoch, or was told that more of its journal is committed than is: what it has forgotten
    /// for that, it cannot tell again, and nothing that follows would ever be committed.
    mutating func compare(_ status: WMStatus, of tenant: TenantID, at now: Moment) {
        learn(status.epoch, of: tenant, from: status.fleet, at: now)
        guard let track = tenants[tenant], status.epoch == track.epoch, !track.isEnded, !track.isOvertaken,
            let told = status.ackSeq, told > track.ackSeq
        else { return }
        learn(
            TenantTrack.following(track.epoch), of: tenant, from: status.fleet,
            "of the journal of epoch \(track.epoch) it has \(track.ackSeq) facts, \(told) were committed", at: now)
    }

    mutating func sayWhatWasSkipped(_ tenant: TenantID, _ epoch: Int) {
        guard let track = tenants[tenant], epoch > TenantTrack.following(track.epoch) else { return }
        announce(
            "epoch.ahead", tenant,
            "tenant \(tenant): epoch \(epoch) follows on \(track.epoch); " + (track.floorReason ?? "others knew more"))
        tenants[tenant]?.floorReason = nil
    }

    /// A Work Manager of a tenant that the database does not know. Nobody may end it but its own registry, which would be
    /// this one, had it the tenant; so an operator is told, once.
    mutating func meet(_ tenant: TenantID, _ epoch: Int) {
        guard isLoaded, !isInDoubt, strangers.count < Self.maxStrangers, strangers.insert(tenant).inserted else {
            return
        }
        announce(
            "tenant.unknown", tenant,
            "a Work Manager of epoch \(epoch) works for \(tenant), and no tenant '\(tenant)' is registered: the database was "
                + "restored from a backup. Declare the tenant again (`oms apply`), then `oms offboard` it if it is to end"
        )
    }

    private static var maxStrangers: Int { 1_000 }

    /// The Work Manager of the epoch in the database is refused everywhere, and one of a later epoch may live: it is ended
    /// by force, like one that does not answer.
    mutating func goBeyond(_ tenant: TenantID, at now: Moment) {
        timers.set(.tenant(tenant), now.monotonic + 1_000)
        guard let track = tenants[tenant], !track.isBeginning else { return }
        if let operation = track.operation {
            // It led here; its own epoch is over.
            if operation.epoch < track.epoch { finish(tenant, .done, at: now) }
            return
        }
        guard mayForce(tenant, nil, at: now) else { return }
        begin(
            .replace, tenant, reason: track.floorReason ?? "the database was restored", initiator: "registry",
            isForced: true, at: now)
    }
}
