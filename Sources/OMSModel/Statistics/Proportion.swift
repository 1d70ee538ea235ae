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

    /// 1 - rate, without what is lost where the rate is nearly 1.
    package var failureRate: Double { trials == 0 ? 1 : Double(trials - successes) / Double(trials) }

    /// Wilson's score interval (1927). Unlike the Wald interval it holds at small counts and at 0 successes.
    package func wilson(z: Double) -> ClosedRange<Double> {
        guard trials > 0 else { return 0...1 }
        let n = Double(trials)
        let centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (rate * failureRate / n + z * z / (4 * n * n)).squareRoot()
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

    /// Computed on whole numbers: two rates near 1 would lose their difference in the rounding.
    package var difference: Double {
        guard control.trials > 0, treatment.trials > 0 else { return treatment.rate - control.rate }
        let above =
            Int128(treatment.successes) * Int128(control.trials) - Int128(control.successes) * Int128(treatment.trials)
        return Double(above) / (Double(control.trials) * Double(treatment.trials))
    }

    /// The pooled z statistic; nil when nothing varies (no trial in an arm, or all or none succeeded in both).
    package var z: Double? {
        let (n1, n2) = (Double(control.trials), Double(treatment.trials))
        guard n1 > 0, n2 > 0 else { return nil }
        let failures = (control.trials - control.successes) + (treatment.trials - treatment.successes)
        let variance =
            Double(control.successes + treatment.successes) / (n1 + n2) * (Double(failures) / (n1 + n2))
            * (1 / n1 + 1 / n2)
        return variance > 0 ? difference / variance.squareRoot() : nil
    }

    /// Two-sided; 1 when nothing varies: then there is no evidence of a difference.
    package var pValue: Double { z.map(Normal.twoSided) ?? 1 }

    /// How likely a split of the trials is that differs from `share` for the treatment at least as much as this one
    /// (sample ratio mismatch): two-sided, by the normal approximation. 1 when there was no trial.
    package func splitPValue(share: Double) -> Double {
        let total = Double(control.trials) + Double(treatment.trials)
        guard total > 0, share > 0, share < 1 else { return 1 }
        let excess = Double(treatment.trials) - total * share
        return Normal.twoSided(excess / (total * share * (1 - share)).squareRoot())
    }

    /// Newcombe's hybrid score interval for the difference (1998, method 10), built from the two Wilson intervals.
    package func newcombe(z: Double) -> ClosedRange<Double> {
        let (a, b) = (control.wilson(z: z), treatment.wilson(z: z))
        let (pa, pb) = (control.rate, treatment.rate)
        let below = ((pb - b.lowerBound) * (pb - b.lowerBound) + (a.upperBound - pa) * (a.upperBound - pa)).squareRoot()
        let above = ((b.upperBound - pb) * (b.upperBound - pb) + (pa - a.lowerBound) * (pa - a.lowerBound)).squareRoot()
        return (difference - below)...(difference + above)
    }
}
