import OMSModel
import Testing

@testable import ReferenceProvider

/// recommend and optimise on the real logs.
@Suite struct AnalysisTests {
    @Test func optimiseFindsTheKnownFiguresOfBothCampaigns() throws {
        let provider = try TestProvider()
        for campaign in ["men", "women"] {
            for policy in ["random", "bts"] {
                _ = try provider.run(harvest("\(campaign)-\(policy).csv.gz", source: policy, store: "\(campaign).db"))
            }
        }
        let arms: JSONObject = ["control": "random", "treatment": "bts"]
        let men = try provider.run(analysis("optimise", store: "men.db", arms))
        #expect(men.output("control")?["clicks"] == 46)
        #expect(men.output("treatment")?["clicks"] == 69)
        #expect(men.output("treatment")?["n"] == 10_000)
        // scipy.stats.chi2_contingency without correction: 0.03147983327589227
        #expect(abs((men.output("p_value")?.doubleValue ?? 0) - 0.03147983327589227) < 1e-12)
        #expect(men.output("verdict") == "treatment-better")
        let strict = try provider.run(analysis("optimise", store: "men.db", arms.merging(["alpha": 0.01]) { $1 }))
        #expect(strict.output("verdict") == "no-difference-shown")
        let swapped = try provider.run(
            analysis("optimise", store: "men.db", ["control": "bts", "treatment": "random"]))
        #expect(swapped.output("verdict") == "control-better")
        let women = try provider.run(analysis("optimise", store: "women.db", arms))
        #expect(women.output("control")?["clicks"] == 46)
        #expect(women.output("treatment")?["clicks"] == 46)
        #expect(women.output("p_value")?.doubleValue == 1)
        #expect(women.output("verdict") == "no-difference-shown")
        let unknown = try provider.run(
            analysis("optimise", store: "men.db", ["control": "random", "treatment": "new"]))
        #expect(unknown.error?.slug == "input-unavailable")
        #expect(unknown.error?.detail?.contains("'new'") == true)
    }

    @Test func methodsRankTheRealLogsDifferentlyAndAlwaysTheSame() throws {
        let provider = try TestProvider()
        _ = try provider.run(harvest("men-bts.csv.gz", source: "bts"))
        _ = try provider.run(harvest("men-random.csv.gz", source: "random"))
        func ranking(_ parameters: JSONObject) throws -> [JSONValue] {
            let job = try provider.run(analysis("recommend", parameters))
            return job.output("ranking")?.arrayValue ?? []
        }
        func items(_ ranking: [JSONValue]) -> [String] { ranking.compactMap { $0["item"]?.stringValue } }
        // Python: the same formulas with numpy over the same files.
        let bayes = try ranking(["sources": ["bts"], "top": 8])
        #expect(items(bayes) == ["17", "27", "13", "14", "3", "12", "21", "0"])
        let wilson = try ranking(["sources": ["bts"], "top": 8, "method": "wilson"])
        #expect(items(wilson) == ["17", "13", "27", "0", "14", "3", "23", "31"])
        let snips = try ranking(["sources": ["bts"], "top": 8, "method": "snips"])
        #expect(snips != bayes)
        #expect(items(snips).prefix(2) == ["17", "27"])
        #expect(try ranking(["sources": ["bts"], "top": 8, "method": "snips"]) == snips)
        // scipy/numpy: prior strength 9608.658466493274, posterior means of the best three
        let random = try ranking(["sources": ["random"], "top": 3])
        #expect(items(random) == ["0", "30", "33"])
        let scores = random.compactMap { $0["score"]?.doubleValue }
        for (score, expected) in zip(scores, [0.004878200082446081, 0.004874746544817041, 0.004770233263300998]) {
            #expect(abs(score - expected) < 1e-12)
        }
        let segment: JSONValue = ["user_feature_0": "81ce123cbb5bd8ce818f60fb3586bba5"]
        let part = try provider.run(analysis("recommend", ["sources": ["random"], "segment": segment]))
        #expect(part.output("impressions") == 1316)
        #expect(part.output("clicks") == 3)
        #expect(part.output("ranking")?.arrayValue?.count == 10)
        let stray = try provider.run(analysis("recommend", ["sources": ["random"], "segment": ["age": "7"]]))
        #expect(stray.error?.detail?.contains("'age'") == true)
    }

    // numpy.average(clicks, weights=1/propensity) of item 17 in men-bts, and Kish's effective size
    @Test func snipsWeighsByTheInverseOfThePropensity() throws {
        var statistics = ItemStatistics()
        statistics.add(Impression(source: "s", item: "a", click: true, propensity: 0.5))
        statistics.add(Impression(source: "s", item: "a", click: false, propensity: 0.1))
        let item = try #require(statistics.items["a"])
        #expect(abs(item.snips - 2.0 / 12) < 1e-15)
        #expect(abs(item.effectiveSize - 144.0 / 104) < 1e-12)
    }

    @Test func equalScoresStandInTheOrderOfTheItems() {
        var statistics = ItemStatistics()
        for item in ["10", "b", "9", "a"] { statistics.add(Impression(source: "s", item: item, click: false)) }
        #expect(statistics.ranking(by: .wilson).map(\.item) == ["9", "10", "a", "b"])
    }

    @Test func anAnalysisBeforeTheHarvestIsInputUnavailable() throws {
        let provider = try TestProvider()
        let noStore = try provider.run(analysis("optimise", ["control": "a", "treatment": "b"]))
        #expect(noStore.error?.slug == "input-unavailable")
        _ = try provider.run(harvest("men-items.csv", table: "items"))
        let noTable = try provider.run(analysis("recommend", ["sources": ["a"]]))
        #expect(noTable.error?.detail?.contains("no table 'log'") == true)
        let noColumn = try provider.run(analysis("recommend", ["sources": ["a"], "table": "items"]))
        #expect(noColumn.error?.detail?.contains("'click'") == true)
    }
}
