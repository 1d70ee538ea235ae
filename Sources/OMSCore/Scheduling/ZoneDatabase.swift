import Foundation
import Synchronization

/// Where `ZoneRules` come from: Foundation's copy of the IANA time zone database (ICU's, so containers need no
/// `tzdata`). The only file of the scheduler that knows Foundation. The database does not change while a process
/// lives, so a table that was read once is kept.
package enum ZoneDatabase {
    /// 2000 to 2100. Before and after, the nearest offset holds on.
    private static let years: ClosedRange<Double> = 946_684_800...4_102_444_800
    private static let cache = Mutex<[String: ZoneRules]>([:])

    /// - Parameter name: an IANA name in its exact spelling, or `UTC`.
    /// - Returns: nil for anything else; also for `GMT+3` and the like, which no two systems read alike.
    package static func rules(_ name: String) -> ZoneRules? {
        if name == "UTC" { return .utc }
        if let known = cache.withLock({ $0[name] }) { return known }
        guard name != "GMT", !isOffset(name), let zone = TimeZone(identifier: name) else { return nil }
        let rules = read(zone, name)
        cache.withLock { $0[name] = rules }
        return rules
    }

    /// For error messages: "Europe/Berln" was meant to be ...
    static func nearest(to name: String) -> String? {
        let near = TimeZone.knownTimeZoneIdentifiers
            .map { ($0, editDistance($0.lowercased(), name.lowercased())) }
            .min { ($0.1, $0.0) < ($1.1, $1.0) }
        return near.flatMap { $0.1 <= 3 ? $0.0 : nil }
    }

    /// Foundation reads `GMT+3` and `UTC+3` as an offset; `Etc/GMT+3` (which is the opposite) is IANA's.
    private static func isOffset(_ name: String) -> Bool {
        !name.contains("/") && name.contains { $0 == "+" || $0 == "-" || $0 == ":" }
    }

    private static func read(_ zone: TimeZone, _ name: String) -> ZoneRules {
        func offset(_ date: Date) -> Int64 { Int64(zone.secondsFromGMT(for: date)) }
        var date = Date(timeIntervalSince1970: years.lowerBound)
        let initial = offset(date)
        var transitions: [ZoneRules.Transition] = []
        while let next = zone.nextDaylightSavingTimeTransition(after: date), next > date,
            next.timeIntervalSince1970 < years.upperBound
        {
            // A change of the law without a change of the clock is no transition.
            if offset(next) != transitions.last?.offset ?? initial {
                transitions.append(.init(at: Int64(next.timeIntervalSince1970), offset: offset(next)))
            }
            date = next
        }
        return ZoneRules(name: name, initialOffset: initial, transitions: transitions)
    }
}
