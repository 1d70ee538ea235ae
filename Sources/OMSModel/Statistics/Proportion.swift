/// Clicks among impressions, and what they say about the rate behind them.
package struct Proportion: Hashable, Sendable {
    package var trials: Int
    package var successes: Int

    package init(trials: Int, successes: Int) {
        self.trials = trials
        self.successes = successes
    }

    /// 0 when there was no trial.
    package var rate: Double { trials == 0 ? 0 : Double(successes) / Double(trials) }

    /// Wilson's score interval (1927). Unlike the Wald interval it holds at small counts and at 0 successes.
    package func wilson(z: Double) -> ClosedRange<Double> {
        guard trials > 0 else { return 0...1 }
        let n = Double(trials)
        let centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)).squareRoot()
        // At 0 or n successes the bound is 0 or 1 exactly; rounding must not turn it into 1e-19.
        let low = successes == 0 ? 0 : max(0, centre - half)
        let high = successes == trials ? 1 : min(1, centre + half)
        return low...high
    }
}

/// Two independent proportions compared.
package struct ProportionComparison: Hashable, Sendable {
    package var control: Proportion
    package var treatment: Proportion

    package init(control: Proportion, treatment: Proportion) {
        self.control = control
        self.treatment = treatment
    }

    package var difference: Double { treatment.rate - control.rate }

    /// The pooled z statistic; nil when nothing varies (no trial in an arm, or all or none succeeded in both).
    package var z: Double? {
        let (n1, n2) = (Double(control.trials), Double(treatment.trials))
        guard n1 > 0, n2 > 0 else { return nil }
        let pooled = Double(control.successes + treatment.successes) / (n1 + n2)
        let variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2)
        return variance > 0 ? difference / variance.squareRoot() : nil
    }

    /// Two-sided; 1 when nothing varies: then there is no evidence of a difference.
    package var pValue: Double { z.map(Normal.twoSided) ?? 1 }

    /// Newcombe's hybrid score interval for the difference (1998, method 10), built from the two Wilson intervals.
    package func newcombe(z: Double) -> ClosedRange<Double> {
        let (a, b) = (control.wilson(z: z), treatment.wilson(z: z))
        let (pa, pb) = (control.rate, treatment.rate)
        let below = ((pb - b.lowerBound) * (pb - b.lowerBound) + (a.upperBound - pa) * (a.upperBound - pa)).squareRoot()
        let above = ((b.upperBound - pb) * (b.upperBound - pb) + (pa - a.lowerBound) * (pa - a.lowerBound)).squareRoot()
        return (difference - below)...(difference + above)
    }
}
