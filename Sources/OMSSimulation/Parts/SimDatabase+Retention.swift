import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Retention.swift`, for what is simulated of it. A pruned row goes into a history that no request reads.
extension SimDatabase {
    struct History {
        var runs: [RunID: Run] = [:]
        var jobs: [JobID: Job] = [:]
        var ticks: [TickKey: [Timestamp: TickRecord]] = [:]
        var receipts: [EpochKey: Receipt] = [:]
        /// Jobs that a gateway named when their deadline was longer ago than history is kept
        /// (docs/internals/replacement.md).
        var namedTooLate: Set<JobID> = []
    }

    mutating func prune(_ pruning: Pruning) -> Pruned {
        let before = min(pruning.before, now.advanced(byMilliseconds: -pruning.keepMilliseconds))
        prunedBefore = max(before, prunedBefore ?? before)
        var pruned = Pruned(before: before)
        let gone = oldRuns(before)
        for run in gone.prefix(pruning.limit) {
            pruned.counts[.runs, default: 0] += 1
            pruned.counts[.jobs, default: 0] += remove(run)
        }
        pruned.hasMore = gone.count > pruning.limit
        if pruned.hasMore { return pruned }
        for (key, rows) in ticks { pruned.counts[.ticks, default: 0] += prune(rows, key, before) }
        pruneEpochs(before, &pruned)
        return pruned
    }

    private func oldRuns(_ before: Timestamp) -> [Run] {
        var old: [Run] = []
        for (tenant, ids) in runsOfTenant {
            let isHeld = operations.values.contains {
                $0.tenant == tenant && $0.endedAt == nil && $0.startedAt < before
            }
            if isHeld { continue }
            for (_, mine) in Dictionary(grouping: ids.compactMap({ runs[$0] }), by: \.record.service) {
                func newest(_ counts: (RunRecord) -> Bool) -> Timestamp? {
                    mine.lazy.map(\.record).filter(counts).map(\.due).max()
                }
                let (any, success) = (newest { _ in true }, newest { $0.state == .succeeded || $0.state == .partial })
                let (result, consumer) = (newest { $0.result != nil }, newest { $0.consumed != nil })
                old += mine.filter { run in
                    let due = run.record.due
                    return isOld(run.record, before)
                        && (broken.contains(.newestIsPruned)
                            || ![any, success, result, consumer].contains { $0 == due })
                }
            }
        }
        return old.sorted { ($0.record.started, $0.record.id) < ($1.record.started, $1.record.id) }
    }

    private func isOld(_ run: RunRecord, _ before: Timestamp) -> Bool {
        guard run.started < before, run.deadline < before, let finished = run.finished, finished < before else {
            return false
        }
        if broken.contains(.openJobIsPruned) { return true }
        return (jobsOfRun[run.id] ?? []).allSatisfy { id in
            guard let job = jobs[id]?.record, let finished = job.finished else { return false }
            return finished < before && job.deadline < before
        }
    }

    /// - Returns: how many jobs went with it.
    private mutating func remove(_ run: Run) -> Int {
        let id = run.record.id
        let mine = jobsOfRun.removeValue(forKey: id) ?? []
        for job in mine {
            pruned.jobs[job] = jobs.removeValue(forKey: job)
            quarantined[job] = nil
        }
        pruned.runs[id] = runs.removeValue(forKey: id)
        runsOfTenant[run.tenant]?.removeAll { $0 == id }
        return mine.count
    }

    private mutating func prune(_ rows: [Timestamp: TickRecord], _ key: TickKey, _ before: Timestamp) -> Int {
        let newest = rows.keys.max()
        let known = rows.values.filter { $0.manual != true }.map { $0.through ?? $0.due }.max()
        var count = 0
        for (due, tick) in rows where tick.time < before && due < before {
            if let run = tick.run, runs[run] != nil { continue }
            if due == newest || tick.manual != true && (tick.through ?? due) == known {
                if !broken.contains(.newestIsPruned) { continue }
            }
            pruned.ticks[key, default: [:]][due] = tick
            ticks[key]?[due] = nil
            count += 1
        }
        return count
    }

    private mutating func pruneEpochs(_ before: Timestamp, _ pruned: inout Pruned) {
        for (tenant, rows) in epochs {
            let latest = receipts.keys.filter { $0.tenant == tenant }.map(\.epoch).max() ?? 0
            for row in rows where row.epoch < latest && (row.ended.map { $0 < before } ?? false) {
                let key = EpochKey(tenant: tenant, epoch: row.epoch)
                self.pruned.receipts[key] = receipts.removeValue(forKey: key)
                epochs[tenant]?.removeAll { $0.epoch == row.epoch }
                pruned.counts[.epochs, default: 0] += 1
            }
        }
    }
}
