import Foundation
import Testing

/// The real executable in a process of its own.
final class ProviderProcess {
    let process = Process()
    let port: Int

    /// The test bundle stands beside the executables.
    static var executable: URL {
        get throws {
            let arguments = CommandLine.arguments.compactMap { $0.contains(".xctest") ? URL(filePath: $0) : nil }
            var directory = try #require(arguments.first ?? Bundle.allBundles.first?.bundleURL)
            while directory.path.contains(".xctest") { directory.deleteLastPathComponent() }
            return directory.appending(path: "reference-sp")
        }
    }

    /// Starts it and waits for its `listening` line.
    init(_ arguments: [String]) throws {
        let output = Pipe()
        process.executableURL = try Self.executable
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        // Blocks until the line or, should the process die, until the end of its output.
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let prefix = "listening http://127.0.0.1:"
        try #require(line.hasPrefix(prefix), "'\(line)'")
        port = try #require(Int(line.dropFirst(prefix.count).prefix { $0.isNumber }))
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// - Returns: The exit status, or nil when a signal ended it.
    func end(by signal: Int32) -> Int32? {
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : nil
    }

    /// Runs to the end; for starts that fail.
    static func run(_ arguments: [String]) throws -> (status: Int32, errors: String) {
        let process = Process()
        let errors = Pipe()
        process.executableURL = try executable
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}
