/// Which names of time zones a document may use: those that mean one zone to everybody.
enum ZoneName {
    /// Without a place, and unmistakable all the same.
    private static let plain: Set<String> = ["UTC", "CET", "EET", "MET", "WET"]

    /// What people in one place call their time. Elsewhere the same letters are another zone (BST is Bangladesh's, CST is
    /// China's, IST is Israel's), and every system picks its own.
    private static let abbreviations: [String: String] = [
        "GMT": "Europe/London", "BST": "Europe/London", "WEST": "Europe/Lisbon", "CEST": "Europe/Berlin",
        "MEZ": "Europe/Berlin", "MESZ": "Europe/Berlin", "EEST": "Europe/Athens", "MSK": "Europe/Moscow",
        "TRT": "Europe/Istanbul", "EST": "America/New_York", "EDT": "America/New_York", "ET": "America/New_York",
        "EST5EDT": "America/New_York", "CST": "America/Chicago", "CDT": "America/Chicago", "CT": "America/Chicago",
        "CST6CDT": "America/Chicago", "MST": "America/Denver", "MDT": "America/Denver", "MT": "America/Denver",
        "MST7MDT": "America/Denver", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
        "PT": "America/Los_Angeles", "PST8PDT": "America/Los_Angeles", "AKST": "America/Anchorage",
        "AKDT": "America/Anchorage", "HST": "Pacific/Honolulu", "AST": "America/Halifax", "ADT": "America/Halifax",
        "NST": "America/St_Johns", "NDT": "America/St_Johns", "ECT": "America/Guayaquil", "BRT": "America/Sao_Paulo",
        "ART": "America/Argentina/Buenos_Aires", "CLT": "America/Santiago", "COT": "America/Bogota",
        "CAT": "Africa/Maputo", "EAT": "Africa/Nairobi", "WAT": "Africa/Lagos", "SAST": "Africa/Johannesburg",
        "IST": "Asia/Kolkata", "PKT": "Asia/Karachi", "GST": "Asia/Dubai", "ICT": "Asia/Bangkok",
        "WIB": "Asia/Jakarta", "SGT": "Asia/Singapore", "HKT": "Asia/Hong_Kong", "PHT": "Asia/Manila",
        "JST": "Asia/Tokyo", "KST": "Asia/Seoul", "AWST": "Australia/Perth", "ACT": "Australia/Adelaide",
        "ACST": "Australia/Adelaide", "ACDT": "Australia/Adelaide", "AEST": "Australia/Sydney",
        "AEDT": "Australia/Sydney", "NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland", "Z": "UTC", "UCT": "UTC",
        "Zulu": "UTC", "Universal": "UTC", "Greenwich": "UTC",
    ]

    private static func isWord(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// - Returns: what is wrong with the name; nil: nothing.
    static func fault(_ name: String) -> String? {
        if plain.contains(name) { return nil }
        // Foundation would read no further than to a NUL.
        guard name.utf8.allSatisfy({ "/_+-".utf8.contains($0) || isWord($0) }) else {
            return "'\(name)' is no IANA time zone; write for example Europe/Berlin or UTC"
        }
        if !name.contains("/") {
            if let zone = abbreviations[name] ?? abbreviations[name.uppercased()] {
                return
                    "'\(name)' is an abbreviation, which means another zone elsewhere; write the IANA name, for example "
                    + "'\(zone)'"
            }
        } else if !name.hasPrefix("SystemV/"), !name.hasPrefix("posix/"), !name.hasPrefix("right/"),
            ZoneDatabase.rules(name) != nil
        {
            return nil
        }
        let hint = ZoneDatabase.nearest(to: name).map { "did you mean '\($0)'?" }
        return "'\(name)' is no IANA time zone; \(hint ?? "write for example Europe/Berlin or UTC")"
    }
}
