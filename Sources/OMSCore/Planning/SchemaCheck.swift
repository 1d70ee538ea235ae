package import OMSModel

/// Checks a value against a JSON Schema (2020-12), as far as Service Providers describe their parameters: `type`, `enum`,
/// `const`, `properties`, `required`, `additionalProperties`, `items`, `minimum`, `maximum`, `exclusiveMinimum`,
/// `exclusiveMaximum`, `minLength`, `maxLength`, `minItems`, `maxItems`, `uniqueItems`, `anyOf`, `oneOf`, `allOf`. Other
/// keywords are not judged: the provider has the last word when it is asked.
package enum SchemaCheck {
    /// - Returns: what is wrong, with pointers that begin at `pointer`.
    package static func errors(_ value: JSONValue, _ schema: JSONValue, at pointer: String = "") -> [FieldError] {
        var check = Check()
        check.check(value, schema, pointer, depth: 0)
        return check.errors
    }

    private struct Check {
        var errors: [FieldError] = []
        /// A schema comes from a stranger: no endless recursion, no flood of complaints.
        static let maxDepth = 32
        static let maxErrors = 20

        mutating func add(_ pointer: String, _ detail: String) {
            if errors.count < Self.maxErrors { errors.append(FieldError(pointer: pointer, detail: detail)) }
        }

        mutating func check(_ value: JSONValue, _ schema: JSONValue, _ pointer: String, depth: Int) {
            guard depth < Self.maxDepth, let rules = schema.objectValue else {
                if schema == .bool(false) { add(pointer, "is not allowed") }
                return
            }
            if !checkType(value, rules, pointer) { return }
            if let allowed = rules["enum"]?.arrayValue, !allowed.contains(value) {
                add(pointer, "must be one of \(allowed.map(Self.text).joined(separator: ", "))")
            }
            if let only = rules["const"], only != value { add(pointer, "must be \(Self.text(only))") }
            switch value {
            case .object(let members): object(members, rules, pointer, depth)
            case .array(let items): array(items, rules, pointer, depth)
            case .string(let text):
                length(text.unicodeScalars.count, "minLength", "maxLength", "characters", rules, pointer)
            case .int(let number): range(Double(number), rules, pointer)
            case .double(let number): range(number, rules, pointer)
            case .number(let number):
                if let number = number.double { range(number, rules, pointer) }
            case .null, .bool: break
            }
            combine(value, rules, pointer, depth)
        }

        private mutating func checkType(_ value: JSONValue, _ rules: JSONObject, _ pointer: String) -> Bool {
            let types =
                rules["type"]?.stringValue.map { [$0] } ?? rules["type"]?.arrayValue?.compactMap(\.stringValue) ?? []
            if types.isEmpty || types.contains(where: { Self.isType(value, $0) }) { return true }
            add(pointer, "must be \(types.joined(separator: " or ")), not \(Self.typeName(value))")
            return false
        }

        private mutating func object(
            _ members: JSONObject, _ rules: JSONObject, _ pointer: String, _ depth: Int
        ) {
            let properties = rules["properties"]?.objectValue ?? [:]
            for name in rules["required"]?.arrayValue?.compactMap(\.stringValue) ?? [] where members[name] == nil {
                add("\(pointer)/\(name)", "is missing; the provider needs it")
            }
            for (name, member) in members.sorted(by: { $0.key < $1.key }) {
                if let rule = properties[name] {
                    check(member, rule, "\(pointer)/\(name)", depth: depth + 1)
                } else if let rule = rules["additionalProperties"] {
                    if rule == .bool(false) {
                        add(
                            "\(pointer)/\(name)",
                            "is unknown to the provider; known there: \(properties.keys.sorted().joined(separator: ", "))"
                        )
                    } else {
                        check(member, rule, "\(pointer)/\(name)", depth: depth + 1)
                    }
                }
            }
        }

        private mutating func array(
            _ items: [JSONValue], _ rules: JSONObject, _ pointer: String, _ depth: Int
        ) {
            length(items.count, "minItems", "maxItems", "items", rules, pointer)
            if rules["uniqueItems"] == .bool(true), Set(items).count != items.count { add(pointer, "repeats an item") }
            guard let rule = rules["items"] else { return }
            for (index, item) in items.enumerated() { check(item, rule, "\(pointer)/\(index)", depth: depth + 1) }
        }

        private mutating func length(
            _ count: Int, _ least: String, _ most: String, _ unit: String, _ rules: JSONObject,
            _ pointer: String
        ) {
            if let limit = rules[least]?.intValue, count < limit { add(pointer, "must have at least \(limit) \(unit)") }
            if let limit = rules[most]?.intValue, count > limit { add(pointer, "must have at most \(limit) \(unit)") }
        }

        private mutating func range(_ number: Double, _ rules: JSONObject, _ pointer: String) {
            if let limit = Self.number(rules["minimum"]), number < limit { add(pointer, "must be at least \(limit)") }
            if let limit = Self.number(rules["maximum"]), number > limit { add(pointer, "must be at most \(limit)") }
            if let limit = Self.number(rules["exclusiveMinimum"]), number <= limit {
                add(pointer, "must be more than \(limit)")
            }
            if let limit = Self.number(rules["exclusiveMaximum"]), number >= limit {
                add(pointer, "must be less than \(limit)")
            }
        }

        private mutating func combine(
            _ value: JSONValue, _ rules: JSONObject, _ pointer: String, _ depth: Int
        ) {
            for rule in rules["allOf"]?.arrayValue ?? [] { check(value, rule, pointer, depth: depth + 1) }
            for keyword in ["anyOf", "oneOf"] {
                guard let choices = rules[keyword]?.arrayValue, !choices.isEmpty else { continue }
                let fitting = choices.count { choice in
                    var other = Check()
                    other.check(value, choice, pointer, depth: depth + 1)
                    return other.errors.isEmpty
                }
                if fitting == 0 { add(pointer, "fits none of the \(choices.count) forms that the provider knows") }
                if keyword == "oneOf", fitting > 1 {
                    add(pointer, "fits \(fitting) forms at once; the provider wants one")
                }
            }
        }

        private static func number(_ value: JSONValue?) -> Double? { value?.doubleValue }

        private static func isType(_ value: JSONValue, _ type: String) -> Bool {
            switch (type, value) {
            case ("object", .object), ("array", .array), ("string", .string), ("boolean", .bool), ("null", .null),
                ("integer", .int), ("number", .int), ("number", .double), ("number", .number):
                true
            case ("integer", .double), ("integer", .number): value.isInteger
            default: false
            }
        }

        private static func typeName(_ value: JSONValue) -> String {
            switch value {
            case .null: "null"
            case .bool: "boolean"
            case .int: "integer"
            case .double, .number: "number"
            case .string: "string"
            case .array: "array"
            case .object: "object"
            }
        }

        private static func text(_ value: JSONValue) -> String {
            switch value {
            case .string(let text): "'\(text)'"
            case .int(let number): "\(number)"
            case .double(let number): "\(number)"
            case .number(let number): "\(number)"
            case .bool(let flag): "\(flag)"
            case .null: "null"
            case .array, .object: "..."
            }
        }
    }
}
