import Foundation
import Glibc
import OMSRuntime
import Postgres

/// A private database cluster on a free port of 127.0.0.1, without fsync.
final class TestPostgres: Sendable {
    let port: Int
    let folder: String
    private let server: ChildProcess
    private static let binaries = "/usr/lib/postgresql/15/bin"

    private init() throws {
        folder = try temporaryFolder("postgres")
        port = TestPorts.free()
        // PostgreSQL refuses to run as root.
        let asPostgres =
            getuid() == 0
            ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] : ["/usr/bin/env"]
        try ChildProcess.run(["/usr/bin/env", "chmod", "777", folder], log: "\(folder)/log")
        try "secret\n".write(toFile: "\(folder)/password", atomically: true, encoding: .utf8)
        try ChildProcess.run(
            ["/usr/bin/env", "chmod", "666", "\(folder)/log", "\(folder)/password"], log: "\(folder)/log")
        try ChildProcess.run(
            asPostgres + [
                "\(Self.binaries)/initdb", "-D", "\(folder)/data", "-U", "oms", "-A", "scram-sha-256",
                "--pwfile=\(folder)/password", "--no-sync", "-E", "UTF8", "--locale=C",
            ], log: "\(folder)/log")
        server = try ChildProcess(
            asPostgres + [
                "\(Self.binaries)/postgres", "-D", "\(folder)/data", "-p", "\(port)", "-h", "127.0.0.1", "-k", folder,
                "-c", "fsync=off", "-c", "shared_buffers=16MB",
            ], log: "\(folder)/log")
        try TestPorts.waitUntilListening(port, deadline: .seconds(20))
        // It listens before it serves: until then each connection gets "the database system is starting up".
        let end = MonotonicClock.milliseconds + 20_000
        while true {
            do {
                try ChildProcess.run(
                    ["\(Self.binaries)/pg_isready", "-h", "127.0.0.1", "-p", "\(port)"], log: "\(folder)/log")
                break
            } catch {
                if MonotonicClock.milliseconds > end { throw error }
            }
        }
    }

    var configuration: PostgresConfiguration {
        PostgresConfiguration(
            parameters: [
                "host": "127.0.0.1", "port": "\(port)", "dbname": "postgres", "user": "oms", "password": "secret",
            ],
            applicationName: "interop-tests")
    }

    /// Shared by all tests and so never released: ended when the test process exits.
    static let shared: Result<TestPostgres, any Error> = Result {
        let server = try TestPostgres()
        atexit {
            guard case .success(let server) = TestPostgres.shared else { return }
            server.server.end(SIGINT)  // "fast" shutdown
            try? FileManager.default.removeItem(atPath: server.folder)
        }
        return server
    }
}
