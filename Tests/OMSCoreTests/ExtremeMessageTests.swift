import FoundationEssentials
import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// Every message, with extreme numbers and texts in every place, goes in and is handled; what comes out can be encoded, is
/// small enough, and is read by its receiver.
struct ExtremeMessageTests {
    private static let golden = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "OMSProtocolTests/Golden")

    /// Where a kind of message is heard, as the golden files are of it.
    static let topics: [(file: String, topic: String)] = [
        ("command", "oms/command"), ("query", "oms/query"), ("event", "oms/event"),
        ("fleetPresence", "fleet/f1/presence"), ("gatewayAck", "gateway/g1/ack"),
        ("gatewayControl", "gateway/g1/control"), ("gatewayPresence", "gateway/g1/presence"),
        ("jobCommand", "tenant/men/sp/alpha/job/command"), ("jobEvent", "tenant/men/sp/alpha/job/event"),
        ("providerCatalog", "sp/alpha/catalog"), ("providerHealth", "sp/alpha/health"),
        ("registryPresence", "oms/r1/presence"), ("wmAck", "tenant/men/wm/ack"),
        ("wmCommitted", "tenant/men/wm/committed"), ("wmControl", "tenant/men/wm/control"),
        ("wmEpoch", "tenant/men/wm/epoch"), ("wmHeartbeat", "tenant/men/wm/heartbeat"),
        ("wmJournal", "tenant/men/wm/journal"), ("wmState", "tenant/men/wm/state"),
        ("wmStatus", "tenant/men/wm/status"),
    ]

    private static let numbers: [JSONValue] = [
        0, 1, -1, 2, 100, .int(1 << 31), .int((1 << 31) - 1), .int(1 << 53), .int((1 << 53) - 1), .int(.max),
        .int(.min),
        .int(3_153_600_000), .int(31_536_000), .int(31_536_001), .double(1e300), .double(-1e300), .double(0.5),
        .double(.leastNonzeroMagnitude),
    ]
    private static let texts: [JSONValue] = [
        "", "\0", .string(String(repeating: "\u{1}", count: 2_000)), .string(String(repeating: "😀", count: 500)),
        "{tenant}",
        "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "a", "-",
    ]

    private static func count(_ value: JSONValue) -> Int {
        switch value {
        case .array(let items): items.reduce(0) { $0 + count($1) }
        case .object(let members): members.values.reduce(0) { $0 + count($1) }
        default: 1
        }
    }

    /// The tree with its leaf of that number exchanged.
    private static func exchanged(_ value: JSONValue, _ leaf: inout Int, _ random: inout SplitMix64) -> JSONValue {
        switch value {
        case .array(let items): return .array(items.map { exchanged($0, &leaf, &random) })
        case .object(let members):
            var changed = JSONObject()
            for (name, member) in members.sortedByName { changed[name] = exchanged(member, &leaf, &random) }
            return .object(changed)
        case .int, .double, .number:
            leaf -= 1
            return leaf == -1 ? numbers[Int(random.next() % UInt64(numbers.count))] : value
        case .string:
            leaf -= 1
            return leaf == -1 ? texts[Int(random.next() % UInt64(texts.count))] : value
        default:
            leaf -= 1
            return value
        }
    }

    private static func file(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: golden.appending(path: "\(name).json")))
    }

    @Test(arguments: topics)
    func `goes in and is handled`(file: String, topic: String) throws {
        let bootstrap = try Self.file("wmControl")
        let envelope = try JSONReader.read(try Self.file(file), .own)
        let data = try #require(envelope["data"])
        let leaves = Self.count(data)
        var random = SplitMix64(seed: 7)
        var input = HostileInput()
        for round in 0..<max(150, 3 * leaves) {
            var changed = data
            for _ in 0...Int(random.next() % 3) {
                var leaf = round % 2 == 0 ? round % leaves : Int(random.next() % UInt64(leaves))
                changed = Self.exchanged(changed, &leaf, &random)
            }
            var whole = envelope.objectValue ?? [:]
            whole["data"] = changed
            let bytes = JSONValue.object(whole).bytes
            input.gateway(topic, bytes)
            input.fleet(topic, bytes, bootstrap: bootstrap)
            input.registry(topic, bytes)
        }
        #expect(input.accepted > 0)
        #expect(input.complaints.isEmpty, "\(input.complaints.first ?? "")")
    }

    @Test func `numbers out of their range make a message unreadable, with the range named`() throws {
        func why(_ topic: String, _ file: String, _ change: (inout JSONObject) -> Void) throws -> String {
            var envelope = try JSONReader.read(try Self.file(file), .own).objectValue ?? [:]
            var data = envelope["data"]?.objectValue ?? [:]
            change(&data)
            envelope["data"] = .object(data)
            do {
                _ = try EnvelopeCodec().decode(topic: topic, JSONValue.object(envelope).bytes)
                return "read"
            } catch {
                return error.detail
            }
        }
        #expect(
            try why("tenant/men/wm/epoch", "wmEpoch") { $0["epoch"] = .int(.max) }
                == "data/epoch: must be an integer of 0 to 2147483647, but is the number 9223372036854775807")
        #expect(
            try why("tenant/men/sp/alpha/job/command", "jobCommand") { $0["grace_s"] = .int(.max) }
                == "data/grace_s: must be an integer of 0 to 3153600000, but is the number 9223372036854775807")
        #expect(
            try why("tenant/men/sp/alpha/job/event", "jobEvent") { $0["progress"] = .double(1e300) }
                == "data/progress: must be a number of 0 to 100, but is the number 1e+300")
        #expect(
            try why("tenant/men/wm/epoch", "wmEpoch") { $0["since"] = "0000-01-01T00:00:00Z" }
                == "data/since: '0000-01-01T00:00:00Z' is before the year 1")
    }

    @Test func `a message of 8 KB that nests deeply is refused at once`() {
        let text =
            #"{"specversion":"1.0","id":"1","source":"s","type":"oms.query.v1","time":"2026-01-01T00:00:00Z","data":{"client":"c","id":"q","method":"get","params":"#
            + String(repeating: "[", count: 485) + String(repeating: "{},", count: 2_400) + "{}"
            + String(repeating: "]", count: 485) + "}}"
        let began = ContinuousClock.now
        #expect(throws: EnvelopeError.self) { try EnvelopeCodec().decode(topic: "oms/query", Array(text.utf8)) }
        #expect(ContinuousClock.now - began < .milliseconds(50))
    }
}
