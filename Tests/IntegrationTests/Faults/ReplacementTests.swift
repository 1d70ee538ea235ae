import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime
import Testing

/// A Work Manager that is replaced while it has many operations running.
@Suite("Replacement", .serialized, .timeLimit(.minutes(30)))
struct ReplacementTests {
    /// `OMS_TESTS=all OMS_REPLACEMENTS=200 swift test --filter 'Replacement/fifty'` for the long one.
    static let replacements = ProcessInfo.processInfo.environment["OMS_REPLACEMENTS"].flatMap { Int($0) } ?? 5
    private static let operations = 50

    @Test("fifty running operations: the new epoch acts only after the last end of the old one")
    func fifty() async throws {
        try await SmallWorld.with { world in
            let provider = world.providers[0]
            try await world.environment.apply(documents(world, isOver: false))
            var progress = Progress()
            var gaps: [Int64] = []
            var durations: [Int64] = []
            for number in 1...Self.replacements {
                let isBusy = try await Attempts.until(deadline: .seconds(30)) {
                    progress.read(provider.log)
                    return progress.running.count == Self.operations ? true : nil
                }
                try #require(
                    isBusy == true, "only \(progress.running.count) operations run before replacement \(number)")
                let began = MonotonicClock.milliseconds
                let replaced = try await world.environment.tell(["replace", "tenant-1", "--wait"])
                durations.append(MonotonicClock.milliseconds - began)
                try #require(replaced.status == 0, "\(replaced.errors)")
            }
            // By the provider's own log, in its order.
            var (epoch, running, lastEnd): (Int64, Set<String>, Int64) = (0, [], 0)
            for act in provider.log.acts {
                switch act.kind {
                case .began: running.insert(act.job)
                case .ended:
                    running.remove(act.job)
                    lastEnd = act.time
                case .submit, .stop:
                    guard let acting = act.epoch else { continue }
                    #expect(acting >= epoch, "epoch \(acting) acted after \(epoch): \(act)")
                    if acting > epoch, epoch > 0 {
                        #expect(
                            running.isEmpty, "epoch \(acting) acted while \(running.count) operations of \(epoch) ran")
                        gaps.append(act.time - lastEnd)
                    }
                    epoch = max(epoch, acting)
                }
            }
            #expect(gaps.count >= Self.replacements - 1, "only \(gaps.count) epochs acted")
            let receipts = try await world.database.number(
                "SELECT count(*) FROM report.drain_receipt WHERE graceful AND (counts->>'stopped')::int = 50")
            #expect(receipts >= Self.replacements, "\(receipts) receipts of fifty stopped operations")
            // The last fifty would run for a minute: one more replacement ends them.
            try await world.environment.apply(documents(world, isOver: true))
            try await world.environment.insist(["replace", "tenant-1", "--wait"])
            let counts = try await world.checkStory(after: documents(world, isOver: true))
            gaps.sort()
            durations.sort()
            print(
                """
                replacement: \(Self.replacements) times with \(Self.operations) running operations; the command took \
                \(durations[durations.count / 2]) ms (median), \(durations.last ?? 0) ms at most; from the old epoch's \
                last end to the new one's first action \(gaps.first ?? 0) ms at least, \(gaps[gaps.count / 2]) ms \
                (median); \(counts)
                """)
        }
    }

    /// What runs at the provider, read forward through its log.
    private struct Progress {
        private var position = 0
        var running: Set<String> = []

        mutating func read(_ log: ExecutionLog) {
            for act in log.acts[position...] {
                switch act.kind {
                case .began: running.insert(act.job)
                case .ended: running.remove(act.job)
                case .submit, .stop: break
                }
            }
            position = log.acts.count
        }
    }

    private func documents(_ world: SmallWorld, isOver: Bool) -> String {
        let frequency = "frequency: {\(isOver ? "on_demand: true" : "every_s: 1")}"
        return Documents.providers(world.providers, maxRunning: 100)
            + Documents.scenario(
                "busy",
                (1...Self.operations).map {
                    // Long enough to be running whenever the replacement comes.
                    Documents.service("operation-\($0)", frequency, 60_000, "stop", "sp-1")
                }) + Documents.tenant("tenant-1", "busy")
    }
}
