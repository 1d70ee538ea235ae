import OMSModel

/// Builds the JSON Schemas (2020-12) of the catalogue.
enum Schema {
    private static let dialect: JSONValue = "https://json-schema.org/draft/2020-12/schema"

    /// For `input_schema`: nothing is taken.
    static let nothing: JSONValue = ["$schema": dialect, "type": "null", "description": "This service takes no input."]

    static func object(_ properties: JSONObject, required: [String]) -> JSONValue {
        [
            "$schema": dialect, "type": "object", "properties": .object(properties),
            "required": .array(required.map { .string($0) }), "additionalProperties": false,
        ]
    }

    /// Each output is an object with the member `value`.
    static func outputs(_ values: JSONObject) -> JSONValue {
        let wrapped = values.mapValues { value -> JSONValue in
            ["type": "object", "properties": ["value": value], "required": ["value"]]
        }
        return [
            "$schema": dialect, "type": "object", "properties": .object(wrapped),
            "required": .array(values.keys.sorted().map { .string($0) }),
        ]
    }

    static func text(_ rule: TextRule, _ words: String, default fallback: String? = nil) -> JSONValue {
        var members = rule.schema.objectValue ?? [:]
        members["description"] = .string(words)
        if let fallback { members["default"] = .string(fallback) }
        return .object(members)
    }

    static func list(_ rule: TextRule, _ limit: Int, _ words: String) -> JSONValue {
        [
            "type": "array", "items": rule.schema, "minItems": 1, "maxItems": .int(Int64(limit)), "uniqueItems": true,
            "description": .string(words),
        ]
    }

    static func count(_ words: String) -> JSONValue {
        ["type": "integer", "minimum": 0, "description": .string(words)]
    }

    static func number(_ words: String) -> JSONValue { ["type": "number", "description": .string(words)] }
}
