/// Exponential back-off with full jitter: delay n is uniform in `0 ... min(cap, base * 2^n)`, never below `floor`.
///
/// Full jitter, because clients that lost the same server at the same moment must not come back at the same moment.
package struct Backoff: Sendable, Equatable {
    package let baseMilliseconds: Int64
    package let capMilliseconds: Int64
    package let floorMilliseconds: Int64
    package private(set) var attempts = 0

    package init(baseMilliseconds: Int64, capMilliseconds: Int64, floorMilliseconds: Int64 = 0) {
        precondition(baseMilliseconds > 0 && capMilliseconds >= baseMilliseconds, "a back-off needs 0 < base <= cap")
        precondition((0...capMilliseconds).contains(floorMilliseconds), "a back-off needs 0 <= floor <= cap")
        self.baseMilliseconds = baseMilliseconds
        self.capMilliseconds = capMilliseconds
        self.floorMilliseconds = floorMilliseconds
    }

    package mutating func nextMilliseconds(using random: inout some RandomNumberGenerator) -> Int64 {
        // 2^32 times any base is beyond every sensible cap; the limit keeps the shift from overflowing.
        let factor = Int64(1) << Int64(min(attempts, 32))
        let (product, overflow) = baseMilliseconds.multipliedReportingOverflow(by: factor)
        let bound = overflow ? capMilliseconds : min(capMilliseconds, product)
        if attempts < .max { attempts += 1 }
        return max(floorMilliseconds, Int64.random(in: 0...bound, using: &random))
    }

    package mutating func reset() { attempts = 0 }
}
