/// How a type reads itself from JSON.
package enum JSONPolicy: Sendable {
    /// What our own programs and people write: what does not fit is an error that names the member.
    case strict
    /// What foreign programs answer: a fraction where an integer is meant is cut off, a number out of range becomes the
    /// nearest one, and a number where a text is meant becomes one.
    case lenient
}

/// From JSON to the types of OMS and back: what Foundation's encoder and decoder are elsewhere. Those cost up to seconds
/// for a small hostile body, throw for infinite numbers and speak to programmers.
package enum JSON {
    /// - Throws: `JSONFault`, or an error that `readable` turns into a sentence with the path.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], limits: JSONLimits = .own, policy: JSONPolicy = .strict
    ) throws -> Value {
        try decode(type, from: JSONReader.read(bytes, limits), policy: policy)
    }

    /// - Throws: an error that `readable` turns into a sentence with the path.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from value: JSONValue, policy: JSONPolicy = .strict
    ) throws -> Value {
        try JSONNodeDecoder(node: value, policy: policy).read(type)
    }

    /// Members in the order of their names, without white space. Infinite numbers become null.
    /// - Throws: only what a type's own `encode(to:)` throws.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let writer = JSONWriter()
        try writer.write(value)
        return writer.bytes
    }
}

extension JSONValue {
    /// The value as it stands in messages and rows. Not for hot paths.
    package init(encoding value: some Encodable) {
        // What is encoded here are our own values, which always can be.
        guard let bytes = try? JSON.encode(value), let value = try? JSONReader.read(bytes, .own) else {
            self = .null
            return
        }
        self = value
    }

    /// For messages: `the number 5`.
    package var inWords: String {
        switch self {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .int(let value): "the number \(value)"
        case .double(let value): "the number \(value)"
        case .number(let value): "the number \(value.literal.prefix(60))"
        case .string(let text):
            "the text '\(text.unicodeScalars.count > 60 ? String(text.unicodeScalars.prefix(60)) + "..." : text)'"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// A decoding error as one sentence with the path, for logs and people.
package func readable(_ error: any Error) -> String {
    func sentence(_ path: [any CodingKey], _ what: String) -> String {
        let path = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: "/")
        return path.isEmpty ? what : "\(path): \(what)"
    }
    switch error {
    case DecodingError.keyNotFound(let key, let context):
        return sentence(context.codingPath + [key], "is missing")
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
        DecodingError.dataCorrupted(let context):
        return sentence(context.codingPath, context.debugDescription)
    default: return "\(error)"
    }
}

/// A place in the tree. Errors get their path on the way out, so that reading costs nothing for it.
package struct JSONNodeDecoder: Decoder {
    package let node: JSONValue
    package let policy: JSONPolicy

    package var codingPath: [any CodingKey] { [] }
    package var userInfo: [CodingUserInfoKey: Any] { [:] }

    package func container<Key: CodingKey>(keyedBy: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = node else { throw mismatch("an object") }
        return KeyedDecodingContainer(JSONMembers<Key>(members: members, policy: policy))
    }

    package func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let items) = node else { throw mismatch("a list") }
        return JSONItems(items: items, policy: policy)
    }

    package func singleValueContainer() -> any SingleValueDecodingContainer { self }

    package func mismatch(_ wanted: String) -> DecodingError {
        .dataCorrupted(.init(codingPath: [], debugDescription: "must be \(wanted), but is \(node.inWords)"))
    }

    func read<Value: Decodable>(_ type: Value.Type) throws -> Value {
        do {
            return try Value(from: self)
        } catch {
            // Swift's own sentence about a word that an enum does not know is for programmers.
            if case .string = node, let choices = (type as? any CaseIterable.Type)?.words {
                throw mismatch("one of \(choices.joined(separator: ", "))")
            }
            throw error
        }
    }
}

extension CaseIterable {
    /// Of an enum of texts.
    fileprivate static var words: [String]? {
        let words = allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String }
        return words.isEmpty ? nil : words
    }
}

// MARK: - Scalars

extension JSONNodeDecoder: SingleValueDecodingContainer {
    package func decodeNil() -> Bool { if case .null = node { true } else { false } }

    package func decode(_: Bool.Type) throws -> Bool {
        guard case .bool(let flag) = node else { throw mismatch("true or false") }
        return flag
    }

    package func decode(_: String.Type) throws -> String {
        switch node {
        case .string(let text): return text
        case .int, .double, .number:
            guard policy == .lenient else { throw mismatch("a text") }
            return String(decoding: node.bytes, as: UTF8.self)
        default: throw mismatch("a text")
        }
    }

    package func decode(_: Double.Type) throws -> Double {
        switch node {
        case .int(let value): return Double(value)
        case .double(let value) where value.isFinite: return value
        case .number(let number):
            if let value = number.double { return value }
            guard policy == .lenient else { throw mismatch("a number below 1.8e308") }
            return number.isNegative ? -.greatestFiniteMagnitude : .greatestFiniteMagnitude
        default: throw mismatch("a number")
        }
    }

    package func decode(_: Float.Type) throws -> Float { Float(try decode(Double.self)) }
    package func decode(_: Int.Type) throws -> Int { try integer() }
    package func decode(_: Int8.Type) throws -> Int8 { try integer() }
    package func decode(_: Int16.Type) throws -> Int16 { try integer() }
    package func decode(_: Int32.Type) throws -> Int32 { try integer() }
    package func decode(_: Int64.Type) throws -> Int64 { try integer() }
    package func decode(_: UInt.Type) throws -> UInt { try integer() }
    package func decode(_: UInt8.Type) throws -> UInt8 { try integer() }
    package func decode(_: UInt16.Type) throws -> UInt16 { try integer() }
    package func decode(_: UInt32.Type) throws -> UInt32 { try integer() }
    package func decode(_: UInt64.Type) throws -> UInt64 { try integer() }
    package func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try read(type) }

    private func integer<Value: FixedWidthInteger>() throws -> Value { try integer(within: NumberBounds.all) }

    func integer<Value: FixedWidthInteger>(within range: ClosedRange<Int64>) throws -> Value {
        let least = max(range.lowerBound, Int64(clamping: Value.min))
        let most = min(range.upperBound, Int64(clamping: Value.max))
        let exact: Int64?
        let rounded: Double
        switch node {
        case .int(let value): (exact, rounded) = (value, Double(value))
        case .double(let value) where value.isFinite:
            (exact, rounded) = (Int64(exactly: value), value.rounded(.towardZero))
        case .number(let number):
            (exact, rounded) = (
                nil, number.double ?? (number.isNegative ? -.greatestFiniteMagnitude : .greatestFiniteMagnitude)
            )
        default: throw mismatch("an integer")
        }
        if let exact, least <= exact, exact <= most { return Value(truncatingIfNeeded: exact) }
        guard policy == .lenient else {
            if case .double(let value) = node, value != rounded { throw mismatch("an integer") }
            throw mismatch("an integer of \(least) to \(most)")
        }
        if let exact { return Value(truncatingIfNeeded: min(max(exact, least), most)) }
        let whole = Int64(exactly: rounded) ?? (rounded < 0 ? .min : .max)
        return Value(truncatingIfNeeded: min(max(whole, least), most))
    }

    func number(within range: ClosedRange<Double>?) throws -> Double {
        let value = try decode(Double.self)
        guard let range, !range.contains(value) else { return value }
        guard policy == .lenient else {
            throw mismatch("a number of \(Int(range.lowerBound)) to \(Int(range.upperBound))")
        }
        return min(max(value, range.lowerBound), range.upperBound)
    }
}

// MARK: - Objects and lists

private func within<Value>(_ key: some CodingKey, _ read: () throws -> Value) throws -> Value {
    do {
        return try read()
    } catch let error as DecodingError {
        throw error.within(key)
    }
}

extension DecodingError {
    fileprivate func within(_ key: some CodingKey) -> DecodingError {
        func longer(_ context: Context) -> Context {
            Context(
                codingPath: [key] + context.codingPath, debugDescription: context.debugDescription,
                underlyingError: context.underlyingError)
        }
        switch self {
        case .typeMismatch(let type, let context): return .typeMismatch(type, longer(context))
        case .valueNotFound(let type, let context): return .valueNotFound(type, longer(context))
        case .keyNotFound(let missing, let context): return .keyNotFound(missing, longer(context))
        case .dataCorrupted(let context): return .dataCorrupted(longer(context))
        @unknown default: return self
        }
    }
}

private struct JSONMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: JSONObject
    let policy: JSONPolicy

    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }
    func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

    private func decoder(_ key: Key) throws -> JSONNodeDecoder {
        guard let node = members[key.stringValue] else {
            throw DecodingError.keyNotFound(key, .init(codingPath: [], debugDescription: "is missing"))
        }
        return JSONNodeDecoder(node: node, policy: policy)
    }

    private func must<Value: Decodable>(_ type: Value.Type, _ key: Key) throws -> Value {
        let decoder = try decoder(key)
        return try within(key) { try decoder.read(type) }
    }

    private func may<Value: Decodable>(_ type: Value.Type, _ key: Key) throws -> Value? {
        guard let node = members[key.stringValue] else { return nil }
        if case .null = node { return nil }
        return try within(key) { try JSONNodeDecoder(node: node, policy: policy).read(type) }
    }

    private func bounded<Value: FixedWidthInteger>(_ key: Key) throws -> Value {
        let decoder = try decoder(key)
        return try within(key) { try decoder.integer(within: NumberBounds.integers(of: key.stringValue)) }
    }

    private func figure(_ key: Key) throws -> Double {
        let decoder = try decoder(key)
        return try within(key) { try decoder.number(within: NumberBounds.numbers(of: key.stringValue)) }
    }

    private func isThere(_ key: Key) -> Bool {
        if case .null = members[key.stringValue] ?? .null { false } else { true }
    }

    func decodeNil(forKey key: Key) throws -> Bool { try decoder(key).decodeNil() }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try must(type, key) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try must(type, key) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try figure(key) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try must(type, key) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try bounded(key) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try must(type, key) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try must(type, key) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try must(type, key) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try bounded(key) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try must(type, key) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try must(type, key) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try must(type, key) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try must(type, key) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try must(type, key) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try must(type, key) }
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try may(type, key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try may(type, key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? {
        try isThere(key) ? figure(key) : nil
    }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try isThere(key) ? bounded(key) : nil }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try isThere(key) ? bounded(key) : nil }
    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? { try may(type, key) }

    func nestedContainer<Other: CodingKey>(
        keyedBy type: Other.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Other> {
        let decoder = try decoder(key)
        return try within(key) { try decoder.container(keyedBy: type) }
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        let decoder = try decoder(key)
        return try within(key) { try decoder.unkeyedContainer() }
    }
    func superDecoder() throws -> any Decoder { JSONNodeDecoder(node: members["super"] ?? .null, policy: policy) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}

private struct JSONItems: UnkeyedDecodingContainer {
    let items: [JSONValue]
    let policy: JSONPolicy
    private(set) var currentIndex = 0

    init(items: [JSONValue], policy: JSONPolicy) {
        self.items = items
        self.policy = policy
    }

    var codingPath: [any CodingKey] { [] }
    var count: Int? { items.count }
    var isAtEnd: Bool { currentIndex >= items.count }

    private struct Index: CodingKey {
        var number: Int
        var intValue: Int? { number }
        var stringValue: String { "\(number)" }
        init(_ number: Int) { self.number = number }
        init?(intValue: Int) { number = intValue }
        init?(stringValue: String) { nil }
    }

    private mutating func next<Value>(_ read: (JSONNodeDecoder) throws -> Value) throws -> Value {
        guard currentIndex < items.count else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "must have more than \(items.count) elements"))
        }
        let decoder = JSONNodeDecoder(node: items[currentIndex], policy: policy)
        let value = try within(Index(currentIndex)) { try read(decoder) }
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard currentIndex < items.count, case .null = items[currentIndex] else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try next { try $0.read(type) } }
    mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        try next { try $0.container(keyedBy: type) }
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try next { try $0.unkeyedContainer() }
    }
    mutating func superDecoder() throws -> any Decoder { try next { $0 } }
}
