package import OMSModel

/// How long PostgreSQL's history is kept, and in which steps what is older goes.
package struct Retention: Hashable, Sendable {
    /// nil: for ever.
    package var keepMilliseconds: Int64?
    /// A registry that has just begun has more urgent work.
    package var firstMilliseconds: Int64 = 300_000
    package var everyMilliseconds: Int64 = 3_600_000
    /// Journals wait behind a batch on the one session, so each is small and the next one leaves them room.
    package var betweenMilliseconds: Int64 = 1_000
    package var retryMilliseconds: Int64 = 300_000
    /// Rows per batch, which is one transaction.
    package var rows = 5_000

    /// Gateways remember ended jobs for 24 h (`JobMemory`). Shorter than that, and what they name would often be of no use.
    package static let leastDays = 2
    package static let defaultDays = 90

    package init(keepMilliseconds: Int64?) { self.keepMilliseconds = keepMilliseconds }

    /// - Parameter days: 0: for ever.
    package static func days(_ days: Int) -> Retention {
        Retention(keepMilliseconds: days == 0 ? nil : Int64(days) * 86_400_000)
    }
}

/// One batch.
package struct Pruning: Hashable, Sendable {
    package var before: Timestamp
    /// For the database's own clock: what is younger by either of the two stays, so that one clock that was set wrong does not
    /// cost the history.
    package var keepMilliseconds: Int64
    /// Rows; one run goes with all of its rows, however many they are.
    package var limit: Int

    package init(before: Timestamp, keepMilliseconds: Int64, limit: Int) {
        self.before = before
        self.keepMilliseconds = keepMilliseconds
        self.limit = limit
    }
}

/// What a batch took.
package struct Pruned: Hashable, Sendable {
    /// Kinds of rows as an operator calls them, in the order in which they are told.
    package enum Kind: String, CaseIterable, Sendable {
        case runs, jobs
        case jobEvents = "job events"
        case ticks, epochs, receipts, operations, rollouts = "roll-outs"
        case documentVersions = "document versions"
        case configVersions = "configurations"
        case catalogVersions = "catalogues"
        case verifications
        case quarantinedJobs = "resolved quarantined jobs"
        case givenUp = "given-up jobs"
        case quarantine = "refused journal entries"
    }

    /// The limit that held: never later than what was asked for.
    package var before: Timestamp
    package var counts: [Kind: Int]
    package var hasMore: Bool

    package init(before: Timestamp, counts: [Kind: Int] = [:], hasMore: Bool = false) {
        self.before = before
        self.counts = counts
        self.hasMore = hasMore
    }
}
