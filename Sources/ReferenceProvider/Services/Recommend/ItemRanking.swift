import OMSModel
/// How items are scored from their logs.
enum RankingMethod: String, CaseIterable, Sendable {
    /// Posterior mean under a Beta prior fitted to all items: the best guess of each rate.
    case empiricalBayes = "empirical-bayes"
    /// Lower bound of the 95 % Wilson interval: the rate that an item has almost surely. Prefers well-tried items.
    case wilson
    /// Self-normalised inverse propensity score, shrunk like `empirical-bayes`: undoes the logging policy's choices.
    case snips
}

/// What the logs say about each item.
struct ItemStatistics {
    struct Item: Hashable {
        var impressions = 0
        var clicks = 0
        /// Sums of the weights 1/propensity: all, those of clicks, and squares.
        var weight = 0.0
        var clickWeight = 0.0
        var squaredWeight = 0.0

        var proportion: Proportion { Proportion(trials: impressions, successes: clicks) }

        /// The estimate without shrinkage; 0 without impressions.
        var snips: Double { weight > 0 ? clickWeight / weight : 0 }

        /// Kish's effective sample size: how many equally weighted impressions these are worth.
        var effectiveSize: Double { squaredWeight > 0 ? weight * weight / squaredWeight : 0 }
    }

    private(set) var items: [String: Item] = [:]

    mutating func add(_ impression: Impression) {
        var item = items[impression.item] ?? Item()
        item.impressions += 1
        item.clicks += impression.click ? 1 : 0
        if let propensity = impression.propensity {
            let weight = 1 / propensity
            item.weight += weight
            item.squaredWeight += weight * weight
            item.clickWeight += impression.click ? weight : 0
        }
        items[impression.item] = item
    }

    var impressions: Int { items.values.reduce(0) { $0 + $1.impressions } }
    var clicks: Int { items.values.reduce(0) { $0 + $1.clicks } }

    struct Ranked: Hashable {
        var item: String
        var score: Double
        var impressions: Int
        var clicks: Int
    }

    /// All items, best first; ties in the order of their ids, so that equal input gives equal output.
    func ranking(by method: RankingMethod) -> [Ranked] {
        // In a fixed order: sums of doubles depend on it in the last digit.
        let all = items.sorted { $0.key < $1.key }
        let scores: [Double]
        switch method {
        case .empiricalBayes:
            let prior = BetaPrior(fitting: all.map { ($0.value.proportion.rate, Double($0.value.impressions)) })
            scores = all.map { prior.posteriorMean(rate: $0.value.proportion.rate, size: Double($0.value.impressions)) }
        case .wilson:
            let z = Normal.quantile(0.975)
            scores = all.map { $0.value.proportion.wilson(z: z).lowerBound }
        case .snips:
            let prior = BetaPrior(fitting: all.map { ($0.value.snips, $0.value.effectiveSize) })
            scores = all.map { prior.posteriorMean(rate: $0.value.snips, size: $0.value.effectiveSize) }
        }
        let ranked = zip(all, scores).map { entry, score in
            Ranked(item: entry.key, score: score, impressions: entry.value.impressions, clicks: entry.value.clicks)
        }
        return ranked.sorted { a, b in a.score != b.score ? a.score > b.score : itemOrder(a.item, b.item) }
    }
}

/// Numbers by value ("9" before "10"), everything else by text and after the numbers.
private func itemOrder(_ a: String, _ b: String) -> Bool {
    switch (Int(a), Int(b)) {
    case (let x?, let y?): x != y ? x < y : a < b
    case (_?, nil): true
    case (nil, _?): false
    case (nil, nil): a < b
    }
}
