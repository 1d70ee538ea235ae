import Foundation
import Glibc
import OMSRuntime

/// A TCP server on 127.0.0.1 whose every byte is scripted: a thread for each connection.
final class RawServer: Sendable {
    let port: Int
    private let listener: Int32
    /// The requests that arrived completely, in order.
    let requests = Locked([String]())

    /// - Parameter script: Called for each complete request with its number on this connection; returns the bytes to
    ///   answer (nil: close without an answer) in pieces that are sent one by one, and whether to close afterwards.
    init(_ script: @escaping @Sendable (_ request: String, _ number: Int) -> (pieces: [String], close: Bool)?) {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        port = TestPorts.bindLoopback(listener)
        listen(listener, 16)
        HelperThread.run(name: "raw-server") { [listener, requests] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                HelperThread.run(name: "raw-connection") { Self.serve(connection, requests, script) }
            }
        }
    }

    var url: String { "http://127.0.0.1:\(port)/x" }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))  // ends the `accept`
        close(listener)
    }

    private static func serve(
        _ connection: Int32, _ requests: Locked<[String]>,
        _ script: (_ request: String, _ number: Int) -> (pieces: [String], close: Bool)?
    ) {
        var one: Int32 = 1
        setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        var number = 0
        while let request = readRequest(connection) {
            requests.withLock { $0.append(request) }
            guard let answer = script(request, number) else { break }
            for piece in answer.pieces { _ = send(connection, piece, piece.utf8.count, Int32(MSG_NOSIGNAL)) }
            number += 1
            if answer.close { break }
        }
        close(connection)
    }

    private static func readRequest(_ connection: Int32) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let length =
                    text.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).trimmingPrefix(" ")) } ?? 0
                if text[end.upperBound...].utf8.count >= length { return text }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return nil }
            bytes += buffer.prefix(count)
        }
    }
}
