import OMSModel

/// Why a type has no schema: it must be made readable for `SchemaRecorder`, or get a `WrittenSchema`.
struct SchemaError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Finds the JSON Schema of a message by letting its type decode itself from a decoder that has an answer to every
/// question and notes what was asked. So the schema is that of the reader, and nothing could differ from it.
///
/// Only keywords that mean the same in every draft from 7 to 2020-12 are used, and nothing stands beside a `$ref`.
final class SchemaRecorder {
    /// By name: the schemas that others refer to.
    private(set) var definitions: [String: YAMLNode] = [:]
    private var samples: [ObjectIdentifier: Any] = [:]

    struct Property {
        var name: String
        var schema: YAMLNode
        var isRequired: Bool
    }

    /// - Returns: what stands where the type is used, and a value of it.
    func schema<T: Decodable>(of type: T.Type) throws -> (node: YAMLNode, sample: T) {
        let (node, sample) = try shape(of: type)
        guard let sample = sample as? T else { throw SchemaError("the sample of \(type) is of another type") }
        return (node, sample)
    }

    private func shape<T: Decodable>(of type: T.Type) throws -> (YAMLNode, Any) {
        switch type {
        case is Bool.Type: return (["type": "boolean"], false)
        case is String.Type: return (["type": "string"], "")
        case is Double.Type: return (["type": "number"], 0.0)
        case let integer as any FixedWidthInteger.Type: return (["type": "integer"], integer.init(0))
        case let written as any WrittenSchema.Type:
            return (try define(written.schemaName, written.schema), written.sample)
        case let list as any ListShape.Type:
            return (["type": "array", "items": try list.element(by: self)], list.none)
        case let map as any MapShape.Type:
            var members: [YAMLNode.Member] = [.init(key: "type", value: "object")]
            if let key = try map.key(by: self) { members.append(.init(key: "propertyNames", value: key)) }
            members.append(.init(key: "additionalProperties", value: try map.value(by: self)))
            return (.map(members), map.none)
        case let choice as any (CaseIterable & RawRepresentable).Type:
            let (words, sample) = try choices(choice)
            return (try define(name(of: type), ["type": "string", "enum": .list(words)]), sample)
        default:
            let name = name(of: type)
            if let known = samples[ObjectIdentifier(type)] { return (.reference("components", "schemas", name), known) }
            let (properties, sample) = try properties(of: type)
            samples[ObjectIdentifier(type)] = sample
            return (try define(name, object(properties)), sample)
        }
    }

    func properties<T: Decodable>(of type: T.Type) throws -> ([Property], T) {
        let decoder = RecordingDecoder(recorder: self, type: "\(type)")
        let sample = try T(from: decoder)
        return (decoder.properties, sample)
    }

    /// `additionalProperties` is left open: readers take no notice of members that they do not know.
    func object(_ properties: [Property]) -> YAMLNode {
        var members: [YAMLNode.Member] = [.init(key: "type", value: "object")]
        let required = properties.filter(\.isRequired).map { YAMLNode.text($0.name) }
        if !required.isEmpty { members.append(.init(key: "required", value: .list(required))) }
        members.append(
            .init(key: "properties", value: .map(properties.map { .init(key: $0.name, value: $0.schema) })))
        return .map(members)
    }

    func define(_ name: String, _ schema: YAMLNode) throws -> YAMLNode {
        guard definitions[name] ?? schema == schema else { throw SchemaError("two schemas are called \(name)") }
        definitions[name] = schema
        return .reference("components", "schemas", name)
    }

    /// `RunRecord-State`: without the module, and without dots, which some tools do not take in keys.
    private func name(of type: Any.Type) -> String {
        String(reflecting: type).split(separator: ".").dropFirst().joined(separator: "-")
    }

    private func choices<E: CaseIterable & RawRepresentable>(_: E.Type) throws -> ([YAMLNode], Any) {
        let words = E.allCases.compactMap { $0.rawValue as? String }
        guard let first = E.allCases.first, words.count == E.allCases.count else {
            throw SchemaError("\(E.self) is not an enum of texts")
        }
        return (words.map { .text($0) }, first)
    }
}

/// Answers a type that reads an object. Optional members are absent, required ones have the sample of their type.
private final class RecordingDecoder: Decoder {
    let recorder: SchemaRecorder
    let type: String
    var properties: [SchemaRecorder.Property] = []
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(recorder: SchemaRecorder, type: String) {
        self.recorder = recorder
        self.type = type
    }

    func container<Key: CodingKey>(keyedBy: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(RecordingContainer<Key>(decoder: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw unseen("a list") }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        throw unseen("one value; an enum must be CaseIterable")
    }

    func unseen(_ what: String) -> SchemaError {
        SchemaError("\(type) reads itself as \(what): its schema cannot be seen, so it needs a WrittenSchema")
    }

    func note<T: Decodable>(_ type: T.Type, _ key: any CodingKey, required: Bool) throws -> T {
        var (node, sample) = try recorder.schema(of: type)
        if type is Int.Type || type is Int64.Type {
            // What the reader takes; seconds and epochs are the ones that matter.
            let range = NumberBounds.integers(of: key.stringValue)
            node = [
                "type": "integer", "minimum": .int(Int(range.lowerBound)), "maximum": .int(Int(range.upperBound)),
            ]
        } else if type is Double.Type, let range = NumberBounds.numbers(of: key.stringValue) {
            node = ["type": "number", "minimum": .int(Int(range.lowerBound)), "maximum": .int(Int(range.upperBound))]
        }
        properties.append(.init(name: key.stringValue, schema: node, isRequired: required))
        return sample
    }
}

private struct RecordingContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: RecordingDecoder
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { [] }

    private func must<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T {
        try decoder.note(type, key, required: true)
    }

    private func may<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
        _ = try decoder.note(type, key, required: false)
        return nil
    }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try must(type, key) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try must(type, key) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try must(type, key) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try must(type, key) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try must(type, key) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try must(type, key) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try must(type, key) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try must(type, key) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try must(type, key) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try must(type, key) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try must(type, key) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try must(type, key) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try must(type, key) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try must(type, key) }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try must(type, key) }

    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try may(type, key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try may(type, key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try may(type, key) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try may(type, key) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try may(type, key) }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? { try may(type, key) }

    // Whoever asks these two, or for a container inside, decides by what is there: that is not seen here.
    func contains(_ key: Key) -> Bool { true }
    func decodeNil(forKey key: Key) throws -> Bool { throw decoder.unseen("what depends on '\(key.stringValue)'") }

    func nestedContainer<Other: CodingKey>(
        keyedBy: Other.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Other> { throw decoder.unseen("nested keys") }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        throw decoder.unseen("a nested list")
    }
    func superDecoder() throws -> any Decoder { throw decoder.unseen("a class") }
    func superDecoder(forKey key: Key) throws -> any Decoder { throw decoder.unseen("a class") }
}
