import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Journal.swift`.
extension SimDatabase {
    /// - Returns: the number up to which the journal is committed now.
    mutating func commit(_ tenant: TenantID, _ journal: Journal) -> Int {
        let last = journal.firstSeq + journal.entries.count - 1
        let row = epochs[tenant]?.lastIndex { $0.epoch == journal.epoch && $0.ended == nil }
        guard let row, let acknowledged = epochs[tenant]?[row].ackSeq else { return 0 }
        guard acknowledged == journal.firstSeq - 1 else { return acknowledged }
        epochs[tenant]?[row].ackSeq = last
        commits += 1
        let isTorn = broken.contains(.journalNotAtomic) && commits % 20 == 0
        for entry in journal.entries.prefix(isTorn ? journal.entries.count / 2 : journal.entries.count) {
            if let tick = entry.tick { insert(tick, of: tenant) }
            if let run = entry.run { upsert(run, of: tenant, epoch: journal.epoch) }
            if let job = entry.job {
                guard refusesEnds, job.state.isTerminal, ("\(job.id)".utf8.last ?? 0) % 2 == 0 else {
                    upsert(job, of: tenant, epoch: journal.epoch)
                    continue
                }
                // Store+Refusals.swift: it is kept whole, and its row gets what can be stored.
                setAside[job.id] = job
                if !broken.contains(.refusedWithoutRow), let rest = entry.reduced(.texts, note: "set aside").job {
                    upsert(rest, of: tenant, epoch: journal.epoch)
                }
            }
            if let reason = entry.reason { replace(reason, of: tenant) }
        }
        return last
    }

    private mutating func insert(_ tick: TickRecord, of tenant: TenantID) {
        let key = TickKey(tenant: tenant, service: tick.service)
        if let kept = ticks[key]?[tick.due] {
            changes.append(.tickAgain(key, kept: kept, refused: tick))
            return
        }
        if let gone = pruned.ticks[key]?[tick.due] { changes.append(.tickAgain(key, kept: gone, refused: tick)) }
        ticks[key, default: [:]][tick.due] = tick
        changes.append(.tick(key, tick))
    }

    private mutating func upsert(_ record: RunRecord, of tenant: TenantID, epoch: Int) {
        guard let known = runs[record.id] else {
            let run = Run(record: record, tenant: tenant, epoch: epoch)
            runs[record.id] = run
            runsOfTenant[tenant, default: []].append(record.id)
            changes.append(.run(run, before: nil))
            return
        }
        // A late branch amends a result: a higher revision of it.
        guard known.record.finished == nil || known.record.result?.revision ?? 1 < record.result?.revision ?? 1 else {
            return
        }
        var run = known
        run.record.state = record.state
        run.record.finished = known.record.finished ?? record.finished
        run.record.plan = record.plan ?? known.record.plan
        run.record.consumed = record.consumed ?? known.record.consumed
        run.record.result = record.result
        run.record.error = record.error
        run.epoch = epoch
        runs[record.id] = run
        changes.append(.run(run, before: known))
    }

    private mutating func upsert(_ record: JobRecord, of tenant: TenantID, epoch: Int) {
        guard let known = jobs[record.id] else {
            let job = Job(record: record, tenant: tenant, epoch: epoch)
            jobs[record.id] = job
            jobsOfRun[record.run, default: []].append(record.id)
            changes.append(.job(job, before: nil))
            return
        }
        if known.record.finished != nil, !broken.contains(.terminalRowChanges) {
            if record.state != known.record.state { changes.append(.jobRefused(known, refused: record)) }
            return
        }
        let isNewer = (known.epoch, known.record.revision) < (epoch, record.revision)
        guard isNewer else { return }
        var job = Job(record: record, tenant: tenant, epoch: epoch)
        job.record.started = record.started ?? known.record.started
        job.record.progress = record.progress ?? known.record.progress
        jobs[record.id] = job
        changes.append(.job(job, before: known))
    }

    private mutating func replace(_ record: ReasonRecord, of tenant: TenantID) {
        reasons[tenant, default: [:]][record.subject] =
            record.cleared
            ? nil
            : Reason(
                subject: record.subject, code: record.code ?? "unknown", text: record.text ?? "", since: record.since)
    }
}
