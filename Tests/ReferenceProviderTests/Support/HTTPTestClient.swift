import Foundation
import OMSModel

/// A blocking HTTP client over one plain socket: no library between the test and the bytes of the server.
final class HTTPTestClient {
    struct Answer {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]

        var json: JSONValue {
            get throws { try JSONDecoder().decode(JSONValue.self, from: Data(body)) }
        }

        func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            try JSONDecoder().decode(type, from: Data(body))
        }
    }

    struct Failure: Error { var reason: String }

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// The server must not be released before its last client.
    private let server: AnyObject

    init(port: Int, of server: AnyObject) throws {
        self.server = server
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)  // no test hangs on a server that is silent
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failure(reason: "connect: errno \(errno)") }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(reason: "send: errno \(errno)") }
            sent += count
        }
    }

    func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) throws -> Answer {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: test\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        try send(Array((text + "\r\n").utf8) + (body ?? []))
        return try answer(hasBody: method != "HEAD")
    }

    func get(_ path: String, headers: [String: String] = [:]) throws -> Answer {
        try request("GET", path, headers: headers)
    }

    func post(_ path: String, _ value: some Encodable) throws -> Answer {
        try request("POST", path, body: Array(try JSONEncoder().encode(value)))
    }

    func answer(hasBody: Bool = true) throws -> Answer {
        while true {
            if let end = buffer.firstRange(of: [13, 10, 13, 10])?.lowerBound {
                let lines = String(decoding: buffer[..<end], as: UTF8.self).components(separatedBy: "\r\n")
                guard let status = lines[0].split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
                    throw Failure(reason: "no status in '\(lines[0])'")
                }
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
                }
                buffer.removeFirst(end + 4)
                if status == 100 { continue }
                let length = hasBody ? headers["content-length"].flatMap { Int($0) } ?? 0 : 0
                while buffer.count < length { try fill() }
                defer { buffer.removeFirst(length) }
                return Answer(status: status, headers: headers, body: Array(buffer[..<length]))
            }
            try fill()
        }
    }

    /// Whether the server has closed the connection.
    func isAtEnd() -> Bool {
        var byte: UInt8 = 0
        return buffer.isEmpty && recv(descriptor, &byte, 1, 0) == 0
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else {
            throw Failure(reason: count == 0 ? "the server closed the connection" : "errno \(errno)")
        }
        buffer += chunk[..<count]
    }
}
