/// Lets some lines of a kind through each minute and counts the others, so that no stranger fills a disk with what we say
/// about him, and one cause with a thousand effects hides nothing else. The first ones of a kind are said at once.
package struct LogThrottle: Sendable {
    package static let milliseconds: Int64 = 60_000
    /// Kinds that are told apart; beyond it they share one.
    package static let maxKinds = 200
    private static let others = "others"

    private struct Kind {
        /// When the minute began, what was said in it, and what was not.
        var from: Int64
        var said = 1
        var held = 0
    }

    private var kinds: [String: Kind] = [:]
    /// All that was counted since the start, held back or not.
    private(set) package var total = 0

    private let burst: Int

    /// - Parameter burst: so many of a kind each minute.
    package init(burst: Int = 1) { self.burst = max(1, burst) }

    /// - Parameters:
    ///   - kind: of our own making, not a text from outside.
    ///   - now: monotonic milliseconds.
    /// - Returns: how many stand for this line, it included; nil if it is to be held back.
    package mutating func admit(_ kind: String, at now: Int64) -> Int? {
        total += 1
        if kinds[kind] == nil, kinds.count >= Self.maxKinds {
            kinds = kinds.filter { now - $0.value.from < Self.milliseconds || $0.value.held > 0 }
        }
        let key = kinds[kind] == nil && kinds.count >= Self.maxKinds ? Self.others : kind
        guard let known = kinds[key], now - known.from < Self.milliseconds else {
            let held = kinds[key]?.held ?? 0
            kinds[key] = Kind(from: now)
            return held + 1
        }
        guard known.said < burst else {
            kinds[key]?.held += 1
            return nil
        }
        kinds[key]?.said += 1
        return 1
    }
}
