import FoundationEssentials
import OMSModel
import Testing

@testable import OMSProtocol

/// The wire format, kept as files: a change of a message shows up as a change of a golden file in review.
/// `OMS_UPDATE_GOLDEN=1 swift test --filter GoldenTests` writes them anew.
@Suite("Golden messages")
struct GoldenTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
    static let header = EnvelopeHeader(
        id: "1700000000000-1", source: "test/golden", time: Timestamp(milliseconds: 1_700_000_000_123))

    @Test("encode to the files and back", arguments: Samples.messages)
    func golden(message: Message) throws {
        let codec = EnvelopeCodec()
        let bytes = try codec.encode(message, Self.header)
        let file = Self.folder.appending(path: "\(message.topic.kind.rawValue).json")
        if ProcessInfo.processInfo.environment["OMS_UPDATE_GOLDEN"] == "1" {
            try Data(bytes + [UInt8(ascii: "\n")]).write(to: file)
        }
        let golden = try Data(contentsOf: file)
        #expect(String(decoding: bytes, as: UTF8.self) + "\n" == String(decoding: golden, as: UTF8.self))
        let (decoded, header) = try codec.decode(topic: message.topic.name, Array(golden))
        #expect(decoded == message)
        #expect(header == Self.header)
    }

    @Test("there is one sample for each kind")
    func complete() { #expect(Samples.messages.map(\.topic.kind) == TopicKind.allCases) }
}

@Suite("Envelopes")
struct EnvelopeTests {
    let codec = EnvelopeCodec()

    private func code(_ topic: String, _ text: String) -> EnvelopeError.Code? {
        do {
            _ = try codec.decode(topic: topic, Array(text.utf8))
            return nil
        } catch { return error.code }
    }

    @Test("an empty message means that the thing is gone")
    func empty() throws {
        #expect(try codec.decode(topic: "sp/alpha/health", []).0 == Message(.providerHealth("alpha"), .removed))
    }

    @Test("nonsense is refused with a reason, never a trap")
    func nonsense() {
        let good =
            #"{"specversion":"1.0","id":"1","source":"s","type":"oms.wm.committed.v1","time":"2026-01-01T00:00:00Z","data":{"epoch":1,"ack_seq":2}}"#
        #expect(code("tenant/men/wm/committed", good) == nil)
        #expect(code("tenant/men/wm/committed", good.replacing("committed.v1", with: "committed.v2")) == .version)
        #expect(code("tenant/men/wm/committed", good.replacing("\"1.0\"", with: "\"2.0\"")) == .version)
        #expect(code("tenant/men/wm/committed", good.replacing("\"epoch\":1,", with: "")) == .malformed)
        #expect(code("tenant/men/wm/committed", "{") == .malformed)
        #expect(code("tenant/men/wm/committed", String(repeating: "[", count: 100_000)) == .malformed)
        #expect(code("tenant/MEN/wm/committed", good) == .unknownTopic)
        #expect(code("tenant/men/wm/committed", String(repeating: " ", count: 300_000)) == .tooLarge)
        #expect(code("tenant/men/wm/committed", good.replacing("\"epoch\"", with: "\"new\":[1],\"epoch\"")) == nil)
    }

    @Test("null is read as absent where a member may be absent, and nowhere else: docs/reference/asyncapi.yaml says so")
    func null() {
        let good =
            #"{"specversion":"1.0","id":"1","source":"s","type":"oms.event.v1","time":"2026-01-01T00:00:00Z","data":{"kind":"k","tenant":null,"text":"t"}}"#
        #expect(code("oms/event", good) == nil)
        #expect(code("oms/event", good.replacing("\"k\"", with: "null")) == .malformed)
    }

    @Test("events that somebody should look at are known, and those of a tenant by its reason")
    func troubles() {
        #expect(OperatorEvent(kind: "database.refuses", text: "t").isTrouble)
        #expect(!OperatorEvent(kind: "wm.active", text: "t").isTrouble)
        let reasons = OperatorEvent.troubles.filter { $0.hasPrefix("tenant.") && $0 != "tenant.unknown" }
        #expect(!reasons.isEmpty)
        for reason in reasons { #expect(ReasonCode(rawValue: String(reason.dropFirst(7))) != nil, "\(reason)") }
    }

    @Test("a list with more rows than any message has room for is refused by name; what the database wrote is not")
    func rows() throws {
        func read(_ count: Int) -> String? {
            let rows = Array(repeating: "{}", count: count).joined(separator: ",")
            let text = """
                {"specversion":"1.0","id":"1","source":"x","type":"oms.wm.journal.v1","time":"2026-01-01T00:00:00.000Z",\
                "data":{"epoch":1,"first_seq":1,"entries":[\(rows)]}}
                """
            do {
                _ = try codec.decode(topic: "tenant/men/wm/journal", Array(text.utf8))
                return nil
            } catch { return error.detail }
        }
        #expect(read(EnvelopeCodec.maxRows) == nil)
        #expect(read(EnvelopeCodec.maxRows + 1) == "data/entries has 10001 elements; at most 10000 are read")
        let own = "[" + Array(repeating: "\"x\"", count: 20_000).joined(separator: ",") + "]"
        #expect(try JSON.decode([String].self, from: Array(own.utf8)).count == 20_000)
    }

    @Test("a message over 256 KiB is refused by the sender")
    func tooLarge() {
        let event = OperatorEvent(kind: "x", text: String(repeating: "x", count: 300_000))
        #expect(throws: EnvelopeError.self) { try codec.encode(Message(.event, .event(event)), GoldenTests.header) }
    }
}
