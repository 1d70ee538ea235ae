package import OMSModel

/// The CloudEvents 1.0 attributes of a message (CloudEvents "JSON Event Format" 1.0.2, structured mode).
package struct EnvelopeHeader: Hashable, Sendable {
    /// Unique within `source`.
    package var id: String
    /// Who says it: `gateway/g1`.
    package var source: String
    package var time: Timestamp

    package init(id: String, source: String, time: Timestamp) {
        self.id = id
        self.source = source
        self.time = time
    }
}

/// Why a message could not be read. The receiver logs it, counts it and goes on.
package struct EnvelopeError: Error, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable { case unknownTopic, tooLarge, malformed, version }

    package var code: Code
    package var detail: String
    /// With `tooLarge`: of the whole message.
    package var bytes: Int?

    package init(code: Code, detail: String, bytes: Int? = nil) {
        self.code = code
        self.detail = detail
        self.bytes = bytes
    }

    package var description: String { "\(code.rawValue): \(detail)" }
}

/// Turns messages into bytes and back.
package struct EnvelopeCodec: Sendable {
    /// Larger messages are refused by the sender, before the broker sees them.
    package static let maxBytes = 262_144
    package static let contentType = "application/cloudevents+json"
    static let specversion = "1.0"

    /// What a message may cost to read. Each value takes two bytes at least, so any message that is small enough has few
    /// enough of them.
    package static let limits = JSONLimits(bytes: maxBytes, depth: JSONLimits.busDepth, nodes: maxBytes / 2)

    /// Of one list of a message whose elements have a meaning to us; free-form parts lie deeper. No message has room for more
    /// that are whole, and reading so many empty ones would hold up a core.
    package static let maxRows = 10_000

    package init() {}

    /// - Throws: `EnvelopeError` with code `tooLarge`.
    package func encode(_ message: Message, _ header: EnvelopeHeader) throws(EnvelopeError) -> [UInt8] {
        let data: [UInt8]
        do {
            guard let encoded = try message.payload.encoded() else { return [] }
            data = encoded
        } catch {
            throw EnvelopeError(code: .malformed, detail: "cannot be encoded: \(error)")
        }
        // The attributes are of our own making (names, numbers, times), so they need no escaping; the data comes last.
        var bytes = Array(
            """
            {"specversion":"\(Self.specversion)","id":"\(header.id)","source":"\(header.source)",\
            "type":"\(message.topic.kind.row.type)","time":"\(header.time)","data":
            """.utf8)
        bytes.append(contentsOf: data)
        bytes.append(UInt8(ascii: "}"))
        guard bytes.count <= Self.maxBytes else {
            throw EnvelopeError(
                code: .tooLarge, detail: "\(message.topic.name) is \(bytes.count) bytes, at most \(Self.maxBytes)",
                bytes: bytes.count)
        }
        return bytes
    }

    /// - Throws: `EnvelopeError`; nothing of an unreadable message is used.
    package func decode(topic name: String, _ bytes: [UInt8]) throws(EnvelopeError) -> (Message, EnvelopeHeader?) {
        guard let topic = Topic(name) else {
            throw EnvelopeError(code: .unknownTopic, detail: "no topic of OMS: \(name.prefix(200))")
        }
        if bytes.isEmpty { return (Message(topic, .removed), nil) }
        guard bytes.count <= Self.maxBytes else {
            throw EnvelopeError(code: .tooLarge, detail: "\(bytes.count) bytes, at most \(Self.maxBytes)")
        }
        do {
            let reader = EnvelopeReader(kind: topic.kind, tree: try JSONReader.read(bytes, Self.limits))
            let (payload, header) = try topic.kind.content(reader)
            return (Message(topic, payload), header)
        } catch let error as EnvelopeError {
            throw error
        } catch {
            throw EnvelopeError(code: .malformed, detail: readable(error))
        }
    }
}

struct Envelope<Content: Decodable>: Decodable {
    var specversion: String
    var id: String
    var source: String
    var type: String
    var time: Timestamp
    var data: Content
}

private struct EnvelopeReader: ContentReader {
    var kind: TopicKind
    var tree: JSONValue

    func read<Content: Decodable>(_ wrap: (Content) -> Payload) throws -> (Payload, EnvelopeHeader) {
        for (name, list) in tree.objectValue?["data"]?.objectValue ?? [:] {
            guard let count = list.arrayValue?.count, count > EnvelopeCodec.maxRows else { continue }
            throw EnvelopeError(
                code: .malformed,
                detail: "data/\(name.prefix(64)) has \(count) elements; at most \(EnvelopeCodec.maxRows) are read")
        }
        let envelope = try JSON.decode(Envelope<Content>.self, from: tree)
        guard envelope.specversion == EnvelopeCodec.specversion, envelope.type == kind.row.type else {
            throw EnvelopeError(
                code: .version, detail: "expected \(kind.row.type), got \(envelope.type) \(envelope.specversion)")
        }
        return (wrap(envelope.data), EnvelopeHeader(id: envelope.id, source: envelope.source, time: envelope.time))
    }
}

/// Does something with the type of a topic's data.
protocol ContentReader {
    associatedtype Answer
    func read<Content: Decodable>(_ wrap: (Content) -> Payload) throws -> Answer
}

extension TopicKind {
    /// Which data is on which topic: for reading it, and for the schemas in docs/reference/asyncapi.yaml.
    func content<Reader: ContentReader>(_ reader: Reader) throws -> Reader.Answer {
        switch self {
        case .registryPresence, .fleetPresence, .gatewayPresence: return try reader.read(Payload.presence)
        case .gatewayControl: return try reader.read(Payload.gatewayControl)
        case .gatewayAck: return try reader.read(Payload.gatewayAck)
        case .wmControl: return try reader.read(Payload.wmControl)
        case .wmAck: return try reader.read(Payload.wmAck)
        case .wmHeartbeat: return try reader.read(Payload.heartbeat)
        case .wmStatus: return try reader.read(Payload.wmStatus)
        case .wmEpoch: return try reader.read(Payload.wmEpoch)
        case .wmState: return try reader.read(Payload.wmState)
        case .wmJournal: return try reader.read(Payload.journal)
        case .wmCommitted: return try reader.read(Payload.committed)
        case .serviceResult: return try reader.read(Payload.result)
        case .jobCommand: return try reader.read(Payload.jobCommand)
        case .jobEvent: return try reader.read(Payload.jobEvent)
        case .providerCatalog: return try reader.read(Payload.catalog)
        case .providerHealth: return try reader.read(Payload.health)
        case .query, .command: return try reader.read(Payload.request)
        case .response: return try reader.read(Payload.response)
        case .event: return try reader.read(Payload.event)
        }
    }
}

extension Payload {
    /// nil for `removed`, which is an empty message.
    fileprivate func encoded() throws -> [UInt8]? {
        switch self {
        case .presence(let data): try JSON.encode(data)
        case .gatewayControl(let data): try JSON.encode(data)
        case .gatewayAck(let data): try JSON.encode(data)
        case .wmControl(let data): try JSON.encode(data)
        case .wmAck(let data): try JSON.encode(data)
        case .heartbeat(let data): try JSON.encode(data)
        case .wmStatus(let data): try JSON.encode(data)
        case .wmEpoch(let data): try JSON.encode(data)
        case .wmState(let data): try JSON.encode(data)
        case .journal(let data): try JSON.encode(data)
        case .committed(let data): try JSON.encode(data)
        case .result(let data): try JSON.encode(data)
        case .jobCommand(let data): try JSON.encode(data)
        case .jobEvent(let data): try JSON.encode(data)
        case .catalog(let data): try JSON.encode(data)
        case .health(let data): try JSON.encode(data)
        case .request(let data): try JSON.encode(data)
        case .response(let data): try JSON.encode(data)
        case .event(let data): try JSON.encode(data)
        case .removed: nil
        }
    }
}
