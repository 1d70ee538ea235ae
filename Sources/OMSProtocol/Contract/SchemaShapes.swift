import OMSModel

/// Types that read themselves from one JSON value and say here what they take; all others are seen while they decode
/// (`SchemaRecorder`).
protocol WrittenSchema: Decodable {
    static var schemaName: String { get }
    static var schema: YAMLNode { get }
    /// Any value: what is decoded for the schema's sake is thrown away.
    static var sample: Self { get }
}

extension Name: WrittenSchema {
    static var schemaName: String { "Name" }
    static var schema: YAMLNode { ["description": .text(nameRule), "type": "string", "pattern": .text(namePattern)] }
    static var sample: Name { "x" }
}

extension UUIDv7: WrittenSchema {
    static var schemaName: String { "UUIDv7" }
    static var schema: YAMLNode {
        [
            "description": "UUID of version 7 (RFC 9562); written in lower case",
            "type": "string",
            "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$",
        ]
    }
    static var sample: UUIDv7 { UUIDv7(time: Timestamp(milliseconds: 0), of: "") }
}

extension Timestamp: WrittenSchema {
    static var schemaName: String { "Timestamp" }
    static var schema: YAMLNode {
        [
            "description": "RFC 3339; written in UTC with milliseconds, any offset is read",
            "type": "string", "format": "date-time",
        ]
    }
    static var sample: Timestamp { Timestamp(milliseconds: 0) }
}

extension JSONValue: WrittenSchema {
    static var schemaName: String { "JSONValue" }
    static var schema: YAMLNode { ["description": "any JSON: OMS passes it on without looking inside"] }
    static var sample: JSONValue { .null }
}

// MARK: - What contains other things

protocol ListShape {
    static func element(by recorder: SchemaRecorder) throws -> YAMLNode
    static var none: Self { get }
}

extension Array: ListShape where Element: Decodable {
    static func element(by recorder: SchemaRecorder) throws -> YAMLNode { try recorder.schema(of: Element.self).node }
    static var none: [Element] { [] }
}

extension JSONObject: MapShape {
    static func key(by recorder: SchemaRecorder) throws -> YAMLNode? { nil }
    static func value(by recorder: SchemaRecorder) throws -> YAMLNode { try recorder.schema(of: JSONValue.self).node }
    static var none: JSONObject { JSONObject() }
}

protocol MapShape {
    /// nil: any text is a key.
    static func key(by recorder: SchemaRecorder) throws -> YAMLNode?
    static func value(by recorder: SchemaRecorder) throws -> YAMLNode
    static var none: Self { get }
}

extension Dictionary: MapShape where Key: Decodable, Value: Decodable {
    static func key(by recorder: SchemaRecorder) throws -> YAMLNode? {
        if Key.self == String.self { return nil }
        // Other keys make it a list of pairs, or are texts of a form that is not that of their values.
        guard Key.self is any (CodingKeyRepresentable & WrittenSchema).Type else {
            throw SchemaError("\(Self.self) is no JSON object")
        }
        return try recorder.schema(of: Key.self).node
    }
    static func value(by recorder: SchemaRecorder) throws -> YAMLNode { try recorder.schema(of: Value.self).node }
    static var none: [Key: Value] { [:] }
}
