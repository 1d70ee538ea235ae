/// Lets one of a kind pass each minute and counts the rest: what others can cause must not fill a log.
package struct OncePerMinute<Kind: Hashable & Sendable>: Sendable {
    private var last: [Kind: (at: Int64, held: Int)] = [:]
    private static var maxKinds: Int { 1_000 }

    package init() {}

    /// - Parameter now: monotonic, in milliseconds.
    /// - Returns: how many there were since the last one that passed, this one included; nil: not now.
    package mutating func pass(_ kind: Kind, at now: Int64) -> Int? {
        if let known = last[kind], now - known.at < 60_000 {
            last[kind]?.held += 1
            return nil
        }
        let held = last[kind]?.held ?? 0
        if last.count >= Self.maxKinds { last = last.filter { now - $0.value.at < 60_000 } }
        guard last.count < Self.maxKinds || last[kind] != nil else { return nil }
        last[kind] = (now, 0)
        return held + 1
    }
}
