import OMSModel

/// Collects what is wrong with a document, so that one look shows everything: as much as an answer can carry and a person
/// reads.
final class FieldErrors {
    private(set) var list: [FieldError] = []

    private static let maxErrors = 100
    private static let maxBytes = 512

    var isFull: Bool { list.count > Self.maxErrors }

    func add(_ pointer: String, _ detail: String) {
        if isFull { return }
        let isLast = list.count == Self.maxErrors
        list.append(
            isLast
                ? FieldError(pointer: "/", detail: "there are more mistakes; mend these first")
                : FieldError(pointer: Self.cut(pointer), detail: Self.cut(detail)))
    }

    /// Of several documents.
    static func bounded(_ errors: [FieldError]) -> [FieldError] {
        let all = FieldErrors()
        for error in errors { all.add(error.pointer, error.detail) }
        return all.list
    }

    private static func cut(_ text: String) -> String {
        text.utf8.count <= maxBytes ? text : String(text.unicodeScalars.prefix(maxBytes / 4)) + "..."
    }
}

/// Reads the members of one object, remembers which were asked for, and complains about the rest: a misspelt field
/// that is silently ignored costs an operator a night.
struct FieldReader {
    let pointer: String
    private let members: JSONObject
    private let errors: FieldErrors
    private var asked: [String] = []

    init?(_ value: JSONValue?, at pointer: String, _ errors: FieldErrors) {
        guard let members = value?.objectValue else {
            errors.add(pointer.isEmpty ? "/" : pointer, "must be a mapping of fields")
            return nil
        }
        self.pointer = pointer
        self.members = members
        self.errors = errors
    }

    /// Names the unknown fields. Call it last.
    func finish() {
        for key in members.keys.sorted() where !asked.contains(key) {
            if errors.isFull { return }
            let near = asked.min { editDistance($0, key) < editDistance($1, key) }
            let hint = near.flatMap { editDistance($0, key) <= 3 ? "; did you mean '\($0)'?" : nil }
            errors.add(
                "\(pointer)/\(key)", "unknown field\(hint ?? "; known here: \(asked.sorted().joined(separator: ", "))")"
            )
        }
    }

    mutating func value(_ key: String) -> JSONValue? {
        asked.append(key)
        if case .null? = members[key] { return nil }
        return members[key]
    }

    mutating func child(_ key: String) -> FieldReader? {
        guard let value = value(key) else { return nil }
        return FieldReader(value, at: "\(pointer)/\(key)", errors)
    }

    /// The members of an object with free keys, in order.
    mutating func children(_ key: String) -> [(key: String, value: JSONValue, pointer: String)]? {
        guard let value = value(key) else { return nil }
        guard let members = value.objectValue else {
            errors.add("\(pointer)/\(key)", "must be a mapping")
            return nil
        }
        return members.sorted { $0.key < $1.key }.map { ($0.key, $0.value, "\(pointer)/\(key)/\($0.key)") }
    }

    mutating func string(_ key: String, required: Bool = false) -> String? {
        guard let value = value(key) else {
            if required { errors.add("\(pointer)/\(key)", "is missing") }
            return nil
        }
        guard let text = value.stringValue else {
            errors.add("\(pointer)/\(key)", "must be a text")
            return nil
        }
        return text
    }

    /// The name of a secret of the gateway, which is the name of a file there, and no path.
    mutating func credential() -> String? {
        guard let text = string("credential") else { return nil }
        guard CredentialName.isGood(text) else {
            fail(
                "credential",
                "is no name of a credential (\(CredentialName.rule)); the secret itself belongs into the gateway's folder"
            )
            return nil
        }
        return text
    }

    mutating func name<Kind>(_ key: String, required: Bool = false) -> Name<Kind>? {
        guard let text = string(key, required: required) else { return nil }
        return check(text, at: "\(pointer)/\(key)")
    }

    mutating func names<Kind>(_ key: String, required: Bool = false) -> [Name<Kind>]? {
        guard let value = value(key) else {
            if required { errors.add("\(pointer)/\(key)", "is missing") }
            return nil
        }
        guard let items = value.arrayValue else {
            errors.add("\(pointer)/\(key)", "must be a list of names")
            return nil
        }
        return items.enumerated().compactMap { index, item in
            guard let text = item.stringValue else {
                errors.add("\(pointer)/\(key)/\(index)", "must be a name")
                return nil
            }
            return check(text, at: "\(pointer)/\(key)/\(index)")
        }
    }

    func check<Kind>(_ text: String, at pointer: String) -> Name<Kind>? {
        if let name = Name<Kind>(text) { return name }
        errors.add(pointer, "'\(text)' is not a name; \(nameRule)")
        return nil
    }

    mutating func int(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.intValue.flatMap({ Int(exactly: $0) }) else {
            errors.add("\(pointer)/\(key)", "must be a whole number")
            return nil
        }
        guard range.contains(number) else {
            errors.add("\(pointer)/\(key)", "must be from \(range.lowerBound) to \(range.upperBound), not \(number)")
            return nil
        }
        return number
    }

    func has(_ key: String) -> Bool { members[key].map { $0 != .null } ?? false }

    mutating func number(
        _ key: String, above low: Double = -.infinity, below high: Double = .infinity
    ) -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.doubleValue, number.isFinite else {
            errors.add("\(pointer)/\(key)", "must be a number")
            return nil
        }
        guard number > low, number < high else {
            errors.add("\(pointer)/\(key)", "must be above \(low) and below \(high), not \(number)")
            return nil
        }
        return number
    }

    /// The objects of a list; nil for one that is none, which is an error already.
    mutating func items(_ key: String) -> [FieldReader?]? {
        guard let value = value(key) else { return nil }
        guard let items = value.arrayValue else {
            errors.add("\(pointer)/\(key)", "must be a list")
            return nil
        }
        return items.enumerated().map { FieldReader($1, at: "\(pointer)/\(key)/\($0)", errors) }
    }

    mutating func bool(_ key: String) -> Bool? {
        guard let value = value(key) else { return nil }
        if value.boolValue == nil { errors.add("\(pointer)/\(key)", "must be true or false") }
        return value.boolValue
    }

    /// A moment in RFC 3339, required.
    mutating func time(_ key: String) -> Timestamp? {
        guard let text = string(key, required: true) else { return nil }
        if let time = Timestamp(text) { return time }
        errors.add("\(pointer)/\(key)", "'\(text)' is no moment such as 2026-11-24T03:00:00Z")
        return nil
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, _: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        guard let text = string(key) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        errors.add(
            "\(pointer)/\(key)",
            "'\(text)' is none of \(Choice.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", "))")
        return nil
    }

    func fail(_ key: String?, _ detail: String) { errors.add(key.map { "\(pointer)/\($0)" } ?? pointer, detail) }
}

/// Levenshtein distance, for "did you mean".
func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8.prefix(64)), Array(b.utf8.prefix(64)))
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var previous = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let next = min(row[j + 1] + 1, row[j] + 1, previous + (x == y ? 0 : 1))
            previous = row[j + 1]
            row[j + 1] = next
        }
    }
    return row[b.count]
}
