import Glibc

/// The number of a process under its name: each is greater than all before it, also when the wall clock was set back
/// meanwhile. Kept in a folder that one process at a time may use (`FolderLock`), so a greater number proves that the
/// former process has ended.
package enum Incarnation {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
        package init(description: String) { self.description = description }
    }

    /// - Parameters:
    ///   - folder: locked by this process.
    ///   - now: wall clock, milliseconds since 1970.
    /// - Returns: `now`, or one more than the last number if that is greater; on disk before this returns.
    package static func next(in folder: String, now: Int64) throws -> Int64 {
        let path = "\(folder)/incarnation"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        var text = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &text, text.count, 0)
        guard count >= 0 else { throw failure("read", path) }
        let last = Int64(String(decoding: text.prefix(count).prefix { $0 != 0x0A }, as: UTF8.self)) ?? 0
        let number = max(now, last + 1)
        // One short write in place: a torn one would leave digits of both, which are of one length until the year 2286.
        let line = Array("\(number)\n".utf8)
        guard pwrite(descriptor, line, line.count, 0) == line.count, fsync(descriptor) == 0 else {
            throw failure("write", path)
        }
        return number
    }

    private static func failure(_ what: String, _ path: String) -> Failure {
        Failure(description: "cannot \(what) '\(path)': \(String(cString: strerror(errno)))")
    }
}
