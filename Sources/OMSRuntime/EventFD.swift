import CSystem
import Glibc

/// A counter with a file descriptor: wakes a thread that sleeps in `poll()`.
package final class EventFD: Sendable {
    package let fileDescriptor: Int32

    package init() {
        fileDescriptor = oms_eventfd()
        precondition(fileDescriptor >= 0, "cannot create an eventfd: errno \(errno)")  // out of descriptors at start-up
    }

    deinit { close(fileDescriptor) }

    /// Legal from any thread. Never blocks: a full counter means that the reader has been woken anyway.
    package func signal() {
        var one: UInt64 = 1
        _ = write(fileDescriptor, &one, 8)
    }

    package func clear() {
        var count: UInt64 = 0
        _ = read(fileDescriptor, &count, 8)
    }
}
