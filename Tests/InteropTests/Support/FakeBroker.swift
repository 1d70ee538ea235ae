import Glibc
import OMSRuntime

/// An MQTT 5 broker of which a test decides what it grants: a thread for each connection, no routing.
final class FakeBroker: Sendable {
    struct Rules {
        /// Properties of the CONNACK, as bytes.
        var properties: [UInt8] = []
        /// Filters that are refused, and with which code.
        var refused: [String: UInt8] = [:]
        /// Messages are acknowledged.
        var acknowledges = true
    }

    struct Seen {
        var connects = 0
        var clientIDs: [String] = []
        var publishes = 0
        var disconnects = 0
    }

    let port: Int
    let rules: Locked<Rules>
    let seen = Locked(Seen())
    private let listener: Int32

    init(_ rules: Rules) {
        self.rules = Locked(rules)
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        port = TestPorts.bindLoopback(listener)
        listen(listener, 16)
        HelperThread.run(name: "fake-broker") { [listener, rules = self.rules, seen] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                HelperThread.run(name: "fake-session") { Self.serve(connection, rules, seen) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))  // ends the `accept`
        close(listener)
    }

    private static func serve(_ connection: Int32, _ rules: Locked<Rules>, _ seen: Locked<Seen>) {
        defer { close(connection) }
        while let (head, body) = packet(connection) {
            let rules = rules.withLock { $0 }
            switch head >> 4 {
            case 1:  // CONNECT: protocol name, level, flags, keep-alive, properties, client id
                let start = 10 + 1 + Int(body[10])
                let length = Int(body[start]) << 8 | Int(body[start + 1])
                let id = String(decoding: body[(start + 2)..<(start + 2 + length)], as: UTF8.self)
                seen.withLock { seen in
                    seen.connects += 1
                    seen.clientIDs.append(id)
                }
                put(connection, 0x20, [0, 0, UInt8(rules.properties.count)] + rules.properties)
            case 3:
                seen.withLock { $0.publishes += 1 }
                guard (head >> 1) & 3 == 1, rules.acknowledges else { continue }
                let topic = Int(body[0]) << 8 | Int(body[1])
                put(connection, 0x40, Array(body[(2 + topic)..<(4 + topic)]))
            case 8:
                var codes: [UInt8] = []
                var index = 3 + Int(body[2])
                while index < body.count {
                    let length = Int(body[index]) << 8 | Int(body[index + 1])
                    let filter = String(decoding: body[(index + 2)..<(index + 2 + length)], as: UTF8.self)
                    codes.append(rules.refused[filter] ?? body[index + 2 + length] & 3)
                    index += 3 + length
                }
                put(connection, 0x90, [body[0], body[1], 0] + codes)
            case 12: put(connection, 0xD0, [])
            case 14:
                seen.withLock { $0.disconnects += 1 }
                return
            default: break
            }
        }
    }

    private static func put(_ connection: Int32, _ head: UInt8, _ body: [UInt8]) {
        let bytes = [head, UInt8(body.count)] + body
        _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private static func packet(_ connection: Int32) -> (UInt8, [UInt8])? {
        guard let head = bytes(connection, 1)?.first else { return nil }
        var (length, shift) = (0, 0)
        repeat {
            guard let next = bytes(connection, 1)?.first else { return nil }
            length |= Int(next & 127) << shift
            shift += 7
            if next & 128 == 0 { break }
        } while shift < 28
        return bytes(connection, length).map { (head, $0) }
    }

    private static func bytes(_ connection: Int32, _ count: Int) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let got = buffer.withUnsafeMutableBytes { recv(connection, $0.baseAddress! + have, count - have, 0) }
            if got <= 0 { return nil }
            have += got
        }
        return buffer
    }
}
