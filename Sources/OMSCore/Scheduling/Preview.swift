package import OMSModel

/// The coming ticks of a configuration, for people: what `oms next` shows.
package enum Preview {
    /// - Returns: rows of flat objects in the order of time: due (UTC), local time, service, a note on the clock.
    /// - Throws: what is wrong with a schedule.
    package static func rows(
        _ config: WorkManagerConfig, of tenant: TenantID, only service: ServiceID? = nil, after start: Timestamp,
        count: Int
    ) throws(CronError) -> [JSONValue] {
        var lines: [(due: Timestamp, row: JSONValue)] = []
        for plan in config.services where service == nil || plan.id == service {
            guard let timetable = try plan.timetable(tenant) else { continue }
            let zone =
                plan.frequency?.cron == nil ? .utc : ZoneDatabase.rules(plan.frequency?.timeZone ?? "UTC") ?? .utc
            var last = start
            for _ in 0..<count {
                guard let tick = timetable.next(after: last) else { break }
                lines.append((tick.due, row(tick, plan, zone, since: last)))
                last = tick.due
            }
        }
        return lines.sorted { $0.due < $1.due }.prefix(count).map(\.row)
    }

    private static func row(_ tick: Timetable.Tick, _ plan: ServicePlan, _ zone: ZoneRules, since: Timestamp)
        -> JSONValue
    {
        let seconds = floorDivide(tick.due.milliseconds, 1000)
        let offset = zone.offset(at: seconds)
        var row: JSONObject = [
            "due": .string(tick.due.description), "service": .string(plan.id.text),
            "local": .string("\(local(tick.due.milliseconds + offset * 1000)) \(zone.name) (UTC\(sign(offset)))"),
        ]
        let shift = offset - zone.offset(at: floorDivide(since.milliseconds, 1000))
        var notes: [String] = []
        if shift != 0 { notes.append("DST: clock \(shift > 0 ? "on" : "back") by \(abs(shift) / 60) min before this") }
        switch tick.mark {
        case .moved(let local):
            notes.append("\(Self.local(local * 1000).dropFirst(11)) does not exist: right after the gap")
        case .firstOfTwo: notes.append("this local time comes twice: the first")
        case .secondOfTwo: notes.append("this local time comes twice: the second")
        case nil: break
        }
        row["note"] = .string(notes.joined(separator: "; "))
        return .object(row)
    }

    /// `2026-03-29 02:30:00` of milliseconds of the local calendar.
    private static func local(_ milliseconds: Int64) -> String {
        String(Timestamp(milliseconds: milliseconds).description.prefix(19)).replacing("T", with: " ")
    }

    private static func sign(_ offset: Int64) -> String {
        let (hours, minutes) = (abs(offset) / 3600, abs(offset) / 60 % 60)
        return (offset < 0 ? "-" : "+") + (hours < 10 ? "0" : "") + "\(hours):" + (minutes < 10 ? "0" : "")
            + "\(minutes)"
    }
}
