import Foundation
import Glibc
import OMSDev

/// A folder on a disk that a test can fill.
enum FullDisk: String, CaseIterable {
    /// A file system of its own, where this process may mount one.
    case tmpfs
    /// Files of the process may not grow beyond what they are (RLIMIT_FSIZE): works everywhere.
    case fileSize

    /// Those that are possible here, never none.
    static let possible: [FullDisk] = {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-mount-\(UUID().uuidString)").path
        defer { rmdir(folder) }
        guard mkdir(folder, 0o700) == 0, mount(folder) else { return [.fileSize] }
        unmount(folder)
        return allCases
    }()

    static func mount(_ folder: String, kilobytes: Int = 1_024) -> Bool {
        Glibc.mount("tmpfs", folder, "tmpfs", 0, "size=\(kilobytes)k,mode=700") == 0
    }

    static func unmount(_ folder: String) { umount2(folder, Int32(MNT_DETACH)) }

    func prepare(_ folder: String) throws {
        guard self == .tmpfs else { return }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard Self.mount(folder) else { throw DevError("cannot mount a tmpfs at \(folder): errno \(errno)") }
    }

    func release(_ folder: String) { if self == .tmpfs { Self.unmount(folder) } }

    /// - Parameter file: what is to grow no further.
    func fill(_ folder: String, _ file: String, of pid: Int32) async throws {
        switch self {
        case .tmpfs: try Self.fill(folder)
        case .fileSize:
            var status = stat()
            guard stat("\(folder)/\(file)", &status) == 0 else { throw DevError("no \(file) in \(folder)") }
            try await limit(pid, "\(status.st_size)")
        }
    }

    static func fill(_ folder: String) throws {
        let descriptor = open("\(folder)/filler", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        for size in [65_536, 4_096, 1] {
            let piece = [UInt8](repeating: 1, count: size)
            while write(descriptor, piece, size) == size {}
        }
        guard errno == ENOSPC else { throw DevError("cannot fill \(folder): errno \(errno)") }
    }

    func free(_ folder: String, of pid: Int32) async throws {
        switch self {
        case .tmpfs: unlink("\(folder)/filler")
        case .fileSize: try await limit(pid, "unlimited")
        }
    }

    private func limit(_ pid: Int32, _ size: String) async throws {
        // The soft limit alone, so that it can be raised again.
        let finished = try await run("/usr/bin/prlimit", ["--pid", "\(pid)", "--fsize=\(size):unlimited"])
        guard finished.status == 0 else { throw DevError("cannot limit the file size of \(pid): \(finished.errors)") }
    }
}
