import FoundationEssentials
package import Glibc

/// The folder that holds everything of one private environment: databases, configuration, secrets, logs.
package struct DataFolder: Sendable {
    package let path: String
    /// Made by us in the folder for temporary files; removed after a clean end.
    package let isTemporary: Bool
    /// Held while the environment lives; the kernel releases it however the process ends.
    private let lock: Int32

    /// - Parameter path: Nil for a fresh folder in /tmp.
    package init(_ path: String?) throws(DevError) {
        if let path {
            self.path = Self.absolute(path)
            isTemporary = false
            try Self.make(self.path)
        } else {
            var template = Array("/tmp/oms-dev-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else {
                throw DevError(
                    "cannot make a folder in /tmp: \(String(cString: strerror(errno))); choose one with --data")
            }
            self.path = String(cString: made)
            isTemporary = true
        }
        // The server's own account must be able to pass, but not to look around.
        chmod(self.path, 0o711)
        lock = try Self.lock(self.path)
        for (name, mode) in [("secrets", 0o700), ("logs", 0o711), ("credentials", 0o700), ("store", 0o755)] {
            guard mkdir(self.path + "/" + name, mode_t(mode)) == 0 || errno == EEXIST else {
                throw DevError("cannot make the folder \(self.path)/\(name): \(String(cString: strerror(errno)))")
            }
        }
    }

    package func file(_ name: String) -> String { path + "/" + name }
    package func log(_ child: String) -> String { file("logs/\(child).log") }

    /// Lets another process have the folder. Call it once, last.
    package func unlock() { close(lock) }

    package func remove() { try? FileManager.default.removeItem(atPath: path) }  // nothing depends on it any more

    /// Writes a file that only its owner can read.
    package func write(_ text: String, to name: String, mode: mode_t = 0o600) throws(DevError) {
        try Self.write(text, to: file(name), mode: mode)
    }

    /// The password of that name: kept from an earlier run, or a new one of 128 random bits.
    package func secret(_ name: String) throws(DevError) -> Secret {
        let path = file("secrets/\(name)")
        if let kept = Self.read(path), kept.count >= 32 {
            return Secret(value: kept.trimmingSpace, file: path)
        }
        var random = SystemRandomNumberGenerator()  // getrandom(2)
        let value = (0..<4).map { _ in
            let word = String(random.next() as UInt32, radix: 16)
            return String(repeating: "0", count: 8 - word.count) + word
        }.joined()
        try Self.write(value, to: path, mode: 0o600)
        return Secret(value: value, file: path)
    }

    package static func absolute(_ path: String) -> String {
        let joined = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        return joined.count > 1 && joined.hasSuffix("/") ? String(joined.dropLast()) : joined
    }

    package static func read(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The last line of a log file that says something.
    package static func lastLine(of path: String) -> String? {
        guard let text = read(path) else { return nil }
        return text.split(separator: "\n").last { !$0.allSatisfy { $0 == " " } }.map { String($0.prefix(500)) }
    }

    private static func write(_ text: String, to path: String, mode: mode_t) throws(DevError) {
        // Whole or not at all, and never readable by others in between.
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw DevError("cannot write \(path): \(String(cString: strerror(errno)))") }
        let bytes = Array(text.utf8)
        let written = Glibc.write(descriptor, bytes, bytes.count)
        close(descriptor)
        guard written == bytes.count, rename(temporary, path) == 0 else {
            throw DevError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Makes a folder and those above it.
    private static func make(_ path: String) throws(DevError) {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/" + part
            if mkdir(current, 0o755) == 0 { continue }
            let reason = errno
            var status = stat()
            if stat(current, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { continue }
            throw DevError(
                "cannot make the data folder \(path): \(current): \(String(cString: strerror(reason))); "
                    + "choose another with --data")
        }
    }

    private static func lock(_ path: String) throws(DevError) -> Int32 {
        let descriptor = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw DevError(
                "cannot write in the data folder \(path): \(String(cString: strerror(errno))); "
                    + "choose another with --data"
            )
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = (try? String(contentsOfFile: path + "/lock", encoding: .utf8))?.trimmingSpace ?? ""
            close(descriptor)
            throw DevError(
                "the data folder \(path) is in use by another 'oms dev'"
                    + (holder.isEmpty ? "; " : " (process \(holder)); ")
                    + "stop that one or choose another folder with --data")
        }
        ftruncate(descriptor, 0)
        let holder = Array("\(getpid())\n".utf8)
        _ = Glibc.write(descriptor, holder, holder.count)  // only for the sentence above
        return descriptor
    }
}

package struct Secret: Sendable {
    package var value: String
    package var file: String
}

extension StringProtocol {
    var trimmingSpace: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
