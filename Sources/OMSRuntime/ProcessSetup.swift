import CSystem
import Glibc

/// What each executable does first in `main`, before any thread exists.
package enum ProcessSetup {
    package static func prepare() {
        // A peer that hangs up must be an error of one write, not the end of the process; libcurl (NOSIGNAL) and
        // libmosquitto both rely on it.
        signal(SIGPIPE, SIG_IGN)
        // The same for a file that may not grow any further (RLIMIT_FSIZE): an error of one write, like a full disk.
        signal(SIGXFSZ, SIG_IGN)
        oms_limit_malloc_arenas()
    }

    /// For the services: what they write (ledger, incarnation) holds parameters of jobs, and is nobody else's. Not for tools,
    /// whose files others are to read.
    package static func keepFilesPrivate() { umask(0o077) }
}

/// Reports SIGTERM and SIGINT on the loop's thread, as ordinary events.
///
/// One per process: the signals share one process-wide pipe.
package final class SignalWatcher: PollSource {
    private let fileDescriptor: Int32
    private let loop: EventLoop
    private let handler: @Sendable (Int32) -> Void

    /// - Parameter handler: Called on the loop's thread with the signal's number, once per signal received.
    package init(loop: EventLoop, signals: [Int32] = [SIGTERM, SIGINT], handler: @escaping @Sendable (Int32) -> Void) {
        var descriptor: Int32 = -1
        for number in signals {
            descriptor = oms_forward_signal(number)
            precondition(descriptor >= 0, "cannot watch signal \(number): errno \(errno)")
        }
        fileDescriptor = descriptor
        self.loop = loop
        self.handler = handler
        loop.post { loop.register(self) }
    }

    /// Stops reporting; the signals stay caught and then do nothing.
    package func cancel() { loop.post { self.loop.deregister(self) } }

    package func prepare() -> PollInterest? { PollInterest(fileDescriptor: fileDescriptor) }

    package func ready(readable: Bool, writable: Bool) {
        var numbers = [UInt8](repeating: 0, count: 16)
        let count = read(fileDescriptor, &numbers, numbers.count)
        for index in 0..<max(0, count) { handler(Int32(numbers[index])) }
    }
}
