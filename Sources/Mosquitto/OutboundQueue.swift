/// What to tell whom when the broker has answered a message.
enum Completion {
    case nobody
    case token(UInt64)
    case waiter(UInt64)
}

struct Outgoing {
    var message: MQTTMessage
    var completion: Completion
}

/// Messages that wait for room in the in-flight window: first in, first out, bounded in number and bytes.
struct OutboundQueue {
    let messageLimit: Int
    let byteLimit: Int
    private var items: [Outgoing?] = []
    private var head = 0
    private(set) var bytes = 0

    init(messageLimit: Int, byteLimit: Int) {
        self.messageLimit = messageLimit
        self.byteLimit = byteLimit
    }

    var count: Int { items.count - head }
    var isEmpty: Bool { count == 0 }

    /// False when full.
    mutating func append(_ outgoing: Outgoing) -> Bool {
        let size = outgoing.message.packetBytes
        guard count < messageLimit, bytes + size <= byteLimit else { return false }
        items.append(outgoing)
        bytes += size
        return true
    }

    mutating func popFirst() -> Outgoing? {
        guard head < items.count, let first = items[head] else { return nil }
        items[head] = nil
        head += 1
        bytes -= first.message.packetBytes
        if head == items.count {
            items.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1_024 && head > items.count / 2 {
            items.removeFirst(head)
            head = 0
        }
        return first
    }

    mutating func removeAll() -> [Outgoing] {
        defer { self = OutboundQueue(messageLimit: messageLimit, byteLimit: byteLimit) }
        return items[head...].compactMap { $0 }
    }
}
