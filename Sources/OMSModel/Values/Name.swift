/// A name that may stand in a topic level, a URL and a file name: `^[a-z0-9][a-z0-9-]{0,62}$`.
/// The phantom `Kind` keeps a tenant from being passed where a provider is meant.
package struct Name<Kind>: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    /// Returns nil unless `text` has the form above: no `/`, `+` or `#` ever reaches a topic through a name.
    package init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= 63, first != UInt8(ascii: "-") else { return nil }
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                continue
            default: return nil
            }
        }
        self.text = String(text)
    }

    package static func < (a: Name, b: Name) -> Bool { a.text < b.text }
    package var description: String { text }
}

extension Name: Codable, CodingKeyRepresentable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let name = Name(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not a name; \(nameRule)"))
        }
        self = name
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    // Dictionaries keyed by names are JSON objects.
    package var codingKey: any CodingKey { NameKey(stringValue: text) }
    package init?<T: CodingKey>(codingKey: T) { self.init(codingKey.stringValue) }
}

extension Name: ExpressibleByStringLiteral, ExpressibleByUnicodeScalarLiteral,
    ExpressibleByExtendedGraphemeClusterLiteral
{
    /// For literals in code and tests; a literal that is no name is a programming error.
    package init(stringLiteral value: String) {
        guard let name = Name(value) else { preconditionFailure("'\(value)' is not a name; \(nameRule)") }
        self = name
    }
}

/// The rule in words, for error messages.
package let nameRule = "names are 1 to 63 of a-z, 0-9 and '-', not beginning with '-'"
/// And as a regular expression, for schemas.
package let namePattern = "^[a-z0-9][a-z0-9-]{0,62}$"

private struct NameKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

package enum TenantKind {}
package enum ProviderKind {}
package enum ServiceKind {}
package enum ServiceTypeKind {}
package enum ScenarioKind {}
package enum NodeKind {}

/// Who has work done.
package typealias TenantID = Name<TenantKind>
/// A registered Service Provider.
package typealias ProviderID = Name<ProviderKind>
/// A service of a tenant (as its scenario calls it) or of a provider (as its catalogue calls it).
package typealias ServiceID = Name<ServiceKind>
/// What a service does; services of one type on several providers are interchangeable.
package typealias ServiceType = Name<ServiceTypeKind>
package typealias ScenarioID = Name<ScenarioKind>
/// A running process: a fleet, a gateway, a registry, a client.
package typealias NodeID = Name<NodeKind>
