/// A small seeded generator (Steele, Lea, Flood 2014): cores draw their jitter from it, so that one seed replays
/// one history.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Exponential delays with equal jitter (between half and the whole ceiling, so never at once), in milliseconds.
package enum Retry {
    /// - Parameter attempt: 1 for the first repetition.
    package static func delay(
        attempt: Int, base: Int64, cap: Int64, using generator: inout SplitMix64
    ) -> Int64 {
        let ceiling = min(cap, base << Int64(min(max(attempt - 1, 0), 20)))
        return Int64.random(in: ceiling / 2...ceiling, using: &generator)
    }
}
