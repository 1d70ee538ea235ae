import Foundation
import OMSRuntime
import Testing

/// Programs of the build, and others, as processes of their own.
final class Program {
    let process = Process()
    private let output = Pipe()

    /// The test bundle stands beside the executables.
    static func path(_ name: String) throws -> URL {
        let arguments = CommandLine.arguments.compactMap { $0.contains(".xctest") ? URL(filePath: $0) : nil }
        var directory = try #require(arguments.first ?? Bundle.allBundles.first?.bundleURL)
        while directory.path.contains(".xctest") { directory.deleteLastPathComponent() }
        return directory.appending(path: name)
    }

    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    init(_ executable: URL, _ arguments: [String]) throws {
        process.executableURL = executable
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// The port in its first line of output, such as `listening http://127.0.0.1:18081`.
    func port() throws -> Int {
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let digits = line.split(separator: "\n").first?.split(separator: ":").last?.prefix { $0.isNumber }
        return try #require(digits.flatMap { Int($0) }, "'\(line)'")
    }

    /// Runs to its end.
    func finish() -> (status: Int32, output: String) {
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}

/// A directory that is gone after the test.
final class Scratch {
    let url = FileManager.default.temporaryDirectory.appending(path: "oms-verify-\(UUID().uuidString)")
    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func write(_ name: String, _ text: String) throws -> String {
        let file = url.appending(path: name)
        try Data(text.utf8).write(to: file)
        return file.path
    }
}
