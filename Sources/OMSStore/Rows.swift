import OMSModel
import OMSProtocol
import Postgres

/// JSON in and out of PostgreSQL: one parameter per batch.
enum Rows {
    /// A record with the tenant and epoch that it belongs to, as one flat object.
    struct Owned<Record: Encodable>: Encodable {
        var tenant: TenantID
        var epoch: Int
        var record: Record

        private enum Keys: String, CodingKey { case tenant, epoch }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            try container.encode(tenant, forKey: .tenant)
            try container.encode(epoch, forKey: .epoch)
            try record.encode(to: encoder)
        }
    }

    /// `jsonb` cannot hold U+0000, and one in a provider's message must not block a journal: it becomes U+FFFD.
    static func json(_ value: some Encodable) throws -> PGValue {
        let writer = JSONWriter(nul: .replaced)
        try writer.write(value)
        return .text(String(decoding: writer.bytes, as: UTF8.self))
    }

    static func optionalJSON(_ value: (some Encodable)?) throws -> PGValue {
        guard let value else { return .null }
        return try json(value)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSON.decode(type, from: Array(text.utf8), policy: .lenient)
    }
}

/// Why this registry must read everything before it does anything more.
enum StandbyError: Error, CustomStringConvertible {
    /// Another registry holds the lock of the active one, or has held it.
    case standby, outdated
    /// The database has lost transactions that it had confirmed.
    case behind(String)

    var description: String {
        switch self {
        case .standby: "another oms-registry is active on this database; this one stands by"
        case .outdated: "another oms-registry was active on this database meanwhile; this one reads everything again"
        case .behind(let text):
            "the database has lost transactions that it had confirmed (\(text)): a backup was restored, or a replica that "
                + "lagged was promoted; this registry reads everything again"
        }
    }
}

/// A row that does not have the form that this release writes.
struct StoreError: Error, CustomStringConvertible {
    var description: String
}
