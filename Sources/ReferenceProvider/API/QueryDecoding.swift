import Foundation
import OMSModel

extension JobQuery {
    /// Reads the query of `GET /jobs/`; unknown parameters are ignored.
    ///
    /// - Throws: `Problem` 400 naming the parameter.
    init(query: String) throws {
        self.init()
        for (name, value) in try Self.parameters(of: query) {
            switch name {
            case "state":
                states = try Self.list(value, name, limit: 6, "queued, running, stopping, succeeded, failed or stopped")
                {
                    JobState(rawValue: $0).flatMap { $0.isProviderState ? $0 : nil }
                }
            case "id":
                ids = try Self.list(value, name, limit: 100, "a UUID of version 7 in lower case") {
                    JobID(canonical: $0)
                }
            case "tenant": tenant = try Self.value(value, name, "a name; \(nameRule)") { TenantID($0) }
            case "service": service = try Self.value(value, name, "a name; \(nameRule)") { ServiceID($0) }
            case "updated_since":
                // In a query an unencoded '+' of an offset is read as a space.
                updatedSince = try Self.value(value, name, "an RFC 3339 time such as 2026-01-31T09:30:00.000Z") {
                    Timestamp($0.replacing(" ", with: "+"))
                }
            case "page_size":
                pageSize = try Self.value(value, name, "an integer from 1 to 1000") { text in
                    Int(text).flatMap { (1...1000).contains($0) ? $0 : nil }
                }
            case "page_token":
                after = try Self.value(value, name, "the next_page_token of a page") { Position(token: $0) }
            default: break
            }
        }
    }

    private static func parameters(of query: String) throws -> [(String, String)] {
        try query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let decoded = parts.map { String($0).replacing("+", with: " ").removingPercentEncoding }
            guard let name = decoded[0], let value = decoded.count > 1 ? decoded[1] : "" else {
                throw refused("the query is not percent-encoded UTF-8 at '\(pair)'")
            }
            return (name, value)
        }
    }

    private static func list<Item>(
        _ text: String, _ name: String, limit: Int, _ rule: String, _ convert: (String) -> Item?
    ) throws -> [Item] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= limit else { throw refused("query parameter '\(name)' has more than \(limit) values") }
        return try parts.map { part in try value(part, name, rule, convert) }
    }

    private static func value<Value>(
        _ text: String, _ name: String, _ rule: String, _ convert: (String) -> Value?
    ) throws -> Value {
        guard let value = convert(text) else {
            throw refused("query parameter '\(name)' is '\(text.prefix(100))'; it must be \(rule)")
        }
        return value
    }

    private static func refused(_ detail: String) -> Problem {
        Problem(.badRequest, detail, status: 400, retryable: false)
    }
}

extension JobQuery.Position {
    /// Opaque to clients, so that its content may change.
    var token: String {
        Data("\(updated) \(id)".utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }

    init?(token: String) {
        var text = token.replacing("-", with: "+").replacing("_", with: "/")
        while text.count % 4 != 0 { text += "=" }
        guard token.utf8.count <= 512, let data = Data(base64Encoded: text) else { return nil }
        let parts = String(decoding: data, as: UTF8.self).split(separator: " ").map(String.init)
        guard parts.count == 2, let updated = Int64(parts[0]), let id = JobID(parts[1]) else { return nil }
        self.init(updated: updated, id: id.description)
    }
}
