import Foundation
import OMSRuntime

/// A value that threads wait on: a lock and a condition in one.
///
/// For the provider's own threads only. `change` and `wait` may block for the length of an SQLite commit, so they are
/// never called from a Swift concurrency task. The `Locked` inside is uncontended (the condition's lock is always held
/// first); it only carries the proof that `Value` is guarded.
final class Monitor<Value>: Sendable {
    private let condition = NSCondition()
    private let guarded: Locked<Value>

    init(_ value: Value) { guarded = Locked(value) }

    /// Reads without waking anybody.
    func read<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        condition.lock()
        defer { condition.unlock() }
        return try guarded.withLock(body)
    }

    /// Changes the value and wakes every waiter, so that each looks at its condition again.
    func change<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        condition.lock()
        defer {
            condition.broadcast()
            condition.unlock()
        }
        return try guarded.withLock(body)
    }

    /// Waits until `body` returns something (it may change the value then), at most until `deadline` (monotonic
    /// milliseconds); then returns nil.
    func wait<Result>(until deadline: Int64, _ body: (inout Value) throws -> Result?) rethrows -> Result? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if let result = try guarded.withLock(body) {
                condition.broadcast()  // what ended this wait may have changed the value, too
                return result
            }
            let left = deadline - MonotonicClock.milliseconds
            if left <= 0 { return nil }
            // NSCondition waits on the wall clock. A clock step can only end one wait early or late; the loop then
            // looks at the monotonic clock again, and no wait is longer than this cap.
            _ = condition.wait(until: Date(timeIntervalSinceNow: Double(min(left, 60_000)) / 1000))
        }
    }
}

/// Starts a named thread of its own for long work: nothing here may run on Swift's cooperative pool.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let thread = Thread(block: body)
    thread.name = name
    thread.stackSize = 1 << 20
    thread.start()
}
