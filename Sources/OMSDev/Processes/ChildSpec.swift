import CSystem
import Glibc

/// A program to run and supervise.
package struct ChildSpec: Sendable {
    package struct StopStep: Sendable {
        package var signal: Int32
        /// How long the program has to end after it.
        package var patience: Duration

        package init(_ signal: Int32, patience: Duration) {
            self.signal = signal
            self.patience = patience
        }
    }

    package enum Restart: Sendable, Equatable {
        case never
        /// With a back-off that doubles from 0.2 s to 5 s and begins anew after 10 s of life.
        case always
    }

    /// Unique in its supervisor: `wm-fleet`.
    package var name: String
    package var executable: String
    package var arguments: [String]
    /// The whole environment; nothing is inherited, so that runs are alike everywhere.
    package var environment: [String: String] = Self.standardEnvironment
    package var folder: String?
    package var runAs: SystemUser?
    package var logFile: String
    package var restart = Restart.always
    /// Restarts wait 0.2 s, then twice as long each time, up to this.
    package var longestRestartDelay: Duration = .seconds(5)
    /// Later stages are stopped before earlier ones.
    package var stage = 0
    /// After the last step comes SIGKILL.
    package var stop = [StopStep(SIGTERM, patience: .seconds(10))]
    /// What the kernel sends when the supervisor dies, even by kill -9.
    package var deathSignal = SIGKILL

    package init(name: String, executable: String, arguments: [String], logFile: String) {
        self.name = name
        self.executable = executable
        self.arguments = arguments
        self.logFile = logFile
    }

    package static var standardEnvironment: [String: String] {
        var environment = [
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8",
        ]
        // What a sanitizer build and a locally installed Swift runtime need.
        for name in ["LD_LIBRARY_PATH", "TSAN_OPTIONS", "ASAN_OPTIONS", "SWIFT_BACKTRACE", "TMPDIR"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return environment
    }
}

/// An account of the system that a child runs as.
package struct SystemUser: Sendable {
    package var name: String
    package var userID: UInt32
    package var groupID: UInt32
    package var groups: [UInt32]

    /// Nil when the system has no such account.
    package init?(named name: String) {
        var (userID, groupID) = (UInt32(), UInt32())
        var groups = [UInt32](repeating: 0, count: 64)
        var count = Int32(groups.count)
        guard oms_find_user(name, &userID, &groupID, &groups, &count) == 0 else { return nil }
        self.name = name
        self.userID = userID
        self.groupID = groupID
        self.groups = Array(groups.prefix(Int(count)))
    }

    package static var isRoot: Bool { geteuid() == 0 }

    /// Gives a file or folder to the account.
    package func own(_ path: String) throws(DevError) {
        guard chown(path, userID, groupID) == 0 else {
            throw DevError("cannot give \(path) to the user \(name): \(String(cString: strerror(errno)))")
        }
    }
}

package struct ChildExit: Sendable, Equatable, CustomStringConvertible {
    /// Nil when a signal ended it.
    package var code: Int32?
    package var signal: Int32?

    package var isSuccess: Bool { code == 0 }

    package var description: String {
        if let signal { return "ended by signal \(signal) (\(String(cString: strsignal(signal))))" }
        return "exit code \(code ?? -1)"
    }
}
