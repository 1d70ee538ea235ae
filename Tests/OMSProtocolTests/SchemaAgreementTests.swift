import FoundationEssentials
import Testing

@testable import OMSProtocol

private let messageCases = ProcessInfo.processInfo.environment["OMS_MESSAGE_CASES"]

/// The schemas of docs/reference/asyncapi.yaml are found by watching the readers (`SchemaRecorder`). Whether an independent
/// validator that knows only the document accepts the same messages as the readers do, is tested with some thousand
/// messages, right and wrong, that `scripts/contract-tests` makes and hands over in `OMS_MESSAGE_CASES`.
@Suite("Schemas and readers", .enabled(if: messageCases != nil))
struct SchemaAgreementTests {
    private struct Case: Decodable {
        var topic: String
        var message: String
        var accepted: Bool
    }

    @Test("accept and refuse the same messages")
    func same() throws {
        let text = String(decoding: try Data(contentsOf: URL(filePath: try #require(messageCases))), as: UTF8.self)
        let decoder = JSONDecoder()
        let codec = EnvelopeCodec()
        var counts = [true: 0, false: 0]
        for line in text.split(separator: "\n") {
            let one = try decoder.decode(Case.self, from: Data(line.utf8))
            counts[one.accepted, default: 0] += 1
            var reason = "accepted"
            do { _ = try codec.decode(topic: one.topic, Array(one.message.utf8)) } catch { reason = "\(error)" }
            if (reason == "accepted") != one.accepted {
                Issue.record("\(one.topic): schema \(one.accepted), reader: \(reason): \(one.message.prefix(2_000))")
            }
        }
        // A validator that took nothing in, or everything, would agree with nobody; no cases would agree with all.
        #expect(counts.values.allSatisfy { $0 > 1_000 }, "\(counts)")
    }
}
