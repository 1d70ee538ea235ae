import OMSModel
import OMSProtocol

/// A Work Manager that ends its fleet's process again and again pauses its own tenant, and only that.
extension Registry {
    static let crashesUntilPause = 3
    static let crashWindowMilliseconds: Int64 = 600_000
    /// Doubles with each further crash.
    static let firstPauseMilliseconds: Int64 = 60_000
    static let longestPauseMilliseconds: Int64 = 3_600_000

    mutating func crashed(_ tenant: TenantID, on fleet: NodeID, at now: Moment) {
        guard tenants[tenant] != nil else { return }
        tenants[tenant]?.crashes.removeAll { now.monotonic - $0 > Self.crashWindowMilliseconds }
        tenants[tenant]?.crashes.append(now.monotonic)
        let count = tenants[tenant]?.crashes.count ?? 0
        announce("wm.crashed", tenant, "fleet \(fleet) died while it looked after the Work Manager of \(tenant)")
        guard count >= Self.crashesUntilPause else { return }
        let doubled = Self.firstPauseMilliseconds << Int64(min(count - Self.crashesUntilPause, 10))
        tenants[tenant]?.pausedUntil = now.monotonic + min(Self.longestPauseMilliseconds, doubled)
    }

    /// Whether the tenant's next start must wait; then it is explained, and tried again when the pause is over.
    mutating func isPaused(_ tenant: TenantID, at now: Moment) -> Bool {
        guard let track = tenants[tenant], let until = track.pausedUntil else { return false }
        guard now.monotonic < until else {
            tenants[tenant]?.pausedUntil = nil
            return false
        }
        explain(
            tenant, "crash-loop",
            "its Work Manager ended its fleet's process \(track.crashes.count) times within "
                + "\(Self.crashWindowMilliseconds / 60_000) minutes; it is paused and tried again by itself; "
                + "'oms replace \(tenant)' tries at once", at: now)
        timers.set(.tenant(tenant), until)
        return true
    }
}
