import OMSModel
import OMSProtocol

/// Where the pruning of history stands.
struct PruningWork: Sendable {
    /// Taken since it was last told.
    var counts: [Pruned.Kind: Int] = [:]
    /// Smaller after a failure, for a server that cannot do as much in time.
    var limit: Int
    var failure: String?

    init(_ retention: Retention) { limit = retention.rows }
}

/// Nothing grows without a bound: a while after the start, and every hour from then on, what is older than the retention is
/// taken out of PostgreSQL, one small batch at a time. Which rows may go is `Store+Retention.swift`'s to say; when to ask, and
/// that only the active registry asks, is decided here.
extension Registry {
    static let leastPruningRows = 100

    mutating func prune(at now: Moment) {
        // One batch at a time: only an answer sets the timer again.
        guard isLoaded, let keep = retention.keepMilliseconds else { return }
        store(
            .prune(
                Pruning(
                    before: now.wall.advanced(byMilliseconds: -keep), keepMilliseconds: keep, limit: pruning.limit)))
    }

    mutating func pruned(_ pruned: Pruned, at now: Moment) {
        pruning.counts.merge(pruned.counts, uniquingKeysWith: +)
        pruning.limit = min(retention.rows, pruning.limit * 2)
        if pruning.failure != nil {
            pruning.failure = nil
            announce("history.prunes", nil, "old history can be pruned again")
        }
        guard !pruned.hasMore else { return timers.set(.prune, now.monotonic + retention.betweenMilliseconds) }
        timers.set(.prune, now.monotonic + retention.everyMilliseconds)
        // One line for all batches.
        let told = Pruned.Kind.allCases.compactMap { kind in
            pruning.counts[kind].flatMap { $0 > 0 ? "\(Self.grouped($0)) \(kind.rawValue)" : nil }
        }
        pruning.counts = [:]
        guard !told.isEmpty else { return }
        announce("history.pruned", nil, "pruned \(told.joined(separator: ", ")) older than \(pruned.before)")
    }

    /// Nothing is lost: the same rows are there at the next try.
    mutating func pruningFailed(_ problem: Problem, at now: Moment) {
        pruning.limit = min(pruning.limit, max(Self.leastPruningRows, pruning.limit / 4))
        timers.set(.prune, now.monotonic + retention.retryMilliseconds)
        let text = problem.detail ?? problem.type
        guard pruning.failure != text else { return }
        pruning.failure = text
        announce(
            "history.not-pruned", nil,
            "old history could not be pruned and is tried again every \(retention.retryMilliseconds / 1000) s: \(text)")
    }

    /// 1234567 -> 1,234,567
    private static func grouped(_ number: Int) -> String {
        var digits = Array(String(number))
        for index in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: index) }
        return String(digits)
    }
}
