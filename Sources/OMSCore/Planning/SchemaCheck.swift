package import OMSModel

/// Checks a value against a JSON Schema (2020-12), as far as Service Providers describe their parameters: `type`, `enum`,
/// `const`, `properties`, `required`, `additionalProperties`, `items`, `minimum`, `maximum`, `exclusiveMinimum`,
/// `exclusiveMaximum`, `minLength`, `maxLength`, `minItems`, `maxItems`, `uniqueItems`, `anyOf`, `oneOf`, `allOf`. Other
/// keywords are not judged: the provider has the last word when it is asked.
package enum SchemaCheck {
    /// Of one value against one schema, in steps of some 50 ns. What is not reached is not judged.
    package static let maxWork = 100_000

    /// - Returns: what is wrong, with pointers that begin at `pointer`.
    package static func errors(_ value: JSONValue, _ schema: JSONValue, at pointer: String = "") -> [FieldError] {
        var work = maxWork
        return errors(value, schema, at: pointer, work: &work)
    }

    /// - Parameter work: what may be spent on this and all further checks of one request; a schema comes from a stranger,
    ///   and while it is looked at nobody else is served.
    static func errors(
        _ value: JSONValue, _ schema: JSONValue, at pointer: String, work: inout Int
    ) -> [FieldError] {
        var check = Check(pointer: pointer, work: min(work, maxWork))
        let before = check.work
        check.check(value, schema, depth: 0)
        work -= before - max(0, check.work)
        return check.errors
    }

    private struct Check {
        let pointer: String
        var work: Int
        var errors: [FieldError] = []
        /// Also those that are not kept.
        private var faults = 0
        /// Where in the value: put together only for a complaint.
        private var path: [String] = []
        /// Inside a form that need not fit.
        private var isTrying = false

        /// No endless recursion, no flood of complaints.
        private static let maxDepth = JSONLimits.borderDepth
        private static let maxErrors = 20
        /// Of a list in a complaint, and of a text in it.
        private static let maxListed = 10
        private static let maxText = 60

        init(pointer: String, work: Int) {
            self.pointer = pointer
            self.work = work
        }

        private mutating func add(_ detail: String, at name: String? = nil) {
            faults += 1
            guard !isTrying, errors.count < Self.maxErrors else { return }
            let place = (path + (name.map { [$0] } ?? [])).map { Self.cut($0) }
            errors.append(FieldError(pointer: ([pointer] + place).joined(separator: "/"), detail: detail))
        }

        /// Nothing more to find, or no more time to find it.
        private var isOver: Bool { work <= 0 || !isTrying && errors.count >= Self.maxErrors }

        mutating func check(_ value: JSONValue, _ schema: JSONValue, depth: Int) {
            work -= 1
            guard depth < Self.maxDepth, !isOver, let rules = schema.objectValue else {
                if schema == .bool(false) { add("is not allowed") }
                return
            }
            if !checkType(value, rules) { return }
            if let allowed = rules["enum"]?.arrayValue, !allowed.contains(where: { same($0, value) }), work > 0 {
                add("must be one of \(Self.list(allowed.lazy.map(Self.text), allowed.count))")
            }
            if let only = rules["const"], !same(only, value), work > 0 { add("must be \(Self.text(only))") }
            switch value {
            case .object(let members): object(members, rules, depth)
            case .array(let items): array(items, rules, depth)
            case .string(let text):
                guard rules["minLength"] != nil || rules["maxLength"] != nil else { break }
                work -= text.utf8.count / 16
                length(text.unicodeScalars.count, "minLength", "maxLength", "characters", rules)
            case .null, .bool: break
            default: if let number = value.doubleValue { range(number, rules) }
            }
            combine(value, rules, depth)
        }

        private mutating func checkType(_ value: JSONValue, _ rules: JSONObject) -> Bool {
            let types =
                rules["type"]?.stringValue.map { [$0] } ?? rules["type"]?.arrayValue?.compactMap(\.stringValue) ?? []
            work -= types.count
            if types.isEmpty || types.contains(where: { Self.isType(value, $0) }) { return true }
            add("must be \(Self.list(types.lazy.map { $0 }, types.count, " or ")), not \(Self.typeName(value))")
            return false
        }

        private mutating func object(_ members: JSONObject, _ rules: JSONObject, _ depth: Int) {
            let properties = rules["properties"]?.objectValue ?? [:]
            let required = rules["required"]?.arrayValue ?? []
            work -= required.count
            for name in required.lazy.compactMap(\.stringValue) where members[name] == nil {
                add("is missing; the provider needs it", at: name)
            }
            guard !properties.isEmpty || rules["additionalProperties"] != nil else { return }
            work -= members.count
            for (name, member) in members.sorted(by: { $0.key.isBefore($1.key) }) where !isOver {
                if let rule = properties[name] ?? rules["additionalProperties"] {
                    if properties[name] == nil, rule == .bool(false) {
                        add(
                            "is unknown to the provider; known there: "
                                + Self.list(properties.keys.sorted().lazy.map { $0 }, properties.count), at: name)
                        work -= properties.count
                        continue
                    }
                    path.append(name)
                    check(member, rule, depth: depth + 1)
                    path.removeLast()
                }
            }
        }

        private mutating func array(_ items: [JSONValue], _ rules: JSONObject, _ depth: Int) {
            length(items.count, "minItems", "maxItems", "items", rules)
            if rules["uniqueItems"] == .bool(true), spend(.array(items)), Set(items).count != items.count {
                add("repeats an item")
            }
            guard let rule = rules["items"] else { return }
            for (index, item) in items.enumerated() where !isOver {
                path.append("\(index)")
                check(item, rule, depth: depth + 1)
                path.removeLast()
            }
        }

        private mutating func length(
            _ count: Int, _ least: String, _ most: String, _ unit: String, _ rules: JSONObject
        ) {
            if let limit = rules[least]?.intValue, count < limit { add("must have at least \(limit) \(unit)") }
            if let limit = rules[most]?.intValue, count > limit { add("must have at most \(limit) \(unit)") }
        }

        private mutating func range(_ number: Double, _ rules: JSONObject) {
            if let limit = rules["minimum"]?.doubleValue, number < limit { add("must be at least \(limit)") }
            if let limit = rules["maximum"]?.doubleValue, number > limit { add("must be at most \(limit)") }
            if let limit = rules["exclusiveMinimum"]?.doubleValue, number <= limit { add("must be more than \(limit)") }
            if let limit = rules["exclusiveMaximum"]?.doubleValue, number >= limit { add("must be less than \(limit)") }
        }

        private mutating func combine(_ value: JSONValue, _ rules: JSONObject, _ depth: Int) {
            for rule in rules["allOf"]?.arrayValue ?? [] where !isOver { check(value, rule, depth: depth + 1) }
            for keyword in ["anyOf", "oneOf"] {
                guard let choices = rules[keyword]?.arrayValue, !choices.isEmpty else { continue }
                var fitting = 0
                for choice in choices where work > 0 {
                    let (before, was) = (faults, isTrying)
                    isTrying = true
                    check(value, choice, depth: depth + 1)
                    isTrying = was
                    if faults == before { fitting += 1 }
                    faults = before
                }
                guard work > 0 else { return }
                if fitting == 0 { add("fits none of the \(choices.count) forms that the provider knows") }
                if keyword == "oneOf", fitting > 1 { add("fits \(fitting) forms at once; the provider wants one") }
            }
        }

        /// Pays for looking at all of a value.
        private mutating func spend(_ value: JSONValue) -> Bool {
            work -= 1
            switch value {
            case .string(let text): work -= text.utf8.count / 64
            case .number(let number): work -= number.literal.utf8.count / 16
            case .array(let items): for item in items where work > 0 { _ = spend(item) }
            case .object(let members): for member in members.values where work > 0 { _ = spend(member) }
            default: break
            }
            return work > 0
        }

        private mutating func same(_ a: JSONValue, _ b: JSONValue) -> Bool { spend(a) && a == b }

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

        private static func list(_ items: some Sequence<String>, _ count: Int, _ separator: String = ", ") -> String {
            let shown = items.prefix(maxListed).map { cut($0) }.joined(separator: separator)
            return count > maxListed ? "\(shown) and \(count - maxListed) more" : shown
        }

        private static func cut(_ text: String) -> String {
            text.utf8.count <= maxText ? text : String(text.unicodeScalars.prefix(maxText / 2)) + "..."
        }

        private static func text(_ value: JSONValue) -> String {
            switch value {
            case .string(let text): "'\(cut(text))'"
            case .int(let number): "\(number)"
            case .double(let number): "\(number)"
            case .number(let number): cut("\(number)")
            case .bool(let flag): "\(flag)"
            case .null: "null"
            case .array, .object: "..."
            }
        }
    }
}
