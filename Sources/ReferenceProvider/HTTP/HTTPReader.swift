import Foundation
import OMSModel
import OMSRuntime

/// Limits of the HTTP server; each is told in the answer that it causes.
struct HTTPLimits: Hashable, Sendable {
    var headBytes = 16 << 10
    var bodyBytes = 256 << 10
    var connections = 128
    /// How long a connection may be silent between two requests.
    var idleMilliseconds: Int64 = 75_000
    /// How long a request may take to arrive, from its first byte on, and an answer to leave.
    var transferMilliseconds: Int64 = 20_000
}

/// Reads HTTP/1.1 requests (RFC 9112) from a connected socket.
struct HTTPReader {
    enum Failure: Error {
        /// The peer has gone or was silent: nothing to answer.
        case end
        /// Answer this and close: after a framing error nobody knows where the next request begins.
        case refused(Problem)
    }

    private let descriptor: Int32
    private let limits: HTTPLimits
    private var buffer: [UInt8] = []
    private var deadline: Int64 = 0
    /// Sent before the body of a request with `Expect: 100-continue` is read.
    private let sendContinue: () throws -> Void

    init(descriptor: Int32, limits: HTTPLimits, sendContinue: @escaping () throws -> Void) {
        self.descriptor = descriptor
        self.limits = limits
        self.sendContinue = sendContinue
    }

    /// The next request and whether the connection stays open after it.
    mutating func next() throws -> (request: HTTPRequest, keepAlive: Bool) {
        deadline =
            MonotonicClock.milliseconds + (buffer.isEmpty ? limits.idleMilliseconds : limits.transferMilliseconds)
        if buffer.isEmpty {
            try fill()
            deadline = MonotonicClock.milliseconds + limits.transferMilliseconds
        }
        let head = try readHead()
        var (request, version) = try parse(head)
        let connection = tokens(request.headers["connection"])
        let keepAlive = version == "HTTP/1.1" ? !connection.contains("close") : connection.contains("keep-alive")
        request.body = try readBody(request.headers)
        return (request, keepAlive)
    }

    // MARK: Head

    private mutating func readHead() throws -> String {
        var searched = 0
        while true {
            // Servers should skip empty lines before a request (RFC 9112 section 2.2).
            while buffer.starts(with: [13, 10]) { buffer.removeFirst(2) }
            if let end = endOfHead(from: max(0, searched - 3)) {
                let head = Array(buffer[..<end])
                buffer.removeFirst(end + 4)
                guard let text = String(validating: head, as: UTF8.self) else {
                    throw refused(400, "the request line or a header is not UTF-8")
                }
                return text
            }
            searched = buffer.count
            if buffer.count > limits.headBytes {
                throw refused(431, "the request line and headers are larger than \(limits.headBytes) bytes")
            }
            try fill()
        }
    }

    private func endOfHead(from start: Int) -> Int? {
        guard buffer.count >= 4, start <= buffer.count - 4 else { return nil }
        return (start...(buffer.count - 4)).first {
            buffer[$0] == 13 && buffer[$0 + 1] == 10 && buffer[$0 + 2] == 13 && buffer[$0 + 3] == 10
        }
    }

    private func parse(_ head: String) throws -> (HTTPRequest, version: String) {
        // By bytes: to Swift, CR LF is one Character, and a lone CR or LF must not pass as a line end.
        let lines = head.replacing("\r\n", with: "\u{1}\u{1}").split(
            separator: "\u{1}\u{1}", omittingEmptySubsequences: false)
        guard let first = lines.first else { throw refused(400, "the request line is missing") }
        let parts = first.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].utf8.allSatisfy(isTokenByte),
            parts[1].hasPrefix("/")
                || parts[1] == "*", parts[1].utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f })
        else { throw refused(400, "the request line must be: method, path, version, with one space between") }
        guard parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0" else {
            throw parts[2].hasPrefix("HTTP/")
                ? refused(505, "only HTTP/1.1 and HTTP/1.0 are spoken")
                : refused(400, "the request line has no HTTP version")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw refused(400, "a header line has no colon") }
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].trimmingCharacters(in: CharacterSet(charactersIn: " \t"))
            guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
                throw refused(400, "a header name is malformed")
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 9 }) else {
                throw refused(400, "the value of header '\(name)' has control characters")
            }
            if let known = headers[name] {
                guard name != "content-length", name != "host" else {
                    throw refused(400, "header '\(name)' is repeated")
                }
                headers[name] = known + ", " + value
            } else {
                headers[name] = value
            }
        }
        if parts[2] == "HTTP/1.1", headers["host"] == nil { throw refused(400, "header 'host' is missing") }
        let target = parts[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = target.count > 1 ? String(target[1]) : ""
        return (
            HTTPRequest(method: parts[0], path: String(target[0]), query: query, headers: headers, body: []), parts[2]
        )
    }

    // MARK: Body

    private mutating func readBody(_ headers: [String: String]) throws -> [UInt8] {
        if let coding = headers["transfer-encoding"] {
            guard headers["content-length"] == nil else {
                throw refused(400, "content-length and transfer-encoding exclude each other")
            }
            guard coding.lowercased() == "chunked" else {
                throw refused(501, "only transfer-encoding chunked is known")
            }
            try expect(headers)
            return try readChunks()
        }
        guard let text = headers["content-length"] else { return [] }
        guard !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) else {
            throw refused(400, "content-length must be a number")
        }
        guard let length = Int(text), length <= limits.bodyBytes else { throw tooLarge }
        if length > 0 { try expect(headers) }
        return try take(length)
    }

    private mutating func readChunks() throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            let line = try readLine()
            let digits = line.prefix { $0 != UInt8(ascii: ";") }
            guard !digits.isEmpty, digits.count <= 8,
                let size = Int(String(decoding: digits, as: UTF8.self).trimmingCharacters(in: .whitespaces), radix: 16),
                size >= 0
            else { throw refused(400, "a chunk size is malformed") }
            if size == 0 { break }
            if body.count + size > limits.bodyBytes { throw tooLarge }
            body += try take(size)
            guard try take(2) == [13, 10] else { throw refused(400, "a chunk does not end where its size says") }
        }
        var trailerBytes = 0
        while case let line = try readLine(), !line.isEmpty {
            trailerBytes += line.count
            if trailerBytes > limits.headBytes { throw refused(431, "the trailers are too large") }
        }
        return body
    }

    private mutating func readLine() throws -> [UInt8] {
        while true {
            if let end = buffer.indices.dropLast().first(where: { buffer[$0] == 13 && buffer[$0 + 1] == 10 }) {
                defer { buffer.removeFirst(end + 2) }
                return Array(buffer[..<end])
            }
            if buffer.count > 1024 { throw refused(400, "a chunk header is too long") }
            try fill()
        }
    }

    private mutating func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func expect(_ headers: [String: String]) throws {
        if headers["expect"]?.lowercased() == "100-continue" && buffer.isEmpty { try sendContinue() }
    }

    // MARK: Socket

    /// Appends what has arrived; waits for it until the deadline.
    private mutating func fill() throws {
        while true {
            let left = deadline - MonotonicClock.milliseconds
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = left > 0 ? poll(&wait, 1, Int32(left)) : 0
            if ready < 0 && errno == EINTR { continue }
            guard ready > 0 else {
                if buffer.isEmpty { throw Failure.end }
                throw refused(408, "the request did not arrive within \(limits.transferMilliseconds / 1000) s")
            }
            var chunk = [UInt8](repeating: 0, count: 16 << 10)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure.end }
            buffer.append(contentsOf: chunk[..<count])
            return
        }
    }

    private var tooLarge: Failure {
        let detail = "the body is larger than \(limits.bodyBytes) bytes; put large data where data_source can point to"
        return .refused(Problem(.tooLarge, detail, status: 413, retryable: false))
    }

    private func refused(_ status: Int, _ detail: String) -> Failure {
        .refused(Problem(.badRequest, detail, status: status, retryable: false))
    }

    private func tokens(_ value: String?) -> [String] {
        (value ?? "").lowercased().split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }
}

/// RFC 9110 section 5.6.2.
private func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
