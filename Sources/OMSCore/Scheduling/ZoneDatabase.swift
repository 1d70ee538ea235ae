import Foundation
import Synchronization

/// Where `ZoneRules` come from: the system's `tzdata` (`/usr/share/zoneinfo`), unless the copy that is linked into the
/// program (ICU's, by Foundation) is newer or the only one. Laws change more often than programs are built: an update of
/// the package `tzdata` and a restart are enough, and a container without it still knows all zones.
///
/// The only file of the scheduler that knows Foundation. A table that was read once is kept: a schedule must not change
/// its mind while a process lives.
package enum ZoneDatabase {
    /// 2000 to 2100. Before and after, the nearest offset holds on.
    private static let years = 2000...2100
    private static let cache = Mutex<[String: ZoneRules]>([:])

    /// Folder of the system's time zones; `OMS_ZONEINFO` names another, an empty one none.
    private static let folder: String? = {
        guard let folder = ProcessInfo.processInfo.environment["OMS_ZONEINFO"] else { return "/usr/share/zoneinfo" }
        return folder.isEmpty ? nil : folder
    }()

    /// The system's, if it is at least as new as the one in the program.
    private static let system: (folder: String, version: String)? = folder.flatMap { folder in
        // The first line is `# version 2026f`.
        guard let file = FileHandle(forReadingAtPath: folder + "/tzdata.zi"), let head = try? file.read(upToCount: 64)
        else { return nil }
        let words = String(decoding: head, as: UTF8.self).prefix { $0 != "\n" }.split(separator: " ")
        guard words.count == 3, words[0] == "#", words[1] == "version" else { return nil }
        return words[2] >= TimeZone.timeZoneDataVersion ? (folder, String(words[2])) : nil
    }

    /// Which rules are in force, for the log and for `oms next`: `2026f (/usr/share/zoneinfo)`.
    package static var version: String {
        system.map { "\($0.version) (\($0.folder))" } ?? "\(TimeZone.timeZoneDataVersion) (built in)"
    }

    /// - Parameter name: an IANA name in its exact spelling, or `UTC`.
    /// - Returns: nil for anything else; also for `GMT+3` and the like, which no two systems read alike.
    package static func rules(_ name: String) -> ZoneRules? {
        if name == "UTC" { return .utc }
        if let known = cache.withLock({ $0[name] }) { return known }
        guard name != "GMT", !isOffset(name), let zone = TimeZone(identifier: name) else { return nil }
        let rules = system.flatMap { compiled(name, in: $0.folder) } ?? linked(zone, name)
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

    /// - Parameter name: one that Foundation knows, so it leads out of no folder.
    static func compiled(_ name: String, in folder: String) -> ZoneRules? {
        guard !name.contains(".."), let file = FileHandle(forReadingAtPath: "\(folder)/\(name)"),
            let bytes = try? file.read(upToCount: TimeZoneFile.maxBytes + 1)
        else { return nil }
        return TimeZoneFile.rules(name, Array(bytes), years: years)
    }

    static func linked(_ zone: TimeZone, _ name: String) -> ZoneRules {
        func offset(_ date: Date) -> Int64 { Int64(zone.secondsFromGMT(for: date)) }
        let end: Double = 4_102_444_800  // 2100
        var date = Date(timeIntervalSince1970: 946_684_800)  // 2000
        let initial = offset(date)
        var transitions: [ZoneRules.Transition] = []
        while let next = zone.nextDaylightSavingTimeTransition(after: date), next > date,
            next.timeIntervalSince1970 < end
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
