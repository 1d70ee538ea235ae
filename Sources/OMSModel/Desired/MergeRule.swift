/// How the results of a run's providers become one (docs/operate/merging.md).
package struct MergeRule: Hashable, Codable, Sendable {
    package enum Strategy: String, Codable, Sendable, CaseIterable {
        /// The first succeeded provider, in the plan's order.
        case first
        /// Lists, one after the other in the plan's order.
        case concat
        /// Lists of records, each key once.
        case union
        /// The value that more than half of the votes agree on.
        case majority
        /// The mean of numbers, weighted by `weights`.
        case mean
        /// The outputs of the provider with the best objective among those that keep the constraints.
        case best
        /// Reciprocal rank fusion of ranked lists (Cormack, Clarke, Buettcher, SIGIR 2009).
        case reciprocalRankFusion = "reciprocal-rank-fusion"
        /// Counts of an A/B test added up, and the test on the sums.
        case pooledProportions = "pooled-proportions"
    }

    /// Which of two records with one key stands.
    package enum Conflict: String, Codable, Sendable, CaseIterable {
        case preferOrder = "prefer-order"
        /// The latest `by` (RFC 3339).
        case newest
        /// The greatest number `by`.
        case largest
        /// None: the run fails and names the key.
        case error
    }

    package enum Goal: String, Codable, Sendable, CaseIterable { case maximise, minimise }

    /// A bound on a numeric output.
    package struct Constraint: Hashable, Codable, Sendable {
        package var output: String
        package var atLeast: Double?
        package var atMost: Double?

        package init(output: String, atLeast: Double? = nil, atMost: Double? = nil) {
            self.output = output
            self.atLeast = atLeast
            self.atMost = atMost
        }

        enum CodingKeys: String, CodingKey {
            case output
            case atLeast = "at_least"
            case atMost = "at_most"
        }
    }

    package var strategy: Strategy
    /// The output that is merged. Default `ranking`.
    package var output: String?
    /// The member of a list element that names the item. Default `item`.
    package var itemKey: String?
    /// The constant of reciprocal rank fusion. Default 60.
    package var k: Int?
    /// Length of the merged list. Default: as long as the longest input.
    package var top: Int?
    /// With `union`: the members that make two records the same one.
    package var key: [String]?
    /// With `union`. Default `prefer-order`.
    package var conflict: Conflict?
    /// With `newest` and `largest`: the member that is compared.
    package var by: String?
    /// With `mean` and `majority`: how much a provider counts. Default 1.
    package var weights: [ProviderID: Double]?
    /// With `best`: the numeric output that is compared.
    package var objective: String?
    package var goal: Goal?
    package var require: [Constraint]?
    /// With `pooled-proportions`: the outputs of the two arms. Default `control` and `treatment`.
    package var control: String?
    package var treatment: String?
    /// Their members with the number of trials and of successes. Default `n` and `clicks`.
    package var trials: String?
    package var successes: String?
    /// With `pooled-proportions`: a p-value below it shows a difference. Default 0.05.
    package var alpha: Double?
    /// With `pooled-proportions`: the share of the trials that the treatment was to get. Default 0.5.
    package var split: Double?
    /// The result goes out after so many seconds with what there is; later branches amend it until the deadline.
    package var deliverAfterSeconds: Int?

    package init(strategy: Strategy, output: String? = nil, itemKey: String? = nil, k: Int? = nil, top: Int? = nil) {
        self.strategy = strategy
        self.output = output
        self.itemKey = itemKey
        self.k = k
        self.top = top
    }

    enum CodingKeys: String, CodingKey {
        case strategy, output, k, top, key, conflict, by, weights, objective, goal, require, control, treatment
        case trials, successes, alpha, split
        case itemKey = "item_key"
        case deliverAfterSeconds = "deliver_after_s"
    }
}
