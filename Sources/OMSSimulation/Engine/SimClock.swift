import OMSModel

/// Simulated microseconds since the beginning.
typealias SimTime = Int64

enum SimClock {
    static let millisecond: SimTime = 1_000
    static let second: SimTime = 1_000_000

    /// 2026-01-01T00:00:00Z, from which every wall clock starts.
    private static let epoch: Int64 = 1_767_225_600_000

    /// - Parameter offset: how far the machine's wall clock is off, in milliseconds.
    static func moment(_ time: SimTime, offset: Int64) -> Moment {
        Moment(monotonic: time / 1_000, wall: wall(time, offset: offset))
    }

    static func wall(_ time: SimTime, offset: Int64) -> Timestamp {
        Timestamp(milliseconds: epoch + time / 1_000 + offset)
    }

    static func text(_ time: SimTime) -> String {
        let seconds = time / second
        let fraction = String(time % second / millisecond)
        return "\(seconds)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}
