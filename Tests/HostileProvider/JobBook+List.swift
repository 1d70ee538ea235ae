import Foundation
import OMSModel

/// `GET /jobs/`.
extension JobBook {
    mutating func list(_ query: String, now: Int64) -> Answer {
        var filters: [String: String] = [:]
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1).map { String($0).removingPercentEncoding ?? "" }
            filters[parts[0]] = parts.count > 1 ? parts[1] : ""
        }
        let lies = lies
        func refused(_ name: String) -> Answer { .problem(400, .badRequest, "query parameter '\(name)' is wrong") }

        var size = 100
        if let text = filters["page_size"] {
            if let number = Int(text), (1...1000).contains(number) {
                size = number
            } else if !lies.contains(.anyPageSize) {
                return refused("page_size")
            }
        }
        var since: Int64 = .min
        if let text = filters["updated_since"] {
            guard let time = Timestamp(text) else { return refused("updated_since") }
            since = time.milliseconds - Self.offset(of: lies) + (lies.contains(.exclusiveSince) ? 1 : 0)
            if lies.contains(.ignoresSince) { since = .min }
        }
        let states = filters["state"].map { $0.split(separator: ",").map { JobState(rawValue: String($0)) } }
        if let states, states.isEmpty || states.contains(where: { $0?.isProviderState != true }) {
            return refused("state")
        }
        let ids = filters["id"].map { Set($0.split(separator: ",").map(String.init)) }
        if let ids, ids.contains(where: { JobID($0) == nil }) { return refused("id") }
        let (tenant, service) = (filters["tenant"], filters["service"])

        var found = records.values.filter { record in
            if lies.contains(.forgetsAtOnce) { return false }
            if lies.contains(.ignoresFilters) { return record.updated >= since }
            return record.updated >= since && states?.contains(record.state) ?? true
                && ids?.contains(record.id) ?? true && tenant.map { $0 == record.tenant } ?? true
                && service.map { $0 == record.service } ?? true
        }
        found.sort {
            lies.contains(.wrongOrder) ? $0.id > $1.id : ($0.updated, $0.id) < ($1.updated, $1.id)
        }
        var skipped = 0
        if let token = filters["page_token"] {
            if lies.contains(.offsetPaging) {
                skipped = Int(token) ?? 0
                found = Array(found.dropFirst(skipped))
            } else {
                let parts = token.split(separator: ".").map(String.init)
                guard parts.count == 2, let updated = Int64(parts[0]) else { return refused("page_token") }
                found = found.filter { ($0.updated, $0.id) > (updated, parts[1]) }
            }
        }
        let page = found.prefix(size)
        var body: JSONObject = [
            "statistics": statistics(tenant, service, now), "jobs": .array(page.map { show($0.id, now) }),
        ]
        if lies.contains(.oddRows), case .array(let rows)? = body["jobs"] {
            body["jobs"] = .array(Self.oddRows + rows + Self.oddRows)
        }
        if let last = page.last, found.count > page.count {
            body["next_page_token"] = .string(
                lies.contains(.offsetPaging) ? "\(skipped + page.count)" : "\(last.updated).\(last.id)")
        }
        return .json(200, .object(body))
    }

    /// Each is no row of the contract in one way of its own.
    private static let oddRows: [JSONValue] = {
        let time: JSONValue = "2026-11-29T10:00:00.000Z"
        let good: JSONObject = [
            "id": "0192f0c4-7e1a-7abc-8def-0123456789ab", "service": "count", "tenant": "stranger", "state": "running",
            "revision": 2, "created": time, "updated": time, "started": time,
        ]
        func row(_ name: String, _ value: JSONValue) -> JSONValue {
            var row = good
            row[name] = value
            return .object(row)
        }
        return [
            row("id", "c56a4180-65aa-42ec-a945-5fd21dec0538"), row("id", 7), row("state", "paused"),
            row("labels", ["run_id": .null, "attempt": 3]), row("updated", "2199-01-01T00:00:00.000Z"),
            row("created", "2026-11-29T10:00:00"), row("revision", -1), "no row at all", .null,
        ]
    }()

    private func statistics(_ tenant: String?, _ service: String?, _ now: Int64) -> JSONValue {
        let wrong: Int64 = lies.contains(.wrongCounts) ? 7 : 0
        let counts = counts(tenant: tenant, service: service).reduce(into: JSONObject()) {
            $0[$1.key.rawValue] = .int(Int64($1.value) + wrong)
        }
        return [
            "as_of": .string(Timestamp(milliseconds: now + Self.offset(of: lies)).description),
            "counts": .object(counts),
        ]
    }
}
