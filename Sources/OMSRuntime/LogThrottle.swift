/// Lets one line of a kind through each minute and counts the others, so that no stranger fills a disk with what we say
/// about him. The first one of a kind is said at once.
package struct LogThrottle: Sendable {
    package static let milliseconds: Int64 = 60_000
    /// Kinds that are told apart; beyond it they share one.
    package static let maxKinds = 200
    private static let others = "others"

    private struct Kind {
        var saidAt: Int64
        var held = 0
    }

    private var kinds: [String: Kind] = [:]
    /// All that was counted since the start, held back or not.
    private(set) package var total = 0

    package init() {}

    /// - Parameters:
    ///   - kind: of our own making, not a text from outside.
    ///   - now: monotonic milliseconds.
    /// - Returns: how many stand for this line, it included; nil if it is to be held back.
    package mutating func admit(_ kind: String, at now: Int64) -> Int? {
        total += 1
        let key = kinds[kind] == nil && kinds.count >= Self.maxKinds ? Self.others : kind
        guard let known = kinds[key] else {
            kinds[key] = Kind(saidAt: now)
            return 1
        }
        guard now - known.saidAt >= Self.milliseconds else {
            kinds[key]?.held += 1
            return nil
        }
        kinds[key] = Kind(saidAt: now)
        return known.held + 1
    }
}
