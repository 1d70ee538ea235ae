import Glibc

/// Time that never jumps, for deadlines and durations.
package enum MonotonicClock {
    package static var milliseconds: Int64 { read(CLOCK_MONOTONIC, unit: 1_000_000) }
    package static var microseconds: Int64 { read(CLOCK_MONOTONIC, unit: 1_000) }
}

/// Calendar time, for time stamps only: it may jump in both directions.
package enum WallClock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package static var milliseconds: Int64 { read(CLOCK_REALTIME, unit: 1_000_000) }
}

private func read(_ clock: clockid_t, unit nanoseconds: Int64) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * (1_000_000_000 / nanoseconds) + Int64(time.tv_nsec) / nanoseconds
}

extension Duration {
    /// Whole milliseconds, rounded up, so that a wait never ends before its time.
    package var roundedUpMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
