import Foundation
import OMSDev

/// A wall clock of their own for the services of a test (libfaketime); the monotonic clock stays what it is.
struct SteppedClock {
    private let file: URL
    private let shared: [String]
    private let library: String

    init() throws {
        let libraries = ["x86_64", "aarch64"].map { "/usr/lib/\($0)-linux-gnu/faketime/libfaketimeMT.so.1" }
        guard let library = libraries.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw DevError("libfaketime is missing; scripts/install-packages installs it")
        }
        self.library = library
        let name = "oms-clock-\(UUID().uuidString)"
        file = FileManager.default.temporaryDirectory.appending(path: name)
        // Left to itself, the library makes these two and puts their names into the environment. That moves the
        // environment, and beside its first place is where the Swift runtime looks for the program's arguments.
        shared = ["/dev/shm/sem.\(name)", "/dev/shm/\(name)"]
        try Data([1] + [UInt8](repeating: 0, count: 31)).write(to: URL(filePath: shared[0]))  // glibc's sem_t, free
        try Data(count: 4_096).write(to: URL(filePath: shared[1]))
        try set(0)
    }

    /// For the environment of each service.
    var variables: [String: String] {
        let name = file.lastPathComponent
        return [
            "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": file.path, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_SHARED": "/\(name) /\(name)",
        ]
    }

    /// - Parameter seconds: how far their clock is ahead of everybody else's; they see it within a second.
    func set(_ seconds: Int) throws {
        try Data("\(seconds < 0 ? "" : "+")\(seconds)\n".utf8).write(to: file, options: .atomic)
    }

    func remove() {
        for path in shared + [file.path] { try? FileManager.default.removeItem(atPath: path) }
    }
}
