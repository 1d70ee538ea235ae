import Foundation
import Logging
import OMSModel
import OMSRuntime

/// A small HTTP/1.1 server with a thread per connection.
///
/// Threads, because a handler waits for SQLite's disk, which must not block Swift's cooperative pool, and because a
/// provider has a handful of peers (gateways keep their connections). docs/internals/decisions.md has the figures against
/// the packages that were tried.
final class HTTPServer: Sendable {
    struct ListenFailure: Error { var reason: String }

    private struct State {
        var connections: Set<Int32> = []
        var isStopping = false
        var isAccepting = true
    }

    let port: Int
    private let listener: Int32
    private let limits: HTTPLimits
    private let name: String
    private let log: Logger
    private let state = Monitor(State())
    private let handler: @Sendable (HTTPRequest) -> HTTPResponse

    /// Binds and listens; `start` accepts.
    init(
        host: String, port: Int, name: String, limits: HTTPLimits = HTTPLimits(), log: Logger,
        handler: @escaping @Sendable (HTTPRequest) -> HTTPResponse
    ) throws {
        self.limits = limits
        self.name = name
        self.log = log
        self.handler = handler
        (listener, self.port) = try Self.listen(host: host, port: port)
    }

    func start() {
        startThread("http-accept") {
            self.accept()
            close(self.listener)
            self.state.change { $0.isAccepting = false }
        }
    }

    /// Accepts no more, lets answers under way leave, then closes all connections. Waits at most about ten seconds.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))  // wakes accept(), on Linux
        // Half a shutdown: idle connections read their end, busy ones can still write their answer.
        state.change { state in
            state.isStopping = true
            for descriptor in state.connections { shutdown(descriptor, Int32(SHUT_RD)) }
        }
        func wait(_ milliseconds: Int64) -> Bool {
            let ended: Void? = state.wait(until: MonotonicClock.milliseconds + milliseconds) {
                $0.connections.isEmpty && !$0.isAccepting ? () : nil
            }
            return ended != nil
        }
        if wait(5000) { return }
        state.change { state in
            for descriptor in state.connections { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
        if !wait(5000) { log.error("http connections did not end in time") }
    }

    private func accept() {
        while true {
            let descriptor = Foundation.accept(listener, nil, nil)
            if descriptor < 0 {
                let code = errno
                if state.read({ $0.isStopping }) { return }
                switch code {
                case EINTR, ECONNABORTED, EPROTO: continue
                case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                    // Out of descriptors or memory: until something is given back, accept() would fail in a hot loop.
                    log.error("cannot accept a connection", metadata: ["error": "\(String(cString: strerror(code)))"])
                    let stop: Void? = state.wait(until: MonotonicClock.milliseconds + 100) { $0.isStopping ? () : nil }
                    if stop != nil { return }
                default:
                    log.critical(
                        "the listening socket fails", metadata: ["error": "\(String(cString: strerror(code)))"])
                    return
                }
                continue
            }
            let admitted = state.change { state -> Bool in
                guard !state.isStopping, state.connections.count < limits.connections else { return false }
                state.connections.insert(descriptor)
                return true
            }
            if admitted {
                startThread("http-\(descriptor)") { self.serve(descriptor) }
            } else {
                let problem = Problem(
                    .busy, "\(limits.connections) connections are open, the limit", status: 503, retryable: true)
                var response = HTTPResponse.problem(problem, headers: [("Retry-After", "1")])
                response.closes = true
                try? send(response, to: descriptor, withBody: true, milliseconds: 100)
                close(descriptor)
            }
        }
    }

    private func serve(_ descriptor: Int32) {
        var on: Int32 = 1
        // An answer is one write; waiting for a fuller packet (Nagle) would only delay it by the peer's delayed ACK.
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var reader = HTTPReader(descriptor: descriptor, limits: limits) {
            try self.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), to: descriptor, milliseconds: 5000)
        }
        do {
            var isOpen = true
            while isOpen {
                let (request, keepAlive) = try reader.next()
                var response = handler(request)
                if !keepAlive || state.read({ $0.isStopping }) { response.closes = true }
                isOpen = !response.closes
                try send(
                    response, to: descriptor, withBody: request.method != "HEAD",
                    milliseconds: limits.transferMilliseconds)
            }
        } catch HTTPReader.Failure.refused(let problem) {
            var response = HTTPResponse.problem(problem)
            response.closes = true
            if (try? send(response, to: descriptor, withBody: true, milliseconds: 5000)) != nil { linger(descriptor) }
        } catch {
            // The peer went away: nobody is left to tell.
        }
        state.change { _ = $0.connections.remove(descriptor) }
        close(descriptor)
    }

    /// Reads and drops what the peer still sends, within bounds: closing with unread data would reset the connection,
    /// and the peer might lose the answer that says why.
    private func linger(_ descriptor: Int32) {
        shutdown(descriptor, Int32(SHUT_WR))
        let deadline = MonotonicClock.milliseconds + 2000
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        var left = 4 << 20
        while left > 0 {
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let milliseconds = deadline - MonotonicClock.milliseconds
            guard milliseconds > 0, poll(&wait, 1, Int32(milliseconds)) > 0 else { return }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            left -= count
        }
    }

    private func send(_ response: HTTPResponse, to descriptor: Int32, withBody: Bool, milliseconds: Int64) throws {
        var head = "HTTP/1.1 \(response.status) \(HTTPResponse.reason(response.status))\r\n"
        head += "Date: \(httpDate(WallClock.now))\r\nServer: \(name)\r\n"
        for header in response.headers { head += "\(header.name): \(header.value)\r\n" }
        if response.status != 304 { head += "Content-Length: \(response.body.count)\r\n" }
        head += response.closes ? "Connection: close\r\n\r\n" : "\r\n"
        let hasBody = withBody && response.status != 304
        try write(Array(head.utf8) + (hasBody ? response.body : []), to: descriptor, milliseconds: milliseconds)
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32, milliseconds: Int64) throws {
        let deadline = MonotonicClock.milliseconds + milliseconds
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                Foundation.send(
                    descriptor, raw.baseAddress.map { $0 + sent }, bytes.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count >= 0 {
                sent += count
                continue
            }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { throw HTTPReader.Failure.end }
            var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let left = deadline - MonotonicClock.milliseconds
            guard left > 0, poll(&wait, 1, Int32(left)) > 0 else { throw HTTPReader.Failure.end }
        }
    }

    private static func listen(host: String, port: Int) throws -> (descriptor: Int32, port: Int) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0, let address = found?.pointee else {
            throw ListenFailure(
                reason: "--host '\(host)' is no address of this machine: \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ListenFailure(reason: "no socket: \(String(cString: strerror(errno)))") }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0, Foundation.listen(descriptor, 128) == 0 else {
            let code = errno
            close(descriptor)
            throw ListenFailure(
                reason: code == EADDRINUSE
                    ? "--port \(port) is in use on \(host); stop that process or choose another port (0: any free one)"
                    : "--host \(host) --port \(port): \(String(cString: strerror(code))); use an address of this host"
            )
        }
        return (descriptor, try boundPort(descriptor))
    }

    private static func boundPort(_ descriptor: Int32) throws -> Int {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutableBytes(of: &storage) { raw in
            getsockname(descriptor, raw.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        guard code == 0 else { throw ListenFailure(reason: "getsockname: \(String(cString: strerror(errno)))") }
        return withUnsafeBytes(of: &storage) { raw in
            // The port stands at the same place in IPv4 and IPv6 addresses.
            Int(UInt16(bigEndian: raw.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        }
    }
}

/// IMF-fixdate, RFC 9110 section 5.6.7.
private func httpDate(_ time: Timestamp) -> String {
    let text = time.description  // 2026-01-31T09:30:00.000Z
    let parts = text.split(whereSeparator: { "-T:.Z".contains($0) }).map(String.init)
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]  // 1 January 1970 was a Thursday
    let weekday = days[Int(time.milliseconds / 86_400_000 % 7)]
    let month = Int(parts[1]).map { months[$0 - 1] } ?? ""
    return "\(weekday), \(parts[2]) \(month) \(parts[0]) \(parts[3]):\(parts[4]):\(parts[5]) GMT"
}
