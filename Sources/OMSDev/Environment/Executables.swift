import FoundationEssentials
import Glibc

/// Where programs are.
package enum Executables {
    /// Our own: in `OMS_BIN_DIR`, else beside the running program.
    package static func own(_ name: String, in folder: String? = nil) throws(DevError) -> String {
        let folder = ownFolder(folder)
        let path = folder + "/" + name
        guard isExecutable(path) else {
            throw DevError(
                "the program \(name) is not in \(folder); build it with 'swift build --product \(name)', "
                    + "or name its folder in OMS_BIN_DIR")
        }
        return path
    }

    package static func ownFolder(_ given: String? = nil) -> String {
        given ?? environment("OMS_BIN_DIR") ?? besideOurselves
    }

    /// A server of the system: in one of the folders, else in PATH.
    package static func system(_ name: String, folders: [String]) -> String? {
        let path = (environment("PATH") ?? "/usr/bin:/bin").split(separator: ":").map(String.init)
        return (folders + path).map { $0 + "/" + name }.first(where: isExecutable)
    }

    package static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    package static func isExecutable(_ path: String) -> Bool {
        var status = stat()
        return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    private static var besideOurselves: String {
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
    }
}
