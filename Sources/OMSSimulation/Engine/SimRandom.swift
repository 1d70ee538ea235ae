import OMSCore

/// Draws for the simulation. Every kind of decision has a stream of its own, so that leaving one fault out does not
/// shift all the others: that is what makes a failing history shrinkable.
struct SimRandom {
    private var generator: SplitMix64

    init(seed: UInt64, stream: UInt64) {
        generator = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ stream &* 0xD1B5_4A32_D192_ED03)
        _ = generator.next()
    }

    mutating func next() -> UInt64 { generator.next() }

    mutating func chance(_ probability: Double) -> Bool {
        // Drawn in any case: a probability of zero must not shift the stream.
        Double(generator.next() >> 11) * 0x1p-53 < probability
    }

    mutating func int(_ range: ClosedRange<Int64>) -> Int64 {
        range.lowerBound + Int64(generator.next() % UInt64(range.upperBound - range.lowerBound + 1))
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int(int(Int64(range.lowerBound)...Int64(range.upperBound))) }

    mutating func pick<Element>(_ items: [Element]) -> Element { items[Int(generator.next() % UInt64(items.count))] }

    /// Mostly short, now and then up to `longest`: the shape of a network's delays.
    mutating func delay(_ shortest: Int64, _ usual: Int64, rarely longest: Int64) -> Int64 {
        let draw = generator.next()
        if draw & 0x3F == 0 { return int(usual...max(usual, longest)) }
        return int(shortest...usual)
    }
}
