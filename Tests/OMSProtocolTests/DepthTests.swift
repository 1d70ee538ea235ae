import FoundationEssentials
import OMSModel
import Testing

@testable import OMSProtocol

/// What was legal at the border stays legal wherever it goes: messages put more around it than it had there.
@Suite("Depth of messages")
struct DepthTests {
    /// What comes from a provider or a document, and how deep it stands there: `{"outputs": ...}` is a job's answer,
    /// `{"services": [{"parameters_schema": ...}]}` a catalogue, `services: {id: {parameters: ...}}` in a document's spec.
    private static let foreign = [
        "outputs": 1, "parameters": 4, "parameters_schema": 3, "input_schema": 3, "output_schema": 3,
    ]

    private static func nested(_ levels: Int) -> JSONValue {
        (1..<levels).reduce(JSONValue.array([])) { inner, _ in .array([inner]) }
    }

    private static func filled(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let items): .array(items.map(filled))
        case .object(let members):
            .object(
                JSONObject(
                    uniqueKeysWithValues: members.map { key, value in
                        guard let above = foreign[key], let object = value.objectValue else {
                            return (key, filled(value))
                        }
                        // The object itself is a level.
                        let deep = nested(JSONLimits.borderDepth - above - 1)
                        return (key, .object(object.merging(["deep": deep]) { $1 }))
                    }))
        default: value
        }
    }

    private static func depth(_ value: JSONValue) -> Int {
        switch value {
        case .array(let items): 1 + (items.map(depth).max() ?? 0)
        case .object(let members): 1 + (members.values.map(depth).max() ?? 0)
        default: 0
        }
    }

    @Test("each message carries what is nested as deep as a border allows; 32 levels would not be enough, 48 are")
    func carries() throws {
        var deepest = 0
        for topic in Samples.messages.map(\.topic) {
            let file = GoldenTests.folder.appending(path: "\(topic.kind.rawValue).json")
            let value = Self.filled(try JSONReader.read(Array(try Data(contentsOf: file)), .own))
            deepest = max(deepest, Self.depth(value))
            let bytes = try JSON.encode(value)
            #expect(throws: Never.self, "\(topic)") { try EnvelopeCodec().decode(topic: topic.name, bytes) }
        }
        #expect(deepest > JSONLimits.borderDepth)
        // The answers of the registry show rows of such things, so some room is left.
        #expect(deepest + 4 <= JSONLimits.busDepth)
    }
}
