import Glibc
import OMSRuntime

/// Tries something again, with a back-off, until it works or the deadline passes: for servers that cannot tell us when
/// they are ready.
package enum Attempts {
    /// - Parameter attempt: Returns nil for "not yet"; throws what no further attempt can cure.
    /// - Returns: Nil after the deadline.
    package static func until<Value>(
        deadline: Duration, _ attempt: () async throws -> Value?
    ) async throws -> Value? {
        let end = MonotonicClock.milliseconds + deadline.roundedUpMilliseconds
        var backoff = Backoff(baseMilliseconds: 20, capMilliseconds: 500, floorMilliseconds: 10)
        var random = SystemRandomNumberGenerator()
        while true {
            if let value = try await attempt() { return value }
            let left = end - MonotonicClock.milliseconds
            if left <= 0 { return nil }
            try await Task.sleep(for: .milliseconds(min(left, backoff.nextMilliseconds(using: &random))))
        }
    }
}
