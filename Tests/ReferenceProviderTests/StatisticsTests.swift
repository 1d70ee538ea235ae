import OMSModel
import Testing

@testable import ReferenceProvider

private func near(_ a: Double, _ b: Double, _ tolerance: Double = 1e-12) -> Bool {
    abs(a - b) <= tolerance * max(1, abs(b))
}

@Suite struct StatisticsTests {
    // scipy 1.17: norm.cdf(z), norm.ppf(q), 2 * norm.sf(8.5)
    @Test func theNormalDistributionAgreesWithScipyAlsoInTheTail() {
        #expect(Normal.cumulative(0) == 0.5)
        #expect(near(Normal.cumulative(1.96), 0.9750021048517795))
        #expect(near(Normal.cumulative(-1), 0.15865525393145707))
        #expect(abs(Normal.cumulative(-8) / 6.22096057427174e-16 - 1) < 1e-10)
        #expect(abs(Normal.twoSided(8.5) / 1.89590696444065e-17 - 1) < 1e-10)
        #expect(near(Normal.quantile(0.975), 1.959963984540054))
        #expect(near(Normal.quantile(0.995), 2.5758293035489004))
    }

    // scipy 1.17: binomtest(k, n).proportion_ci(0.95, 'wilson')
    @Test(arguments: [
        (46, 10_000, 0.0034506598701977893, 0.006129805715468582),
        (69, 10_000, 0.005456205431184982, 0.008722493761976277),
        (0, 10, 0.0, 0.27753279986288926), (10, 10, 0.7224672001371109, 1.0),
        (1, 3, 0.06149194472039626, 0.7923403991979523),
    ])
    func wilsonIntervalsAgreeWithScipy(successes: Int, trials: Int, low: Double, high: Double) {
        let interval = Proportion(trials: trials, successes: successes).wilson(z: Normal.quantile(0.975))
        #expect(near(interval.lowerBound, low))
        #expect(near(interval.upperBound, high))
    }

    @Test func withoutTrialsEveryRateIsPossible() {
        #expect(Proportion(trials: 0, successes: 0).wilson(z: 1.96) == 0...1)
    }

    // z and p by hand with numpy; p also by scipy.stats.chi2_contingency([[46, 9954], [69, 9931]], correction=False)
    @Test func thePooledTestAgreesWithScipysChiSquared() {
        let men = ProportionComparison(
            control: Proportion(trials: 10_000, successes: 46), treatment: Proportion(trials: 10_000, successes: 69))
        #expect(near(men.z ?? 0, 2.1509539667460573))
        #expect(near(men.pValue, 0.03147983327589227))
        let swapped = ProportionComparison(control: men.treatment, treatment: men.control)
        #expect(near(swapped.z ?? 0, -2.1509539667460573))
        #expect(swapped.pValue == men.pValue)
    }

    @Test func equalArmsAndArmsWithoutSuccessGiveNoEvidence() {
        let arm = Proportion(trials: 10_000, successes: 46)
        #expect(ProportionComparison(control: arm, treatment: arm).pValue == 1)
        let none = Proportion(trials: 100, successes: 0)
        #expect(ProportionComparison(control: none, treatment: none).z == nil)
        #expect(ProportionComparison(control: none, treatment: none).pValue == 1)
    }

    // Newcombe 1998, Statistics in Medicine 17, Table II example (a), method 10: 56/70 - 48/80 is 0.0524 to 0.3339
    @Test func newcombesIntervalAgreesWithHisPaper() {
        let comparison = ProportionComparison(
            control: Proportion(trials: 80, successes: 48), treatment: Proportion(trials: 70, successes: 56))
        let interval = comparison.newcombe(z: Normal.quantile(0.975))
        #expect(near(interval.lowerBound, 0.0524, 5e-5))
        #expect(near(interval.upperBound, 0.3339, 5e-5))
    }

    // The formula of Kleinman 1973 in numpy: sizes 100, 200, 300, rates .1, .3, .2
    @Test func theBetaPriorAgreesWithNumpy() {
        let prior = BetaPrior(fitting: [(0.1, 100), (0.3, 200), (0.2, 300)])
        #expect(near(prior.mean, 0.21666666666666667))
        #expect(near(prior.strength, 23.81747976535234, 1e-9))
        #expect(near(prior.posteriorMean(rate: 0.1, size: 0), prior.mean))
    }

    @Test func itemsThatDifferByChanceOnlyAreShrunkHardButKeepTheirOrder() {
        let prior = BetaPrior(fitting: [(0.10, 1000), (0.101, 1000)])
        #expect(prior.strength == 2000)
        #expect(prior.posteriorMean(rate: 0.101, size: 1000) > prior.posteriorMean(rate: 0.10, size: 1000))
    }

    @Test func noDataGiveNoPrior() {
        #expect(BetaPrior(fitting: []).posteriorMean(rate: 0, size: 0) == 0)
        #expect(BetaPrior(fitting: [(0, 10), (0, 20)]).posteriorMean(rate: 0, size: 10) == 0)
    }
}
