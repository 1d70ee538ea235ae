import OMSModel

/// JSON to bytes and back, always in one form: sorted members, no escaped slashes.
enum JSONText {
    static func encode(_ value: some Encodable) throws -> [UInt8] { try JSON.encode(value) }

    static func string(_ value: some Encodable) throws -> String { String(decoding: try encode(value), as: UTF8.self) }

    static func decode<Value: Decodable>(_ type: Value.Type, from text: String) throws -> Value {
        try JSON.decode(type, from: Array(text.utf8))
    }

    static func parse(_ bytes: [UInt8]) throws -> JSONValue {
        try JSONReader.read(bytes, JSONLimits(bytes: .max, depth: 64, nodes: .max))
    }

    /// Two bodies that mean the same have the same hash: member order and white space do not count, nor does `66.0`
    /// against `66`.
    static func canonicalHash(_ value: JSONValue) throws -> String { SHA256.hex(of: try encode(normalised(value))) }

    private static func normalised(_ value: JSONValue) -> JSONValue {
        switch value {
        case .double: value.intValue.map { .int($0) } ?? value
        case .array(let items): .array(items.map(normalised))
        case .object(let members): .object(members.mapValues(normalised))
        case .null, .bool, .int, .number, .string: value
        }
    }
}
