import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

private func branch(_ provider: ProviderID, _ position: Int, _ outputs: JSONObject) -> Branch {
    Branch(
        provider: provider, position: position, job: JobID(time: at(0).wall, of: provider.text), state: .succeeded,
        outputs: outputs)
}

private func outcomes(_ merged: Merged) -> [ProviderContribution.Outcome] { merged.providers.map(\.outcome) }

@Suite("Merging")
struct MergeTests {
    private func union(_ conflict: MergeRule.Conflict, by: String? = nil) -> MergeRule {
        var rule = MergeRule(strategy: .union)
        rule.key = ["id"]
        rule.conflict = conflict
        rule.by = by
        return rule
    }

    private let old: JSONValue = ["id": 1, "at": "2026-01-01T00:00:00Z", "score": 9, "from": "a"]
    private let new: JSONValue = ["id": 1, "at": "2026-01-02T00:00:00+02:00", "score": 5, "from": "b"]
    private let other: JSONValue = ["id": 0, "from": "b"]

    @Test("concat keeps the plan's order, not that of arrival")
    func concat() {
        let branches = [branch("b", 1, ["records": ["value": [3]]]), branch("a", 0, ["records": ["value": [1, 2]]])]
        let merged = Merger.merge(branches, by: MergeRule(strategy: .concat))
        #expect(merged.outputs == ["records": ["value": [1, 2, 3]]])
        #expect(merged.providers.map(\.provider) == ["a", "b"])
        #expect(Merger.merge(branches, by: MergeRule(strategy: .concat, top: 1)).outputs == ["records": ["value": [1]]])
    }

    @Test("union has each key once, sorted; the rule decides between two records of one key")
    func union() {
        let branches = [
            branch("a", 0, ["records": ["value": .array([old])]]),
            branch("b", 1, ["records": ["value": .array([new, other])]]),
        ]
        for (conflict, by, winner) in [
            (.preferOrder, nil, old), (.newest, "at", new), (.largest, "score", old),
        ] as [(MergeRule.Conflict, String?, JSONValue)] {
            let merged = Merger.merge(branches, by: union(conflict, by: by))
            #expect(merged.outputs == ["records": ["value": .array([other, winner])]], "\(conflict)")
            #expect(merged.state == .succeeded)
        }
        let failed = Merger.merge(branches, by: union(.error))
        #expect(failed.state == .failed && failed.outputs.isEmpty)
        #expect(failed.error?.detail == "a and b have different records of key 1 (merge.conflict: error)")
        #expect(
            Merger.merge([branches[0], branch("b", 1, branches[0].outputs)], by: union(.error)).state == .succeeded)
    }

    @Test("what does not have the form of the rule is failed, named and left out")
    func faults() {
        let branches = [
            branch("a", 0, ["records": ["value": .array([old])]]), branch("b", 1, ["records": ["value": [["x": 1]]]]),
            branch("c", 2, ["records": ["value": 7]]), branch("d", 3, [:]),
        ]
        let merged = Merger.merge(branches, by: union(.preferOrder))
        #expect(outcomes(merged) == [.used, .failed, .failed, .failed])
        #expect(
            merged.providers.dropFirst().map { $0.error?.detail } == [
                "record 0 of output 'records' has no 'id'", "output 'records' is no list",
                "there is no output 'records' to merge",
            ])
        #expect(merged.state == .partial)
    }

    @Test("majority needs more than half of the votes and shows them")
    func majority() {
        func vote(_ values: [JSONValue], _ weights: [ProviderID: Double]? = nil) -> Merged {
            var rule = MergeRule(strategy: .majority, output: "answer")
            rule.weights = weights
            let names: [ProviderID] = ["a", "b", "c", "d"]
            return Merger.merge(
                values.enumerated().map { branch(names[$0], $0, ["answer": ["value": $1]]) }, by: rule)
        }
        let merged = vote(["x", "y", "y"])
        #expect(merged.outputs["answer"] == ["value": "y"])
        #expect(outcomes(merged) == [.unused, .used, .used])
        #expect(vote(["x", "y"]).error?.detail == "no majority for output 'answer': a 1.0 against b 1.0")
        #expect(vote(["x", "y", "y"], ["a": 3]).outputs["answer"] == ["value": "x"])
        #expect(vote([["k": 1], ["k": 1], ["k": 2]]).outputs["answer"] == ["value": ["k": 1]])
    }

    @Test("mean of numbers and of objects, weighted")
    func mean() {
        var rule = MergeRule(strategy: .mean, output: "rate")
        rule.weights = ["b": 3]
        let numbers = [branch("a", 0, ["rate": ["value": 1]]), branch("b", 1, ["rate": ["value": 2.0]])]
        #expect(Merger.merge(numbers, by: rule).outputs == ["rate": ["value": 1.75]])
        let objects = [
            branch("a", 0, ["rate": ["value": ["x": 1, "y": 4]]]), branch("b", 1, ["rate": ["value": ["x": 5]]]),
            branch("c", 2, ["rate": ["value": "high"]]), branch("d", 3, ["rate": ["value": 9]]),
        ]
        let merged = Merger.merge(objects, by: rule)
        #expect(merged.outputs == ["rate": ["value": ["x": 4.0, "y": 4.0]]])
        #expect(outcomes(merged) == [.used, .used, .failed, .failed])
    }

    @Test("best takes the best objective that keeps every constraint")
    func best() {
        var rule = MergeRule(strategy: .best)
        rule.objective = "revenue"
        rule.require = [MergeRule.Constraint(output: "latency", atMost: 100)]
        let branches = [
            branch("a", 0, ["revenue": ["value": 9], "latency": ["value": 200]]),
            branch("b", 1, ["revenue": ["value": 5], "latency": ["value": 100], "plan": ["href": "s3://b"]]),
            branch("c", 2, ["revenue": ["value": 5], "latency": ["value": 1]]),
            branch("d", 3, ["revenue": ["value": "much"]]), branch("e", 4, ["revenue": ["value": 99]]),
        ]
        let merged = Merger.merge(branches, by: rule)
        #expect(merged.outputs == branches[1].outputs, "equal ones by the plan's order")
        #expect(outcomes(merged) == [.unused, .used, .unused, .failed, .failed])
        rule.goal = .minimise
        rule.require = nil
        #expect(Merger.merge(branches, by: rule).outputs == branches[1].outputs)
        rule.require = [MergeRule.Constraint(output: "latency", atLeast: 500)]
        #expect(
            Merger.merge(Array(branches.prefix(3)), by: rule).error?.detail
                == "no provider keeps the constraints: a: latency is 200.0; b: latency is 100.0; c: latency is 1.0")
    }

    @Test("pooled proportions are the test on the added counts")
    func pooled() throws {
        func arms(_ n1: Int64, _ c1: Int64, _ n2: Int64, _ c2: Int64) -> JSONObject {
            [
                "control": ["value": ["n": .int(n1), "clicks": .int(c1)]],
                "treatment": ["value": ["n": .int(n2), "clicks": .int(c2)]],
            ]
        }
        let rule = MergeRule(strategy: .pooledProportions)
        let merged = Merger.merge(
            [
                branch("a", 0, arms(6_000, 20, 4_000, 25)), branch("b", 1, arms(4_000, 26, 6_000, 44)),
                branch("c", 2, arms(10, 11, 10, 1)),
            ], by: rule)
        // Once at one place: 46 of 10,000 against 69 of 10,000; the p-value by scipy 1.17, 2 * norm.sf(z).
        #expect(merged.outputs["control"]?["value"]?["clicks"] == 46)
        #expect(abs((merged.outputs["z"]?["value"]?.doubleValue ?? 0) - 2.150953966746057) < 1e-12)
        #expect(abs((merged.outputs["p_value"]?["value"]?.doubleValue ?? 0) - 0.031479833275892294) < 1e-12)
        #expect(merged.outputs["verdict"] == ["value": "treatment-better"])
        #expect(outcomes(merged) == [.used, .used, .failed], "more successes than trials")
        let whole = Merger.merge([branch("a", 0, arms(10_000, 46, 10_000, 69))], by: rule)
        #expect(whole.outputs.filter { $0.key != "parts" } == merged.outputs.filter { $0.key != "parts" })
    }

    @Test("what is given by reference stays where it is: the result names the parts")
    func references() {
        let branches = [
            branch("a", 0, ["records": ["href": "s3://in/a", "bytes": 9, "sha256": "aa"]]),
            branch("b", 1, ["records": ["value": [1]]]), branch("c", 2, [:]),
        ]
        let merged = Merger.merge(branches, by: union(.newest, by: "at"))
        let part: JSONValue = ["href": "s3://in/a", "bytes": 9, "sha256": "aa", "provider": "a"]
        #expect(merged.outputs["records"]?["manifest"] == .array([part, ["value": [1], "provider": "b"]]))
        #expect(merged.outputs["records"]?["merge"]?["conflict"] == "newest")
        #expect(outcomes(merged) == [.used, .used, .failed])
    }

    @Test("a result too large for a message names the jobs that have the parts")
    func tooLarge() {
        let text = JSONValue.string(String(repeating: "x", count: 30_000))
        let branches = (0..<4).map { branch(["a", "b", "c", "d"][$0], $0, ["records": ["value": .array([text])]]) }
        let merged = Merger.merge(branches, by: MergeRule(strategy: .concat))
        #expect(merged.outputs["records"]?["manifest"]?.arrayValue?.compactMap { $0["job"]?.stringValue }.count == 4)
        #expect(JSONValue.object(merged.outputs).encodedBytes < 2_000)
        #expect(merged.state == .succeeded)
    }
}

@Suite("Every strategy")
struct MergeProperties {
    private static func rule(_ strategy: MergeRule.Strategy, _ generator: inout SplitMix64) -> MergeRule {
        var rule = MergeRule(strategy: strategy)
        switch strategy {
        case .first, .concat, .reciprocalRankFusion, .pooledProportions: break
        case .union:
            rule.key = ["id"]
            rule.conflict = MergeRule.Conflict.allCases.randomElement(using: &generator)
            rule.by = rule.conflict == .newest ? "at" : "score"
        case .majority: rule.output = "number"
        case .mean:
            rule.output = "number"
            rule.weights = ["a": Double.random(in: 0.1...9, using: &generator)]
        case .best:
            rule.objective = "number"
            rule.require = [MergeRule.Constraint(output: "other", atLeast: 2)]
        }
        return rule
    }

    /// Few different values, so that keys collide, votes tie and objectives are equal; some of a wrong form.
    private static func outputs(_ generator: inout SplitMix64) -> JSONObject {
        func number() -> JSONValue {
            Int.random(in: 0..<12, using: &generator) == 0
                ? "none" : .double(Double(Int.random(in: 0..<4, using: &generator)) / 3)
        }
        func small() -> JSONValue { .int(Int64.random(in: 0..<5, using: &generator)) }
        let records = (0..<Int.random(in: 0..<6, using: &generator)).map { _ in
            [
                "id": small(), "score": number(), "x": small(),
                "at": .string("2026-01-0\(Int.random(in: 1...3, using: &generator))T00:00:00Z"),
            ] as JSONValue
        }
        return [
            "records": ["value": .array(records)], "number": ["value": number()], "other": ["value": small()],
            "ranking": ["value": .array((0..<6).map { _ in ["item": small()] })],
            "control": ["value": ["n": 100, "clicks": small()]],
            "treatment": ["value": ["n": 120, "clicks": small()]],
        ]
    }

    private static func branches(_ generator: inout SplitMix64) -> [Branch] {
        (["c", "a", "b", "e", "d"] as [ProviderID]).enumerated().map { position, provider in
            let states: [JobState?] = [.succeeded, .succeeded, .succeeded, .failed, .running, .stopped, nil]
            let state = states.randomElement(using: &generator) ?? nil
            return Branch(
                provider: provider, position: position, state: state,
                outputs: state == .succeeded ? outputs(&generator) : [:],
                isExpected: state == .running && Bool.random(using: &generator))
        }
    }

    @Test(
        "is order-free, idempotent, and names every provider exactly once", arguments: MergeRule.Strategy.allCases)
    func properties(strategy: MergeRule.Strategy) {
        var generator = SplitMix64(seed: 11)
        var states: Set<RunRecord.State> = []
        for _ in 0..<400 {
            let rule = Self.rule(strategy, &generator)
            let branches = Self.branches(&generator)
            let merged = Merger.merge(branches, by: rule)
            states.insert(merged.state)
            #expect(Merger.merge(branches.shuffled(using: &generator), by: rule) == merged)
            let doubled = branches + branches.shuffled(using: &generator).prefix(3)
            #expect(Merger.merge(doubled.shuffled(using: &generator), by: rule) == merged)
            // Told before it had ended, and again when it had.
            let early = branches.filter { $0.state == .succeeded }.map {
                Branch(provider: $0.provider, position: $0.position, state: .running)
            }
            #expect(Merger.merge(early + branches, by: rule) == merged)
            #expect(merged.providers.map(\.provider) == ["c", "a", "b", "e", "d"])
            #expect(merged.providers.contains { $0.outcome == .used } == (merged.state != .failed))
            for (branch, contribution) in zip(branches, merged.providers) {
                switch contribution.outcome {
                case .used, .unused: #expect(branch.state == .succeeded)
                case .late: #expect(branch.isExpected)
                case .missing: #expect(branch.state?.isTerminal != true)
                case .failed: #expect(branch.state?.isTerminal == true)
                }
            }
        }
        #expect(states == [.succeeded, .partial, .failed] || strategy == .best && states.count >= 2)
    }
}
