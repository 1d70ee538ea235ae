import Glibc

/// A folder that one process at a time may use: `flock` on a file in it. The kernel holds the lock also while the
/// holder is stopped, and frees it however the holder ends.
package final class FolderLock: Sendable {
    private let descriptor: Int32

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes the folder if it is missing.
    /// - Parameter option: the command line option to name in the error.
    package init(folder: String, option: String) throws {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw Failure(
                description: "\(option): cannot make the folder '\(folder)': \(String(cString: strerror(errno)))")
        }
        let path = "\(folder)/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure(
                description:
                    "\(option): cannot write in '\(folder)': \(String(cString: strerror(errno))); choose another folder"
            )
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw Failure(
                description:
                    "\(option): '\(folder)' is in use by another process; stop that one, or give this one its own folder"
            )
        }
    }

    deinit { close(descriptor) }
}
