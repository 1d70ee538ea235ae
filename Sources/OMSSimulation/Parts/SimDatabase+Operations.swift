import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Operations.swift`.
extension SimDatabase {
    mutating func begin(_ operation: ManagerOperation) -> StoreReply {
        let open = operations.values.first {
            $0.tenant == operation.tenant && $0.endedAt == nil && $0.id != operation.id
        }
        if let open { return .operation(open) }
        write(operation)
        return .operation(operation)
    }

    mutating func write(_ operation: ManagerOperation) {
        guard var row = operations[operation.id] else {
            operations[operation.id] = operation
            return
        }
        guard row.endedAt == nil else { return }
        row.phase = operation.phase
        row.remaining = operation.remaining
        row.isForced = operation.isForced
        row.evidence = operation.evidence
        row.deadline = operation.deadline
        row.endedAt = operation.endedAt
        operations[operation.id] = row
    }

    var openOperations: [ManagerOperation] {
        operations.values.filter { $0.endedAt == nil }.sorted { $0.tenant < $1.tenant }
    }

    func openJobs(_ tenant: TenantID) -> [OpenJobRow] {
        jobs.values.filter { $0.tenant == tenant && $0.record.finished == nil }
            .map { job in
                OpenJobRow(
                    job: job.record.id, provider: job.record.provider,
                    onReplace: runs[job.record.run]?.record.plan?.onReplace)
            }.sorted { $0.job < $1.job }
    }

    mutating func close(_ closing: EpochClosing) {
        guard let row = epochs[closing.tenant]?.firstIndex(where: { $0.epoch == closing.epoch && $0.ended == nil })
        else { return }
        for swept in closing.swept {
            guard let known = jobs[swept.job], known.record.finished == nil else { continue }
            var job = known
            job.record.state = swept.state
            job.record.finished = closing.at
            job.record.revision += 1
            job.record.error = swept.error ?? known.record.error
            jobs[swept.job] = job
            changes.append(.job(job, before: known))
        }
        for open in closing.quarantined where quarantined[open.job] == nil {
            quarantined[open.job] = open.error?.detail ?? "no answer"
        }
        if !broken.contains(.endWithoutReceipt) {
            writeReceipt(
                closing.tenant, closing.epoch, isGraceful: closing.isGraceful, since: closing.since,
                swept: closing.swept)
            let kind = operations[closing.operation]?.kind
            receipts[EpochKey(tenant: closing.tenant, epoch: closing.epoch)]?.isFinal =
                kind == .suspend || kind == .offboard
        }
        epochs[closing.tenant]?[row].ended = now
    }

    /// The receipt: every job that was open since `since`, and how it ended; written once.
    mutating func writeReceipt(
        _ tenant: TenantID, _ epoch: Int, isGraceful: Bool, since: Timestamp?, swept: [EpochClosing.SweptRow]
    ) {
        let key = EpochKey(tenant: tenant, epoch: epoch)
        guard receipts[key] == nil else { return }
        var receipt = Receipt(isGraceful: isGraceful, isRecovery: since == nil)
        for (id, job) in jobs where job.tenant == tenant {
            guard let finished = job.record.finished else {
                receipt.jobs[id] = quarantined[id] == nil ? "adopted" : "quarantined"
                continue
            }
            if let since, finished >= since { receipt.jobs[id] = job.record.state.rawValue }
        }
        for row in swept where jobs[row.job] == nil { receipt.jobs[row.job] = row.state.rawValue }
        receipts[key] = receipt
    }

    func audit(_ tenants: [TenantID]) -> [TenantID: AuditedJobs] {
        var found: [TenantID: AuditedJobs] = [:]
        for tenant in tenants {
            guard let epoch = epochs[tenant]?.last(where: { $0.ended == nil }) else { continue }
            let open = jobs.values.filter { $0.tenant == tenant && $0.record.finished == nil }.map(\.record.id)
            found[tenant] = AuditedJobs(
                epoch: epoch.epoch, ackSeq: epoch.ackSeq, digest: OpenJobsDigest(open).text)
        }
        return found
    }

    mutating func removeTenant(_ tenant: TenantID) {
        specs[tenant] = nil
        reasons[tenant] = nil
        for (id, operation) in operations where operation.tenant == tenant && operation.endedAt == nil {
            operations[id]?.phase = .done
            operations[id]?.endedAt = now
        }
    }
}
