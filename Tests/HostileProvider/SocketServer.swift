import Foundation
import OMSRuntime

/// A request as it arrived: complete, headers by lower-case name.
package struct ReceivedRequest: Sendable {
    package var method: String
    /// Without the query.
    package var path: String
    package var query: String
    package var headers: [String: String]
    package var body: [UInt8]
    /// Of this connection, from 0: more than 0 means that the connection was used again.
    package var numberOnConnection: Int
    package var receivedAt = MonotonicClock.milliseconds
}

/// One connection to write to, byte by byte if need be. Every write says whether the peer is still there.
struct PeerSocket: Sendable {
    let descriptor: Int32

    /// POLLRDHUP, which Glibc's module does not export.
    private var hangUp: Int16 { 0x2000 }

    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    func write(_ text: String) -> Bool { write(Array(text.utf8)) }

    /// Waits so long, or until the peer hangs up.
    ///
    /// - Returns: whether the peer is still there.
    func pause(milliseconds: Int) -> Bool {
        let end = MonotonicClock.milliseconds + Int64(milliseconds)
        while case let left = end - MonotonicClock.milliseconds, left > 0 {
            // Only a hang-up ends the wait: data of a next request stays where it is.
            var wait = pollfd(fd: descriptor, events: hangUp, revents: 0)
            if poll(&wait, 1, Int32(left)) > 0 { return false }
        }
        return true
    }
}

/// An HTTP/1.1 server whose every byte the handler writes: a thread for each connection, on a free port.
final class SocketServer: Sendable {
    let port: Int
    private let listener: Int32
    private let connections = Locked(Set<Int32>())

    /// - Parameter handler: answers one request; false closes the connection.
    init(host: String, greeting: [UInt8], _ handler: @escaping @Sendable (ReceivedRequest, PeerSocket) -> Bool) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr(host)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 512) == 0
                    && getsockname(listener, address, &size) == 0
            }
        }
        guard listener >= 0, bound else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        startThread { [connections] in
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 && (errno == EINTR || errno == ECONNABORTED) { continue }
                guard descriptor >= 0 else { break }
                var one: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
                connections.withLock { _ = $0.insert(descriptor) }
                startThread {
                    let socket = PeerSocket(descriptor: descriptor)
                    if greeting.isEmpty || socket.write(greeting) { Self.serve(socket, handler) }
                    connections.withLock { _ = $0.remove(descriptor) }
                    close(descriptor)
                }
            }
            close(listener)
        }
    }

    /// Refuses new connections and cuts the open ones.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        connections.withLock { for descriptor in $0 { shutdown(descriptor, Int32(SHUT_RDWR)) } }
    }

    deinit { stop() }

    private static func serve(_ socket: PeerSocket, _ handler: (ReceivedRequest, PeerSocket) -> Bool) {
        var buffer: [UInt8] = []
        var number = 0
        while let request = read(socket.descriptor, &buffer, number), handler(request, socket) { number += 1 }
    }

    private static func read(_ descriptor: Int32, _ buffer: inout [UInt8], _ number: Int) -> ReceivedRequest? {
        while true {
            if let end = buffer.firstRange(of: [13, 10, 13, 10]) {
                let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    if parts.count == 2 {
                        headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
                    }
                }
                let length = headers["content-length"].flatMap { Int($0) } ?? 0
                if buffer.count - end.upperBound >= length {
                    let first = lines[0].split(separator: " ").map(String.init)
                    guard first.count == 3 else { return nil }
                    let target = first[1].split(separator: "?", maxSplits: 1).map(String.init)
                    let body = Array(buffer[end.upperBound..<(end.upperBound + length)])
                    buffer.removeFirst(end.upperBound + length)
                    return ReceivedRequest(
                        method: first[0], path: target.first ?? "/", query: target.count > 1 ? target[1] : "",
                        headers: headers, body: body, numberOnConnection: number)
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return nil }
            buffer += chunk.prefix(count)
        }
    }
}

/// A thread with a small stack: hundreds of them must fit into a test.
func startThread(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread(block: body)
    thread.stackSize = 512 << 10
    thread.start()
}
