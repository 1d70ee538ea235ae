import OMSModel
import OMSProtocol

/// Documents that are too many for one message come in several; the last one that comes makes them whole. They are kept
/// in memory for a minute, within a bound for all clients together: who sends without end loses what he sent first.
struct Uploads: Sendable {
    enum Outcome: Sendable {
        case whole([JSONValue])
        /// So many parts are still to come.
        case awaits(Int)
        case refused(Problem)
    }

    private struct Key: Hashable {
        var client: NodeID
        var id: String
        /// Readers' uploads have a bound of their own: they cannot push an operator's out.
        var isCommand: Bool
    }

    private struct Upload {
        var parts: [Int: [JSONValue]] = [:]
        var count: Int
        var bytes = 0
        var touchedAt: Int64
    }

    private var open: [Key: Upload] = [:]

    static let keepMilliseconds: Int64 = 60_000
    /// Of all uploads of a kind.
    static let maxBytes = 2 * DeclaredSizes.maxBytes
    static let maxParts = 32

    /// - Returns: nil if the request is none of several.
    mutating func take(_ request: ClientRequest, isCommand: Bool, at now: Int64) -> Outcome? {
        guard let upload = request.params["upload"] else { return nil }
        open = open.filter { now - $0.value.touchedAt < Self.keepMilliseconds }
        guard let id = upload["id"]?.stringValue, id.utf8.count <= 100,
            let part = upload["part"]?.intValue, let count = upload["of"]?.intValue,
            (1...Int64(Self.maxParts)).contains(count), (0..<count).contains(part),
            let documents = request.params["documents"]?.arrayValue
        else {
            return .refused(
                Problem(
                    .badRequest,
                    "field upload must be {id, part, of} with part from 0 to of - 1 and at most \(Self.maxParts) parts, "
                        + "beside documents", status: 400))
        }
        let key = Key(client: request.client, id: id, isCommand: isCommand)
        var whole = open[key] ?? Upload(count: Int(count), touchedAt: now)
        guard whole.count == Int(count) else {
            return .refused(Problem(.badRequest, "field upload/of has changed since the first part", status: 400))
        }
        let bytes = documents.reduce(0) { $0 + $1.encodedBytes }
        if whole.parts[Int(part)] == nil { whole.bytes += bytes }
        whole.parts[Int(part)] = documents
        whole.touchedAt = now
        guard whole.bytes <= Self.maxBytes else {
            open[key] = nil
            return .refused(
                Problem(
                    .tooLarge,
                    "the documents are more than \(DeclaredSizes.maxBytes) bytes; apply them in several steps",
                    status: 413))
        }
        open[key] = whole
        makeRoom(keeping: key)
        // It stays: the last part may come twice, and is to be answered twice.
        let missing = whole.count - whole.parts.count
        if missing > 0 { return .awaits(missing) }
        return .whole((0..<whole.count).flatMap { whole.parts[$0] ?? [] })
    }

    private mutating func makeRoom(keeping key: Key) {
        while open.filter({ $0.key.isCommand == key.isCommand }).values.reduce(0, { $0 + $1.bytes }) > Self.maxBytes {
            let others = open.filter { $0.key != key && $0.key.isCommand == key.isCommand }
            guard let oldest = others.min(by: { $0.value.touchedAt < $1.value.touchedAt }) else { return }
            open[oldest.key] = nil
        }
    }
}
