import Foundation
import Glibc
import OMSRuntime

/// A server started by a test, ended by its pid.
final class ChildProcess: Sendable {
    let pid: pid_t

    init(_ arguments: [String], log: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var copies: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        // Threads of Swift's task pool block most signals, and a child inherits the mask: it would ignore SIGTERM.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var pid: pid_t = 0
        let code = posix_spawn(&pid, arguments[0], &actions, &attributes, &copies, environ)
        guard code == 0 else { throw TestFailure("cannot start \(arguments[0]): \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    func end(_ signal: Int32 = SIGTERM) {
        kill(pid, signal)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    /// Runs a command to its end.
    static func run(_ arguments: [String], log: String) throws {
        let child = try ChildProcess(arguments, log: log)
        var status: Int32 = 0
        waitpid(child.pid, &status, 0)
        guard status == 0 else {
            throw TestFailure("\(arguments) failed: \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")")
        }
    }
}

struct TestFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

enum TestPorts {
    /// A port that nobody listens on now.
    static func free() -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return bindLoopback(descriptor)
    }

    static func bindLoopback(_ descriptor: Int32) -> Int {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                _ = bind(descriptor, generic, size)
                _ = getsockname(descriptor, generic, &size)
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Returns when something accepts connections; retries at once inside the kernel's answer, bounded by the deadline.
    static func waitUntilListening(_ port: Int, deadline: Duration = .seconds(10)) throws {
        let end = MonotonicClock.milliseconds + deadline.roundedUpMilliseconds
        while MonotonicClock.milliseconds < end {
            if (try? TCPProbe.firstReachableAddress(host: "127.0.0.1", port: port, timeout: .seconds(1))) != nil {
                return
            }
            usleep(5_000)  // a server that is starting offers no event to wait for
        }
        throw TestFailure("nothing listens on \(port)")
    }
}

func temporaryFolder(_ name: String) throws -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "oms-\(name)-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}
