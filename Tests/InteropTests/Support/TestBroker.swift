import Foundation
import Glibc
import OMSRuntime

/// A private broker: user `user`, password `secret`, who may not write below `denied/`.
final class TestBroker: Sendable {
    let port: Int
    let folder: String
    private let child: Locked<ChildProcess?>

    init(maxPacketBytes: Int = 262_144, rights: String = "topic readwrite t/#\ntopic read denied/#\n") throws {
        folder = try temporaryFolder("broker")
        port = TestPorts.free()
        let configuration = """
            user root
            listener \(port) 127.0.0.1
            allow_anonymous false
            password_file \(folder)/passwords
            acl_file \(folder)/acl
            persistence false
            max_inflight_messages 1000
            max_queued_messages 100000
            max_packet_size \(maxPacketBytes)
            set_tcp_nodelay true

            """
        try configuration.write(toFile: "\(folder)/conf", atomically: true, encoding: .utf8)
        try "user user\n\(rights)"
            .write(toFile: "\(folder)/acl", atomically: true, encoding: .utf8)
        try ChildProcess.run(
            ["/usr/bin/mosquitto_passwd", "-c", "-b", "\(folder)/passwords", "user", "secret"], log: "\(folder)/log")
        child = Locked(nil)
        try start()
    }

    func start() throws {
        let started = try ChildProcess(["/usr/sbin/mosquitto", "-c", "\(folder)/conf"], log: "\(folder)/log")
        child.withLock { $0 = started }
        try TestPorts.waitUntilListening(port)
    }

    func end(_ signal: Int32 = SIGTERM) {
        let running = child.withLock { child in
            defer { child = nil }
            return child
        }
        running?.end(signal)
    }

    deinit {
        end()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
