import Glibc
import OMSRuntime

/// Runs something until it ends or the operator stops it with Ctrl-C or SIGTERM.
enum StopSignals {
    /// - Returns: Nil when a signal ended it, after `work` has cleaned up.
    static func run<Value: Sendable>(
        onStop: @escaping @Sendable () -> Void = {}, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        let loop = EventLoop(name: "signals")
        let (signals, feed) = AsyncStream.makeStream(of: Int32.self)
        let count = Locked(0)
        let watcher = SignalWatcher(loop: loop) { number in
            let isSecond = count.withLock { count in
                count += 1
                return count > 1
            }
            // Impatience: the kernel then ends the children.
            if isSecond { _exit(128 + number) }
            feed.yield(number)
        }
        defer { watcher.cancel() }
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                for await _ in signals { break }
                if !Task.isCancelled { onStop() }
                return nil
            }
            let first = try await group.next() ?? nil
            group.cancelAll()
            do {
                while try await group.next() != nil {}
            } catch is CancellationError {}
            return first
        }
    }
}
