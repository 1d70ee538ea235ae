import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// Values at the edges, as providers send them.
@Suite("Merging odd values")
struct MergeEdgeTests {
    private static let names: [ProviderID] = ["a", "b", "c", "d"]

    private func merge(_ rule: MergeRule, _ outputs: [JSONValue]) -> Merged {
        Merger.merge(
            outputs.enumerated().map { position, output in
                Branch(
                    provider: Self.names[position], position: position, state: .succeeded,
                    outputs: output.objectValue ?? [:])
            }, by: rule)
    }

    private func mean(_ values: [JSONValue], _ weights: [ProviderID: Double]? = nil) -> Merged {
        var rule = MergeRule(strategy: .mean, output: "x")
        rule.weights = weights
        return merge(rule, values.map { ["x": ["value": $0]] })
    }

    // MARK: Numbers

    @Test("the mean of great numbers is finite and lies between them")
    func great() {
        let great = Double.greatestFiniteMagnitude
        #expect(mean([.double(1.7e308), .double(1.7e308)]).outputs["x"] == ["value": .double(1.7e308)])
        #expect(mean([.double(great), .double(great), .double(great)]).outputs["x"] == ["value": .double(great)])
        #expect(mean([.double(great), .double(-great)]).outputs["x"]?["value"]?.doubleValue == 0)
        let weighted = mean([.double(great), 0], ["a": 1e6, "b": 1e6]).outputs["x"]?["value"]?.doubleValue
        #expect(weighted == great / 2)
        #expect(mean([["y": .double(great)], ["y": .double(great)]]).outputs["x"] == ["value": ["y": .double(great)]])
    }

    @Test("whatever numbers come, what goes out is finite", arguments: MergeRule.Strategy.allCases)
    func finite(strategy: MergeRule.Strategy) {
        var generator = SplitMix64(seed: 5)
        let numbers: [Double] = [
            0, -0.0, 1, 1.7e308, -1.7e308, .leastNonzeroMagnitude, 1e300, 0x1p53, 1e18, -1,
        ]
        func number() -> JSONValue {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: .int([.max, .min, 0, 1, 1 << 53, -1].randomElement(using: &generator) ?? 0)
            default: .double(numbers.randomElement(using: &generator) ?? 0)
            }
        }
        for _ in 0..<500 {
            var rule = MergeRule(strategy: strategy, output: "x")
            rule.weights = ["a": 1e6, "b": .leastNonzeroMagnitude]
            (rule.key, rule.objective, rule.by, rule.conflict) = (["id"], "x", "id", .largest)
            if strategy == .best { rule.require = [.init(output: "y", atMost: 1e300)] }
            let outputs = (0..<4).map { _ -> JSONValue in
                [
                    "x": [
                        "value": strategy == .mean || strategy == .best
                            ? number() : [["id": number()], ["item": number()]]
                    ],
                    "y": ["value": number()], "control": ["value": ["n": number(), "clicks": number()]],
                    "treatment": ["value": ["n": number(), "clicks": number()]],
                ]
            }
            let merged = merge(rule, outputs)
            #expect(Self.isFinite(.object(merged.outputs)), "\(outputs) \(merged)")
        }
    }

    private static func isFinite(_ value: JSONValue) -> Bool {
        switch value {
        case .double(let number): number.isFinite
        case .array(let items): items.allSatisfy(isFinite)
        case .object(let members): members.values.allSatisfy(isFinite)
        default: true
        }
    }

    @Test("best and largest compare whole numbers exactly")
    func exact() {
        var rule = MergeRule(strategy: .best)
        rule.objective = "x"
        let (low, high): (Int64, Int64) = (9_007_199_254_740_992, 9_007_199_254_740_993)
        let merged = merge(rule, [["x": ["value": .int(low)]], ["x": ["value": .int(high)]]])
        #expect(merged.outputs["x"] == ["value": .int(high)])
        rule = MergeRule(strategy: .union)
        (rule.key, rule.conflict, rule.by) = (["id"], .largest, "v")
        let records = [low, high].map { ["records": ["value": [["id": 1, "v": .int($0)]]]] as JSONValue }
        #expect(merge(rule, records).outputs["records"] == ["value": [["id": 1, "v": .int(high)]]])
    }

    @Test("one order for all values, whatever the order they are sorted from")
    func order() {
        let values: [JSONValue] = [
            .int(.max), .int(.max - 1), .double(9.223372036854775807e18), 1, 2, .double(1.5), "a", "b", "é", "e\u{301}",
            "",
            true, false, .null, ["a\",\"b"], ["a", "b"], ["x": 1], ["x": ["y": 1]], [:], [],
        ]
        var generator = SplitMix64(seed: 3)
        let sorted = values.sorted(by: MergeOrder.precedes).map { $0.text() }
        for _ in 0..<200 {
            #expect(
                values.shuffled(using: &generator).sorted(by: MergeOrder.precedes).map { $0.text() } == sorted)
        }
    }

    // MARK: Texts

    @Test("two spellings of one letter, and two ids of twenty digits, stay two: in every strategy")
    func spellings() throws {
        let (nfc, nfd) = ("caf\u{E9}", "cafe\u{301}")
        var rule = MergeRule(strategy: .union)
        rule.key = ["id"]
        let pairs: [(JSONValue, JSONValue)] = [
            (.string(nfc), .string(nfd)),
            (
                try #require(JSONValue(number: "12345678901234567890")),
                try #require(JSONValue(number: "12345678901234567891"))
            ),
        ]
        for (one, two) in pairs {
            let records = [one, two].map { ["records": ["value": [["id": $0]]]] as JSONValue }
            #expect(merge(rule, records).outputs["records"]?["value"]?.arrayValue?.count == 2)
            #expect(merge(rule, [records[0], records[0]]).outputs["records"]?["value"]?.arrayValue?.count == 1)
            let votes = merge(MergeRule(strategy: .majority, output: "x"), [one, two].map { ["x": ["value": $0]] })
            #expect(votes.state == .failed)
            let lists = [one, two].map { ["ranking": ["value": [["item": $0]]]] as JSONValue }
            let ranking = merge(MergeRule(strategy: .reciprocalRankFusion, top: 9), lists).outputs["ranking"]?["value"]
            #expect(
                ranking?.arrayValue?.compactMap { $0["item"] } == [one, two].sorted(by: MergeOrder.precedes),
                "in a fixed order")
        }
        let means = mean([.object([nfc: 1]), .object([nfd: 3])]).outputs["x"]?["value"]?.objectValue
        #expect(means?.count == 2 && means?[nfc] == 1 && means?[nfd] == 3)
    }

    // MARK: Reciprocal rank fusion

    @Test("permuted ranks are a tie, which the item breaks")
    func ties() {
        // Where an item has rank r, others have the places before it.
        func list(_ places: [String: Int], _ filler: String) -> JSONValue {
            let length = places.values.max() ?? 0
            let items = (1...length).map { place -> JSONValue in
                ["item": .string(places.first { $0.value == place }?.key ?? "\(filler)\(place)")]
            }
            return ["ranking": ["value": .array(items)]]
        }
        var unequal = 0
        for a in 1...12 {
            for b in (a + 1)...13 {
                for c in (b + 1)...14 {
                    let (x, y) = ([a, b, c], [b, c, a])
                    let merged = merge(
                        MergeRule(strategy: .reciprocalRankFusion),
                        (0..<3).map { list(["x": x[$0], "y": y[$0]], "f\($0)") })
                    let ranking = merged.outputs["ranking"]?["value"]?.arrayValue ?? []
                    let scores = ranking.filter { ["x", "y"].contains($0["item"]) }
                    guard scores.count == 2 else { continue }
                    if scores[0]["score"] != scores[1]["score"] || scores[0]["item"] != "x" { unequal += 1 }
                    let plain = x.reduce(0.0) { $0 + 1 / Double(60 + $1) }
                    #expect(abs((scores[0]["score"]?.doubleValue ?? 0) - plain) < 1e-15)
                }
            }
        }
        #expect(unequal == 0)
    }

    // MARK: A/B tests

    private func arms(_ n1: Int64, _ c1: Int64, _ n2: Int64, _ c2: Int64) -> JSONValue {
        [
            "control": ["value": ["n": .int(n1), "clicks": .int(c1)]],
            "treatment": ["value": ["n": .int(n2), "clicks": .int(c2)]],
        ]
    }

    private func pooled(_ parts: [JSONValue], split: Double? = nil) -> JSONObjectOf {
        var rule = MergeRule(strategy: .pooledProportions)
        rule.split = split
        return JSONObjectOf(merge(rule, parts))
    }

    /// The values of the outputs.
    private struct JSONObjectOf {
        let merged: Merged
        init(_ merged: Merged) { self.merged = merged }
        subscript(name: String) -> JSONValue? { merged.outputs[name]?["value"] }
    }

    @Test(
        "an empty arm has no rate, and there is no difference to it",
        arguments: [(0, 0, 10, 3), (10, 3, 0, 0), (0, 0, 0, 0)])
    func emptyArm(counts: (Int64, Int64, Int64, Int64)) {
        let result = pooled([arms(counts.0, counts.1, counts.2, counts.3)])
        #expect(result["difference"] == .null && result["difference_interval"] == .null && result["z"] == .null)
        #expect(result["verdict"] == "no-data" && result["p_value"] == 1)
        #expect(result["control"]?["rate"] == (counts.0 == 0 ? .null : 0.3))
    }

    @Test("one failure of 10^15 is as visible as one success")
    func nearOne() {
        let n: Int64 = 1_000_000_000_000_000
        let (low, high) = (pooled([arms(n, 0, n, 1)]), pooled([arms(n, n - 1, n, n)]))
        for result in [low, high] {
            #expect(abs((result["z"]?.doubleValue ?? 0) - 1) < 1e-9, "\(result.merged)")
            #expect(abs((result["p_value"]?.doubleValue ?? 0) - 0.317310507862914) < 1e-9)
            #expect(result["difference"] == .double(1e-15))
        }
    }

    @Test("a split that chance does not explain is a warning; the declared share counts")
    func brokenSplit() {
        let result = pooled([arms(5_300, 250, 4_700, 270), arms(5_300, 250, 4_700, 270)])
        #expect(result["verdict"] == "treatment-better")
        #expect((result["split_p_value"]?.doubleValue ?? 1) < 1e-16)
        let warning = result["warnings"]?[0]?.stringValue ?? ""
        #expect(
            warning.hasPrefix(
                "the split is broken: 9400 of 20000 trials are of 'treatment', where 50.0 % were meant (p = "))
        #expect(pooled([arms(5_050, 250, 4_950, 270)])["warnings"] == nil)
        #expect(pooled([arms(9_000, 90, 1_000, 10)])["warnings"] != nil)
        #expect(pooled([arms(9_000, 90, 1_000, 10)], split: 0.1)["warnings"] == nil)
        #expect(pooled([arms(0, 0, 0, 0)])["warnings"] == nil)
    }

    @Test("counts whose sum no longer fits are refused with the provider, and do not end the fleet")
    func sums() {
        let most: Int64 = 1 << 53
        let merged = pooled([arms(most, most, most, 0), arms(1, 1, 1, 0), arms(most + 1, 0, 0, 0)]).merged
        #expect(merged.providers.map(\.outcome) == [.used, .failed, .failed])
        #expect(merged.providers[1].error?.detail?.contains("2^53") == true)
    }

    // MARK: Names

    @Test(
        "names that the merged result uses itself are refused where they are declared, and end nothing where they are not"
    )
    func reserved() {
        func faults(_ fields: JSONValue) -> [String] {
            let service: JSONValue = [
                "type": "t", "frequency": ["once": true], "providers": ["use": "all"], "merge": fields,
            ]
            return DocumentReader.read(["kind": "Scenario", "name": "x", "spec": ["services": ["s": service]]]).errors
                .map { "\($0.pointer.split(separator: "/").last ?? ""): \($0.detail)" }
        }
        for name in PooledProportions.reserved.sorted() {
            #expect(faults(["strategy": "pooled-proportions", "control": .string(name)]).count == 1, "\(name)")
            var rule = MergeRule(strategy: .pooledProportions)
            (rule.control, rule.treatment) = (name, "t")
            _ = merge(
                rule, [.object([name: ["value": ["n": 1, "clicks": 1]], "t": ["value": ["n": 1, "clicks": 1]]])])
        }
        #expect(faults(["strategy": "pooled-proportions", "trials": "clicks"]).count == 1)
        #expect(faults(["strategy": "pooled-proportions", "trials": "rate"]).count == 1)
        #expect(
            faults(["strategy": "majority", "output": "votes"]).first?.hasPrefix("output: 'votes' is a name") == true)
        for name in ["score", "ranks"] {
            #expect(faults(["strategy": "reciprocal-rank-fusion", "item_key": .string(name)]).count == 1)
            let rule = MergeRule(strategy: .reciprocalRankFusion, itemKey: name)
            _ = merge(rule, [["ranking": ["value": [.object([name: 7])]]]])
        }
    }

    @Test("what is said of a thousand providers, or of a key of a megabyte, can be sent")
    func sentences() {
        var rule = MergeRule(strategy: .majority, output: "x")
        let branches = (0..<1_000).map {
            Branch(
                provider: ProviderID("provider-with-a-long-name-\($0)") ?? "p", position: $0, state: .succeeded,
                outputs: ["x": ["value": .int(Int64($0))]])
        }
        #expect((Merger.merge(branches, by: rule).error?.detail?.utf8.count ?? 0) < 1_100)
        rule = MergeRule(strategy: .union)
        (rule.key, rule.conflict) = (["id"], .error)
        let key = JSONValue.string(String(repeating: "k", count: 1 << 20))
        let merged = merge(rule, [1, 2].map { ["records": ["value": [["id": key, "v": .int($0)]]]] })
        #expect((1..<1_100).contains(merged.error?.detail?.utf8.count ?? 0))
    }
}

@Suite("Schemas of strangers")
struct SchemaCostTests {
    @Test("complaints are short, however long the schema's lists and texts are")
    func complaints() {
        let long = (0..<20_000).map { JSONValue.string("value-\($0)") }
        let object = JSONValue.object(
            JSONObject(uniqueKeysWithValues: (0..<20_000).map { ("name-\($0)", JSONValue.bool(true)) }))
        let huge = JSONValue.string(String(repeating: "é", count: 100_000))
        let cases: [(JSONValue, JSONValue)] = [
            ("x", ["enum": .array(long)]), ("x", ["const": huge]), ("x", ["type": .array(long)]),
            ("x", ["enum": [huge, huge]]),
            (["zzz": 1], ["properties": object, "additionalProperties": false]),
            (.object(["\(huge.stringValue ?? "")": 1]), ["additionalProperties": false]),
            ([:], ["required": [huge]]),
        ]
        for (value, schema) in cases {
            let errors = SchemaCheck.errors(value, schema, at: "/p")
            #expect(errors.count == 1)
            #expect(errors.allSatisfy { $0.detail.utf8.count < 1_500 && $0.pointer.utf8.count < 500 }, "\(errors)")
        }
        #expect(
            SchemaCheck.errors("x", ["enum": .array(long)]).first?.detail.hasSuffix("'value-9' and 19990 more") == true)
    }

    @Test("the worst schemas that are legal, against the worst parameters, end soon", .timeLimit(.minutes(1)))
    func worst() {
        let numbers = JSONValue.array((0..<40_000).map { .int($0) })
        let others = JSONValue.array((0..<40_000).map { .int(-1 - $0) })
        var nested: JSONValue = ["type": "string"]
        for _ in 0..<30 { nested = ["anyOf": [nested, nested]] }
        var deep: JSONValue = [:]
        for _ in 0..<30 { deep = ["allOf": [["items": deep], ["items": deep]]] }
        var value: JSONValue = 1
        for _ in 0..<30 { value = [value, value] }
        let twins = JSONValue.array(Array(repeating: numbers, count: 3))
        let cases: [(JSONValue, JSONValue)] = [
            (numbers, ["items": ["enum": others]]),
            (numbers, ["items": ["anyOf": .array(Array(repeating: ["type": "string"], count: 10_000))]]),
            (1, nested), (value, deep), (twins, ["items": ["enum": .array(Array(repeating: twins, count: 3))]]),
            (.array(Array(repeating: numbers, count: 4)), ["uniqueItems": true]),
            (
                .array(Array(repeating: .string(String(repeating: "x", count: 10_000)), count: 100)),
                ["items": ["maxLength": 1]]
            ),
        ]
        for (index, (value, schema)) in cases.enumerated() {
            let start = ContinuousClock.now
            _ = SchemaCheck.errors(value, schema)
            let took = ContinuousClock.now - start
            // A debug build; a release build takes a tenth of it.
            #expect(took < .seconds(2), "case \(index): \(took)")
        }
    }

    @Test("what one request may spend is shared by its checks")
    func shared() {
        let numbers = JSONValue.array((0..<40_000).map { .int($0) })
        var work = 250_000
        var found = 0
        for _ in 0..<100 { found += SchemaCheck.errors(numbers, ["items": ["minimum": 0]], at: "", work: &work).count }
        #expect(found == 0 && work <= 0)
        #expect(
            SchemaCheck.errors("x", ["type": "integer"], at: "", work: &work).isEmpty, "the provider has the last word")
    }
}
