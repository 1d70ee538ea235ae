import Foundation
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

@testable import GatewayService

/// Power was lost in the middle of a write: of the ledger's write-ahead log there is a part. All that was confirmed
/// before that byte is there, nothing of what came after, and never a half of one.
@Suite("A torn ledger", .timeLimit(.minutes(2)))
struct TornLedgerTests {
    private static let seed: UInt64 = 12

    /// What a commit leaves to be found: the open jobs and the fence.
    private struct Found: Equatable {
        var open: Set<JobID> = []
        var fence: Int?

        init() {}

        init(_ contents: LedgerContents) {
            open = Set(contents.open.map(\.request.id))
            fence = contents.fences["men"]
        }
    }

    @Test("opens at every frame of its log, one byte less, one byte more, and at bytes in between")
    func truncated() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-torn-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let whole = folder + "/whole"
        try FileManager.default.createDirectory(atPath: whole, withIntermediateDirectories: true)
        let (ledger, _) = try Ledger.open(folder: whole)
        func logSize() throws -> Int { try Data(contentsOf: URL(filePath: whole + "/ledger.sqlite-wal")).count }
        // After each commit: how long the log was, and what a new process would have to find.
        var (sizes, states) = ([try logSize()], [Found()])
        for number in 0..<60 {
            for entries in Self.commits(number) {
                #expect(await Self.write(entries, to: ledger) == nil)
                sizes.append(try logSize())
                states.append(Self.after(entries, states[states.count - 1]))
            }
        }
        #expect(sizes.dropFirst().elementsEqual(Set(sizes.dropFirst()).sorted()), "the log only grows")
        let database = try Data(contentsOf: URL(filePath: whole + "/ledger.sqlite"))
        let log = try Data(contentsOf: URL(filePath: whole + "/ledger.sqlite-wal"))
        ledger.shutdown()

        let offsets = Self.offsets(log.count)
        for offset in offsets {
            let copy = "\(folder)/\(offset)"
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
            try database.write(to: URL(filePath: copy + "/ledger.sqlite"))
            try log.prefix(offset).write(to: URL(filePath: copy + "/ledger.sqlite-wal"))
            let (reopened, contents) = try Ledger.open(folder: copy)
            let commits = max(1, sizes.count { $0 <= offset })
            #expect(Found(contents) == states[commits - 1], "cut at byte \(offset) of \(log.count)")
            // It works as before.
            if offset.isMultiple(of: 7) {
                #expect(await Self.write([.fence("men", 1_000)], to: reopened) == nil)
            }
            reopened.shutdown()
            try FileManager.default.removeItem(atPath: copy)
        }
        print("torn ledger: \(states.count - 1) commits, a log of \(log.count) bytes, cut at \(offsets.count) places")
    }

    private static func commits(_ number: Int) -> [[LedgerEntry]] {
        let request = JobRequest(id: job(number), service: "harvest", tenant: "men", config: ServiceConfig())
        var commits: [[LedgerEntry]] = [
            [.intent(LedgerJob(tenant: "men", provider: "sp", epoch: number, request: request))],
            [.acknowledged(request.id), .fence("men", number + 1)],
        ]
        if number.isMultiple(of: 3) { commits.append([.ended(request.id, .succeeded)]) }
        return commits
    }

    private static func job(_ number: Int) -> JobID {
        JobID(time: Timestamp(milliseconds: 1_700_000_000_000), of: "torn", "\(number)")
    }

    private static func after(_ entries: [LedgerEntry], _ state: Found) -> Found {
        var state = state
        for entry in entries {
            switch entry {
            case .intent(let job): state.open.insert(job.request.id)
            case .fence(_, let epoch): state.fence = epoch
            case .ended(let id, _): state.open.remove(id)
            case .givenUp(let job): state.open.remove(job.job)
            case .begun, .acknowledged, .forgiven: break
            }
        }
        return state
    }

    private static func write(_ entries: [LedgerEntry], to ledger: Ledger) async -> String? {
        await withCheckedContinuation { continuation in
            ledger.write(entries) { continuation.resume(returning: $0) }
        }
    }

    /// SQLite's format: a header of 32 bytes, then frames of 24 bytes and a page.
    private static func offsets(_ size: Int) -> [Int] {
        let boundaries = stride(from: 32, through: size, by: 24 + 4_096)
        var offsets = Set(boundaries.flatMap { [$0 - 1, $0, $0 + 1] })
        var random = SplitMix64(seed: seed)
        for _ in 0..<200 { offsets.insert(Int.random(in: 0...size, using: &random)) }
        offsets.formUnion([0, 1, size])
        return offsets.filter { (0...size).contains($0) }.sorted()
    }
}
