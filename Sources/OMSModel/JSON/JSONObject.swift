/// The members of a JSON object. Like a dictionary, but two names are the same only if their bytes are: Swift's `String`
/// takes the two spellings of "é" for one, PostgreSQL and every other reader of JSON does not.
package struct JSONObject: Hashable, Sendable {
    private var members: [JSONKey: JSONValue]

    package init() { members = [:] }
    package init(minimumCapacity: Int) { members = Dictionary(minimumCapacity: minimumCapacity) }

    package init(_ dictionary: [String: JSONValue]) {
        members = Dictionary(minimumCapacity: dictionary.count)
        for (name, value) in dictionary { members[JSONKey(text: name)] = value }
    }

    package init(
        _ pairs: some Sequence<(String, JSONValue)>, uniquingKeysWith combine: (JSONValue, JSONValue) -> JSONValue
    ) {
        members = Dictionary(pairs.lazy.map { (JSONKey(text: $0.0), $0.1) }, uniquingKeysWith: combine)
    }

    /// Of equal names the last wins.
    package init(uniqueKeysWithValues pairs: some Sequence<(String, JSONValue)>) {
        self.init(pairs) { _, last in last }
    }

    private init(members: [JSONKey: JSONValue]) { self.members = members }

    package subscript(key: String) -> JSONValue? {
        get { members[JSONKey(text: key)] }
        _modify { yield &members[JSONKey(text: key)] }
    }

    package subscript(key: String, default fallback: @autoclosure () -> JSONValue) -> JSONValue {
        get { members[JSONKey(text: key), default: fallback()] }
        _modify { yield &members[JSONKey(text: key), default: fallback()] }
    }

    package var keys: LazyMapSequence<Dictionary<JSONKey, JSONValue>.Keys, String> { members.keys.lazy.map(\.text) }
    package var values: Dictionary<JSONKey, JSONValue>.Values { members.values }

    @discardableResult
    package mutating func removeValue(forKey key: String) -> JSONValue? {
        members.removeValue(forKey: JSONKey(text: key))
    }

    package func mapValues(_ transform: (JSONValue) throws -> JSONValue) rethrows -> JSONObject {
        JSONObject(members: try members.mapValues(transform))
    }

    /// What is not JSON goes into a dictionary, in which two spellings of a name are one.
    package func mapValues<Other>(_ transform: (JSONValue) throws -> Other) rethrows -> [String: Other] {
        try members.reduce(into: [:]) { $0[$1.key.text] = try transform($1.value) }
    }

    package func compactMapValues<Other>(_ transform: (JSONValue) throws -> Other?) rethrows -> [String: Other] {
        try members.reduce(into: [:]) { $0[$1.key.text] = try transform($1.value) }
    }

    package func filter(_ isIncluded: (Element) throws -> Bool) rethrows -> JSONObject {
        JSONObject(members: try members.filter { try isIncluded((key: $0.key.text, value: $0.value)) })
    }

    package mutating func merge(_ other: JSONObject, uniquingKeysWith combine: (JSONValue, JSONValue) -> JSONValue) {
        members.merge(other.members, uniquingKeysWith: combine)
    }

    package func merging(
        _ other: JSONObject, uniquingKeysWith combine: (JSONValue, JSONValue) -> JSONValue
    ) -> JSONObject {
        JSONObject(members: members.merging(other.members, uniquingKeysWith: combine))
    }
}

extension JSONObject: Collection {
    package typealias Element = (key: String, value: JSONValue)

    package var startIndex: Dictionary<JSONKey, JSONValue>.Index { members.startIndex }
    package var endIndex: Dictionary<JSONKey, JSONValue>.Index { members.endIndex }
    package var count: Int { members.count }
    package func index(after index: Dictionary<JSONKey, JSONValue>.Index) -> Dictionary<JSONKey, JSONValue>.Index {
        members.index(after: index)
    }
    package subscript(position: Dictionary<JSONKey, JSONValue>.Index) -> Element {
        let (key, value) = members[position]
        return (key.text, value)
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) { _, last in last } }
}

extension JSONObject: Codable {
    package init(from decoder: any Decoder) throws {
        if let own = decoder as? JSONNodeDecoder {
            guard case .object(let members) = own.node else { throw own.mismatch("an object") }
            self = members
        } else {
            self.init(try [String: JSONValue](from: decoder))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        if let own = encoder as? JSONWriter {
            own.write(.object(self))
        } else {
            try Dictionary(map { ($0.key, $0.value) }) { _, last in last }.encode(to: encoder)
        }
    }
}

/// A name that is equal to another one if the bytes are.
package struct JSONKey: Hashable, Sendable {
    package var text: String

    package init(text: String) { self.text = text }

    package static func == (a: JSONKey, b: JSONKey) -> Bool { a.text.hasSameBytes(as: b.text) }
    package func hash(into hasher: inout Hasher) { text.hashBytes(into: &hasher) }
}

extension String {
    package func hasSameBytes(as other: String) -> Bool {
        var (a, b) = (self, other)
        return a.withUTF8 { a in b.withUTF8 { b in a.count == b.count && a.elementsEqual(b) } }
    }

    package func hashBytes(into hasher: inout Hasher) {
        var text = self
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(0xFF as UInt8)
    }

    /// In the order of the bytes, which is the same everywhere.
    package func isBefore(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }
}
