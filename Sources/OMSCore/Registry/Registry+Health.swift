import OMSModel
import OMSProtocol

/// How long a change of a provider's health must last before a plan follows it: one that flaps must not move tenants to
/// and fro.
package struct ProviderPatience: Hashable, Sendable {
    /// Unwell for less than this changes nothing.
    package var unwellMilliseconds: Int64
    /// One that was out must be well for so long before anything is planned on it again.
    package var failBackMilliseconds: Int64

    package init(unwellMilliseconds: Int64 = 30_000, failBackMilliseconds: Int64 = 15_000) {
        self.unwellMilliseconds = unwellMilliseconds
        self.failBackMilliseconds = failBackMilliseconds
    }
}

/// Which providers count, with hysteresis and announced absences.
extension Registry {
    func isUsable(_ track: ProviderTrack, at now: Moment) -> Bool {
        track.catalog != nil && track.health != nil && !track.isOut && track.refusal == nil
            && window(track, at: now) == nil
    }

    func window(_ track: ProviderTrack, at now: Moment) -> MaintenanceWindow? {
        track.spec.maintenance?.first { $0.contains(now.wall) }
    }

    /// Takes a provider out or in when its time has come, and plans again if that changed anything.
    mutating func settleHealth(_ provider: ProviderID, at now: Moment) {
        guard var track = providers[provider] else { return }
        var next: Int64?
        if let since = track.unwellSince, !track.isOut {
            let at = since + patience.unwellMilliseconds
            if now.monotonic >= at { track.isOut = true } else { next = at }
        } else if let since = track.wellSince, track.isOut {
            let at = since + patience.failBackMilliseconds
            if now.monotonic >= at { track.isOut = false } else { next = at }
        }
        let edges = (track.spec.maintenance ?? []).flatMap { [$0.from, $0.until] }.filter { $0 > now.wall }
        if let edge = edges.min() {
            // At most a minute ahead: the wall clock may be set.
            let at = now.monotonic + min(60_000, edge.milliseconds - now.wall.milliseconds)
            next = min(next ?? .max, at)
        }
        timers.set(.health(provider), next)
        let isUsable = isUsable(track, at: now)
        if track.wasUsable != isUsable {
            if let window = window(track, at: now) {
                announce(
                    "provider.maintenance", nil,
                    "provider \(provider) is in maintenance until \(window.until)"
                        + (window.reason.map { ": \($0)" } ?? ""))
            } else if let before = track.wasUsable {
                announce(
                    before ? "provider.out" : "provider.in", nil,
                    "provider \(provider) is \(before ? "out: nothing is planned on it" : "in again")")
            }
            track.wasUsable = isUsable
            replanSoon(at: now)
        }
        providers[provider] = track
    }

    /// Why nothing is planned on a provider.
    func whyNot(_ track: ProviderTrack, at now: Moment) -> String {
        if let window = window(track, at: now) {
            return "in maintenance until \(window.until)" + (window.reason.map { ", \($0)" } ?? "")
        }
        if track.gateway == nil { return "no gateway is online to reach it" }
        if let refusal = track.refusal { return refusal }
        guard let health = track.health else { return "not seen yet" }
        if track.isOut, track.wellSince != nil {
            return "well again, and in after \(patience.failBackMilliseconds / 1000) s without a fault"
        }
        return health.status.rawValue + (health.error.map { ": \($0.detail ?? $0.type)" } ?? "")
    }
}
