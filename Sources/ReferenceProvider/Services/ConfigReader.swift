import OMSModel

/// Collects what is wrong with a configuration, so that one answer names everything at once.
struct ConfigReader {
    private(set) var errors: [FieldError] = []
    private static let errorLimit = 50

    mutating func refuse(_ pointer: String, _ detail: String) {
        if errors.count < Self.errorLimit { errors.append(FieldError(pointer: pointer, detail: detail)) }
    }

    /// Requires a location whose URI has one of `schemes`.
    mutating func location(_ location: DataLocation?, _ member: String, schemes: [String], example: String) {
        let pointer = "/config/\(member)"
        guard let location else { return refuse(pointer, "is required, for example {\"uri\": \"\(example)\"}") }
        if let problem = DataURI.problem(with: location.uri, schemes: schemes) {
            refuse(pointer + "/uri", "\(problem); for example \(example)")
        }
        if location.credential != nil {
            refuse(pointer + "/credential", "this provider knows no credentials; leave it out")
        }
    }

    mutating func noOutput(_ location: DataLocation?) {
        if location != nil {
            refuse("/config/output_source", "this service answers in the job's outputs; leave output_source out")
        }
    }
}

/// Reads the members of `config.parameters` one by one. Unknown members are refused at the end, because a misspelt
/// parameter that is ignored makes a job do something else than was asked.
struct ParameterReader {
    private let members: JSONObject
    private let base: String
    private var known: Set<String> = []
    private(set) var errors: [FieldError] = []

    init(_ parameters: JSONValue?, base: String = "/config/parameters") {
        self.base = base
        switch parameters {
        case .object(let members): self.members = members
        case nil, .null?: members = [:]
        default:
            members = [:]
            errors.append(FieldError(pointer: base, detail: "must be an object"))
        }
    }

    mutating func refuse(_ name: String, _ detail: String) {
        errors.append(FieldError(pointer: pointer(to: name), detail: detail))
    }

    mutating func value(_ name: String) -> JSONValue? {
        known.insert(name)
        return members[name]
    }

    mutating func requiredString(_ name: String, _ rule: TextRule) -> String {
        guard let value = value(name) else {
            refuse(name, "is required: \(rule.words)")
            return ""
        }
        return text(value, name, rule) ?? ""
    }

    mutating func string(_ name: String, default fallback: String, _ rule: TextRule) -> String {
        value(name).flatMap { text($0, name, rule) } ?? fallback
    }

    mutating func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) -> Int {
        guard let value = value(name) else { return fallback }
        guard let number = value.intValue, range.contains(Int(number)) else {
            refuse(name, "must be an integer from \(range.lowerBound) to \(range.upperBound)")
            return fallback
        }
        return Int(number)
    }

    /// A number between two bounds that it must not touch.
    mutating func number(_ name: String, default fallback: Double, between low: Double, and high: Double) -> Double {
        guard let value = value(name) else { return fallback }
        guard let number = value.doubleValue, number > low, number < high else {
            refuse(name, "must be a number greater than \(low) and less than \(high)")
            return fallback
        }
        return number
    }

    /// A list without repetition; nil when absent.
    mutating func strings(_ name: String, atMost limit: Int, _ rule: TextRule) -> [String]? {
        guard let value = value(name) else { return nil }
        guard let items = value.arrayValue, (1...limit).contains(items.count) else {
            refuse(name, "must be an array of 1 to \(limit) strings")
            return nil
        }
        let texts = items.enumerated().compactMap { text($0.element, "\(name)/\($0.offset)", rule) }
        if Set(texts).count != texts.count { refuse(name, "names something twice; remove the repetition") }
        return texts
    }

    /// An object of strings; empty when absent.
    mutating func dictionary(_ name: String, atMost limit: Int, keys: TextRule, values: TextRule) -> [String: String] {
        guard let value = value(name) else { return [:] }
        guard let members = value.objectValue, members.count <= limit else {
            refuse(name, "must be an object of at most \(limit) members")
            return [:]
        }
        var result: [String: String] = [:]
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            let place = "\(name)/\(escape(key))"
            if !keys.accepts(key) { refuse(place, "its name must be \(keys.words)") }
            if let text = text(value, place, values) { result[key] = text }
        }
        return result
    }

    /// Refuses what nobody asked for. Call last.
    mutating func finish() {
        for name in members.keys.sorted() where !known.contains(name) {
            let detail = "is not a parameter of this service; known are \(known.sorted().joined(separator: ", "))"
            refuse(escape(name), detail)
        }
    }

    private mutating func text(_ value: JSONValue, _ name: String, _ rule: TextRule) -> String? {
        guard let text = value.stringValue, rule.accepts(text) else {
            refuse(name, "must be \(rule.words)")
            return nil
        }
        return text
    }

    private func pointer(to name: String) -> String { "\(base)/\(name)" }

    private func escape(_ name: String) -> String {
        name.replacing("~", with: "~0").replacing("/", with: "~1")
    }
}

/// What a text may look like, in code, in words and as JSON Schema.
struct TextRule: Sendable {
    let words: String
    let schema: JSONValue
    let accepts: @Sendable (String) -> Bool

    /// A table name: it becomes an SQL identifier and is never quoted away.
    static let identifier = TextRule(
        words: "a name of 1 to 63 of a-z, 0-9 and '_', beginning with a letter",
        schema: ["type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$"]
    ) { text in
        let bytes = Array(text.utf8)
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return (1...63).contains(bytes.count) && letters.contains(bytes[0])
            && bytes.allSatisfy { letters.contains($0) || digits.contains($0) || $0 == UInt8(ascii: "_") }
    }

    /// A label or a column: free text without control characters.
    static let label = TextRule(
        words: "a text of 1 to 128 characters without control characters",
        schema: ["type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000-\\u001f\\u007f]*$"]
    ) { text in
        (1...128).contains(text.unicodeScalars.count)
            && text.unicodeScalars.allSatisfy { $0.value > 0x1f && $0.value != 0x7f }
    }

    static func oneOf(_ choices: [String]) -> TextRule {
        TextRule(
            words: "one of \(choices.joined(separator: ", "))",
            schema: ["type": "string", "enum": .array(choices.map { .string($0) })]
        ) { choices.contains($0) }
    }
}

/// The parameter that every service has: a brake.
struct Pace: Hashable {
    var milliseconds: Int

    static let schema: JSONValue = [
        "type": "integer", "minimum": 0, "maximum": 1000, "default": 0,
        "description": "Pause after each 1,000 rows, in milliseconds: spares a store that others use as well.",
    ]
    static let rows = 1000

    init(_ reader: inout ParameterReader) { milliseconds = reader.integer("pace_ms", default: 0, in: 0...1000) }
}
