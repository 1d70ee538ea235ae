import OMSModel
import OMSProtocol

/// The history: always as a hash, as text only where somebody reads it.
struct Trace {
    private(set) var lines: [String] = []
    private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    let isRecording: Bool

    init(isRecording: Bool) { self.isRecording = isRecording }

    private mutating func mix(_ value: UInt64) {
        hash = (hash ^ value) &* 0x0000_0100_0000_01B3
        hash ^= hash >> 29
    }

    mutating func note(_ now: SimTime, _ what: StaticString, _ node: Node?, _ text: () -> String) {
        mix(UInt64(bitPattern: now))
        mix(UInt64(what.utf8CodeUnitCount) << 8 | UInt64(node?.index ?? 255))
        guard isRecording else { return }
        add("\(SimClock.text(now)) \(node?.id.text ?? "-") \(what) \(text())")
    }

    mutating func input(_ now: SimTime, _ node: Node, _ input: Node.Input) {
        mix(UInt64(bitPattern: now))
        mix(input.code << 8 | UInt64(node.index))
        guard isRecording else { return }
        switch input {
        case .wake: return
        case .message(let message):
            add("\(SimClock.text(now)) \(node.id) hears \(message.topic.name) \(message.payload.summary)")
        default: add("\(SimClock.text(now)) \(node.id) \(input.name)")
        }
    }

    private mutating func add(_ line: String) { lines.append(line) }
}

extension Node.Input {
    var code: UInt64 {
        switch self {
        case .connected: 1
        case .disconnected: 2
        case .message(let message): 16 + UInt64(message.topic.kind.position)
        case .subscribed: 3
        case .stored(let ticket, _): UInt64(ticket) << 16 | 4
        case .answer(let call, _, _): UInt64(call) << 16 | 5
        case .recorded(let batch, _): UInt64(batch) << 16 | 6
        case .wake: 7
        case .unrecorded: 9
        case .notSent: 10
        case .rest, .restOfFleet, .restOfGateway: 8
        }
    }

    var name: String {
        switch self {
        case .connected: "connected"
        case .disconnected: "disconnected"
        case .message: "message"
        case .subscribed(let tenant): "subscribed \(tenant)"
        case .stored(let ticket, let reply): "reply \(ticket) \(reply.summary)"
        case .answer(let call, _, let answer): "answer \(call) \(answer.summary)"
        case .recorded(_, let failure): "recorded \(failure ?? "")"
        case .wake: "wake"
        case .unrecorded: "unrecorded"
        case .notSent(let refusal): "not sent: \(refusal.text)"
        case .rest, .restOfFleet, .restOfGateway: "goes on in the middle"
        }
    }
}
