import Foundation
import OMSDev
import OMSModel
import Postgres
import Testing

/// Where the project and its built programs are.
enum Place {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let example = root + "/examples/open-bandit"

    /// The folder of the test program is the folder of the executables.
    static var binaries: String {
        get throws {
            let own = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
            for folder in [
                own, own.deletingLastPathComponent(), own.deletingLastPathComponent().deletingLastPathComponent(),
            ] {
                if FileManager.default.isExecutableFile(atPath: folder.appending(path: "oms").path) {
                    return folder.path
                }
            }
            throw DevError("no built 'oms' beside \(own.path)")
        }
    }
}

/// What a finished program left.
struct Finished {
    var status: Int32
    var output: String
    var errors: String
}

/// Runs a program to its end; at the deadline it is ended, and the test fails.
func run(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], deadline: TimeInterval = 60
) async throws -> Finished {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    let folder = FileManager.default.temporaryDirectory.appending(path: "oms-run-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    // Files, not pipes: a full pipe would stop the program.
    let (out, err) = (folder.appending(path: "out"), folder.appending(path: "err"))
    for file in [out, err] { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: out)
    process.standardError = try FileHandle(forWritingTo: err)
    let ended = AsyncStream<Void>.makeStream()
    process.terminationHandler = { _ in ended.continuation.finish() }
    try process.run()
    let pid = process.processIdentifier
    let watchdog = DispatchSource.makeTimerSource()
    watchdog.setEventHandler { kill(pid, SIGTERM) }
    watchdog.schedule(deadline: .now() + deadline)
    watchdog.resume()
    for await _ in ended.stream {}
    watchdog.cancel()
    return Finished(
        status: process.terminationStatus, output: (try? String(contentsOf: out, encoding: .utf8)) ?? "",
        errors: (try? String(contentsOf: err, encoding: .utf8)) ?? "")
}

/// Runs the built `oms`.
func oms(_ arguments: String..., environment: [String: String] = [:], deadline: TimeInterval = 60) async throws
    -> Finished
{
    try await run(try Place.binaries + "/oms", arguments, environment: environment, deadline: deadline)
}
