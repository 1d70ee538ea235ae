import OMSModel
import OMSProtocol

extension Fleet {
    /// What always holds between two events. The simulation asks after each one.
    /// - Returns: the first thing that does not hold, in words.
    package func brokenInvariant() -> String? {
        if let tenant = starting.keys.first(where: { managers[$0] == nil }) {
            return "\(tenant) starts and is not there"
        }
        if let tenant = draining.keys.first(where: { managers[$0] == nil }) {
            return "\(tenant) drains and is not there"
        }
        for (tenant, manager) in managers {
            if manager.tenant != tenant { return "the Work Manager of \(manager.tenant) is kept as \(tenant)'s" }
            if let ended = tombstones[tenant]?.epoch, ended >= manager.epoch {
                return "epoch \(manager.epoch) of \(tenant) lives, and epoch \(ended) has ended here"
            }
            if starting[tenant] == nil, timers[tenant] == nil { return "nobody wakes the Work Manager of \(tenant)" }
            if let fault = manager.brokenInvariant() { return "\(tenant): \(fault)" }
        }
        return nil
    }
}
