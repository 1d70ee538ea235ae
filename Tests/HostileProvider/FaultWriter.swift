import OMSRuntime

extension Fault {
    /// Whether the request is carried out although the answer is bad.
    var executes: Bool {
        switch self {
        case .answer(_, _, _, let executes): executes
        case .close, .garbage, .hugeBody, .deepJSON, .nestedArrays, .endlessHeaders, .gzipBomb: false
        case .body, .replacing, .replacingBytes, .adding, .slowHeaders, .slowBody, .tinyChunks, .closeAfterExecuting,
            .late, .truncated:
            true
        }
    }
}

/// Puts answers on the wire, well or badly. All return whether the connection stays open.
enum FaultWriter {
    static func send(_ answer: Answer, _ socket: PeerSocket) -> Bool {
        socket.write(Array(answer.framed.utf8) + answer.body)
    }

    /// - Parameter answer: the honest one; nil when the request was not carried out.
    static func send(_ answer: Answer?, _ fault: Fault, _ socket: PeerSocket) -> Bool {
        let json = ["Content-Type": "application/json"]
        let honest = answer ?? Answer(status: 200, headers: json)
        switch fault {
        case .answer(let status, let headers, let body, _):
            let type = body.hasPrefix("{") ? ["Content-Type": "application/problem+json"] : [:]
            return send(
                Answer(status: status, headers: type.merging(headers) { $1 }, body: Array(body.utf8)), socket)
        case .body(let text):
            return send(Answer(status: honest.status, headers: honest.headers, body: Array(text.utf8)), socket)
        case .replacing(let old, let new):
            let text = String(decoding: honest.body, as: UTF8.self).replacing(old, with: new)
            return send(Answer(status: honest.status, headers: honest.headers, body: Array(text.utf8)), socket)
        case .replacingBytes(let old, let new):
            var body = honest.body
            let text = Array(old.utf8)
            var at = body.startIndex
            while let found = body[at...].firstRange(of: text) {
                body.replaceSubrange(found, with: new)
                at = found.lowerBound + new.count
            }
            return send(Answer(status: honest.status, headers: honest.headers, body: body), socket)
        case .adding(let members):
            let body =
                honest.body.first == UInt8(ascii: "{")
                ? Array("{\(members)".utf8) + honest.body.dropFirst() : honest.body
            return send(Answer(status: honest.status, headers: honest.headers, body: body), socket)
        case .nestedArrays(let bytes):
            let one = String(repeating: "[", count: 30) + String(repeating: "]", count: 30)
            let body = "[" + Array(repeating: one, count: max(1, bytes / 61)).joined(separator: ",") + "]"
            return send(Answer(status: 200, headers: json, body: Array(body.utf8)), socket)
        case .slowHeaders(let milliseconds): return drip(Array(honest.framed.utf8) + honest.body, milliseconds, socket)
        case .slowBody(let milliseconds):
            return socket.write(honest.framed) && drip(honest.body, milliseconds, socket)
        case .tinyChunks:
            guard socket.write(honest.head + "Transfer-Encoding: chunked\r\n\r\n") else { return false }
            for byte in honest.body where !socket.write([0x31, 13, 10, byte, 13, 10]) { return false }
            return socket.write("0\r\n\r\n")
        case .hugeBody(let bytes):
            let head = Answer(status: 200, headers: json).head + "Content-Length: \(bytes + 2)\r\n\r\n\""
            return socket.write(head) && flood(bytes, socket) && socket.write("\"")
        case .deepJSON(let depth):
            let body = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
            return send(Answer(status: 200, headers: json, body: Array(body.utf8)), socket)
        case .endlessHeaders:
            guard socket.write("HTTP/1.1 200 OK\r\n") else { return false }
            let line = "X-More: " + String(repeating: "y", count: 1000) + "\r\n"
            while socket.write(line) {}
            return false
        case .gzipBomb:
            let headers = json.merging(["Content-Encoding": "gzip"]) { $1 }
            return send(Answer(status: 200, headers: headers, body: gzipOfZeros), socket)
        case .closeAfterExecuting, .close: return false
        case .late(let milliseconds):
            // Also when the peer has given up: it must not learn from a closed connection how we are doing.
            return socket.pause(milliseconds: milliseconds) && send(honest, socket)
        case .truncated:
            _ = socket.write(honest.head + "Content-Length: \(honest.body.count + 100)\r\n\r\n")
            _ = socket.write(honest.body)
            return false
        case .garbage:
            _ = socket.write([0x16, 0x03, 0x01, 0x00] + Array("not HTTP at all\r\n\r\n".utf8))
            return false
        }
    }

    private static func drip(_ bytes: [UInt8], _ milliseconds: Int, _ socket: PeerSocket) -> Bool {
        for byte in bytes {
            guard socket.write([byte]), socket.pause(milliseconds: milliseconds) else { return false }
        }
        return true
    }

    private static func flood(_ count: Int, _ socket: PeerSocket) -> Bool {
        let block = [UInt8](repeating: UInt8(ascii: "a"), count: 65_536)
        var left = count
        while left > 0 {
            guard socket.write(left >= block.count ? block : Array(block.prefix(left))) else { return false }
            left -= block.count
        }
        return true
    }

    /// A gzip stream of stored blocks is no bomb; what matters is that nobody inflates: these bytes are no JSON.
    private static let gzipOfZeros: [UInt8] =
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] + [UInt8](repeating: 0xed, count: 4096)
}
