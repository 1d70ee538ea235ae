import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Reciprocal rank fusion")
struct MergerTests {
    private func branch(_ provider: ProviderID, _ items: [Int64], state: JobState = .succeeded) -> Branch {
        Branch(
            provider: provider, state: state,
            outputs: state == .succeeded ? ["ranking": ["value": .array(items.map { ["item": .int($0)] })]] : [:])
    }
    private let rule = MergeRule(strategy: .reciprocalRankFusion)
    private func items(_ merged: Merged) -> [Int64] {
        merged.outputs["ranking"]?["value"]?.arrayValue?.compactMap { $0["item"]?.intValue } ?? []
    }

    @Test("adds 1 / (60 + rank) over the lists")
    func scores() {
        let merged = Merger.merge([branch("beta", [7, 8, 9]), branch("gamma", [8, 9, 7])], by: rule)
        #expect(items(merged) == [8, 7, 9])
        let first = merged.outputs["ranking"]?["value"]?[0]
        #expect(abs((first?["score"]?.doubleValue ?? 0) - (1.0 / 62 + 1.0 / 61)) < 1e-15)
        #expect(first?["ranks"] == ["beta": 2, "gamma": 1])
        #expect(merged.state == .succeeded)
    }

    @Test("does not depend on the order of the branches")
    func orderFree() {
        var generator = SplitMix64(seed: 42)
        for _ in 0..<200 {
            let lists = (0..<4).map { _ in (0..<12).map { Int64($0) }.shuffled(using: &generator) }
            let branches = zip(["a", "b", "c", "d"], lists).map { branch($0, $1) }
            let reference = Merger.merge(branches, by: rule).outputs
            #expect(Merger.merge(branches.shuffled(using: &generator), by: rule).outputs == reference)
        }
    }

    @Test("names every provider once: used, failed, missing")
    func provenance() {
        let merged = Merger.merge(
            [
                branch("a", [1]), branch("b", [], state: .failed), Branch(provider: "c"),
                Branch(provider: "d", state: .running), Branch(provider: "e", state: .succeeded, outputs: ["x": 1]),
            ], by: rule)
        #expect(merged.providers.map(\.provider) == ["a", "b", "c", "d", "e"])
        #expect(merged.providers.map(\.outcome) == [.used, .failed, .missing, .missing, .failed])
        #expect(merged.state == .partial)
        #expect(Merger.merge([branch("b", [], state: .failed)], by: rule).state == .failed)
    }

    @Test("a doubled item counts once, with its best rank; top cuts")
    func doubled() {
        let merged = Merger.merge([branch("a", [5, 5, 6])], by: MergeRule(strategy: .reciprocalRankFusion, top: 1))
        #expect(items(merged) == [5])
    }

    @Test("first takes the plan's first success and calls the others unused")
    func first() {
        let merged = Merger.merge(
            [branch("a", [], state: .failed), branch("b", [2]), branch("c", [3])], by: MergeRule(strategy: .first))
        #expect(items(merged) == [2])
        #expect(merged.providers.map(\.outcome) == [.failed, .used, .unused])
    }
}

@Suite("Timers")
struct TimerQueueTests {
    @Test("come in order, replaced ones only once")
    func order() {
        var generator = SplitMix64(seed: 3)
        var queue = TimerQueue<Int>()
        var expected: [Int: Int64] = [:]
        for _ in 0..<5_000 {
            let key = Int.random(in: 0..<300, using: &generator)
            let time: Int64? =
                Int.random(in: 0..<10, using: &generator) == 0 ? nil : Int64.random(in: 0..<10_000, using: &generator)
            queue.set(key, time)
            expected[key] = time
        }
        #expect(queue.next() == expected.values.min())
        var popped: [Int] = []
        for now in stride(from: Int64(0), through: 10_000, by: 500) { popped += queue.popDue(now) }
        #expect(popped == expected.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key))
        #expect(queue.next() == nil)
    }
}
