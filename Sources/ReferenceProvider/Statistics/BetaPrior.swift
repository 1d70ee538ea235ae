/// A Beta distribution of rates over items, fitted to the items themselves (empirical Bayes).
struct BetaPrior: Hashable {
    /// The mean of the rates, a / (a + b).
    var mean: Double
    /// a + b: how many impressions the prior weighs.
    var strength: Double

    /// Fits by the method of moments for unequal sample sizes (Kleinman 1973), with each item weighted by its size.
    ///
    /// The moment estimate of the spread between items can be zero or negative: the items differ no more than chance
    /// explains (so it is in three of the four example logs). Then every item would get the same estimate and no
    /// ranking would exist, so the prior is capped at the weight of all data together: it shrinks hard, but the order
    /// of the evidence stays.
    ///
    /// - Parameter items: Rate and (effective) sample size of each.
    init(fitting items: [(rate: Double, size: Double)]) {
        let items = items.filter { $0.size > 0 }
        let total = items.reduce(0) { $0 + $1.size }
        guard total > 0 else {
            mean = 0
            strength = 0
            return
        }
        let mean = items.reduce(0) { $0 + $1.rate * $1.size } / total
        self.mean = mean
        let chance = mean * (1 - mean)
        let spread = items.reduce(0) { $0 + $1.size * ($1.rate - mean) * ($1.rate - mean) }
        let freedom = Double(items.count - 1)
        let weight = total - items.reduce(0) { $0 + $1.size * $1.size } / total - freedom
        guard chance > 0, weight > 0 else {
            strength = total
            return
        }
        /// The correlation within an item, 1 / (a + b + 1).
        let correlation = (spread - chance * freedom) / (chance * weight)
        strength = correlation > 0 ? min(total, max(0, 1 / correlation - 1)) : total
    }

    /// The mean of the posterior after a sample of this rate and size.
    func posteriorMean(rate: Double, size: Double) -> Double {
        size + strength == 0 ? mean : (rate * size + mean * strength) / (size + strength)
    }
}
