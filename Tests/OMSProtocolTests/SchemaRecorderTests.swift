import Testing

@testable import OMSProtocol

@Suite("Schemas seen while types decode")
struct SchemaRecorderTests {
    private enum Word: String, Codable, CaseIterable { case one, two }

    private struct Inner: Codable { var flag: Bool? }

    private struct Outer: Codable {
        var count: Int
        var ratio: Double?
        var word: Word
        var inner: Inner
        var others: [Inner]
        var byName: [String: Int]

        enum CodingKeys: String, CodingKey {
            case count, ratio, word, inner, others
            case byName = "by_name"
        }
    }

    @Test("have the keys of the wire, what must be there, nested types, lists, maps and the words of enums")
    func all() throws {
        let recorder = SchemaRecorder()
        let (properties, _) = try recorder.properties(of: Outer.self)
        #expect(properties.map(\.name) == ["count", "ratio", "word", "inner", "others", "by_name"])
        #expect(properties.map(\.isRequired) == [true, false, true, true, true, true])
        #expect(
            properties[0].schema == ["type": "integer", "minimum": 0, "maximum": .int(1 << 53)],
            "the range is the reader's")
        #expect(properties[1].schema == ["type": "number"])
        #expect(properties[4].schema == ["type": "array", "items": properties[3].schema])
        #expect(properties[5].schema == ["type": "object", "additionalProperties": ["type": "integer"]])
        #expect(
            Set(recorder.definitions.values) == [
                ["type": "string", "enum": ["one", "two"]],
                ["type": "object", "properties": ["flag": ["type": "boolean"]]],
            ])
    }

    private struct Unlisted: Decodable {
        enum Word: String, Decodable { case one }
        var word: Word
    }

    private struct Choosing: Decodable {
        enum CodingKeys: CodingKey { case kind, number }
        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            if try !container.decodeNil(forKey: .kind) { _ = try container.decode(Int.self, forKey: .number) }
        }
    }

    private struct Pair: Decodable {
        init(from decoder: any Decoder) throws { _ = try decoder.unkeyedContainer() }
    }

    @Test("are refused, not guessed, where the reader decides by what it finds")
    func unseen() {
        let recorder = SchemaRecorder()
        #expect(throws: SchemaError.self) { try recorder.schema(of: Unlisted.self) }
        #expect(throws: SchemaError.self) { try recorder.schema(of: Choosing.self) }
        #expect(throws: SchemaError.self) { try recorder.schema(of: Pair.self) }
        #expect(throws: SchemaError.self) { try recorder.schema(of: [Int: Int].self) }
    }

    @Test("YAML keeps the order, and quotes what could be read as something else")
    func yaml() {
        let node: YAMLNode = [
            "b": ["x", 1, true], "a": ["no": "a: b", "list": [["k": "1.0"], ["k": "say \"x\""]], "none": []],
        ]
        #expect(
            node.rendered() == """
                b: [x, 1, true]
                a:
                  "no": "a: b"
                  list:
                    - k: "1.0"
                    - k: "say \\"x\\""
                  none: []

                """)
    }
}
