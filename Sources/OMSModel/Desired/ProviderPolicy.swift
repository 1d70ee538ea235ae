/// Which of the able providers a run uses (docs/operate/providers.md).
package struct ProviderPolicy: Hashable, Codable, Sendable {
    package enum Use: String, Codable, Sendable, CaseIterable {
        /// The first that is not known to be down, in order of `only`, else in an order that spreads tenants over the providers. Tried again there.
        case one
        /// Every able one at the same time; the results are merged.
        case all
        /// All are asked; the first result counts, the others are stopped.
        case firstWins = "first-wins"
        /// All are asked; when `count` results are in they are merged, the others are stopped.
        case quorum
        /// One per tick, by a hash of the tick, in proportion to `weights`.
        case weighted
        /// The one that was used last, as long as it is able; no way back.
        case sticky
        /// The first; when it cannot, the next one in the same run. The next tick begins with the first again.
        case failover
    }

    package var use: Use
    /// Restricts and orders the choice.
    package var only: [ProviderID]?
    /// With those that ask several: fewer able providers do not satisfy the scenario. Default 1.
    package var atLeast: Int?
    /// With `quorum`: so many results are needed.
    package var count: Int?
    /// With `weighted`. Default 1.
    package var weights: [ProviderID: Double]?

    package init(
        use: Use, only: [ProviderID]? = nil, atLeast: Int? = nil, count: Int? = nil,
        weights: [ProviderID: Double]? = nil
    ) {
        self.use = use
        self.only = only
        self.atLeast = atLeast
        self.count = count
        self.weights = weights
    }

    enum CodingKeys: String, CodingKey {
        case use, only, count, weights
        case atLeast = "at_least"
    }
}

extension ProviderPolicy.Use {
    /// Several providers work on a run at the same time.
    package var asksSeveral: Bool {
        switch self {
        case .all, .firstWins, .quorum: true
        case .one, .weighted, .sticky, .failover: false
        }
    }
}

/// How long a job may take to come to its next step, in seconds; what runs is bounded by `timeout_s`, everything
/// together by `deadline_s` (docs/operate/providers.md).
package struct TimeoutRule: Hashable, Codable, Sendable {
    /// Until a provider has taken it.
    package var queueSeconds: Int?
    /// From there until it runs.
    package var startSeconds: Int?
    /// While it runs: without any change of its progress or message.
    package var noProgressSeconds: Int?

    package init(queueSeconds: Int? = nil, startSeconds: Int? = nil, noProgressSeconds: Int? = nil) {
        self.queueSeconds = queueSeconds
        self.startSeconds = startSeconds
        self.noProgressSeconds = noProgressSeconds
    }

    enum CodingKeys: String, CodingKey {
        case queueSeconds = "queue_s"
        case startSeconds = "start_s"
        case noProgressSeconds = "no_progress_s"
    }
}
