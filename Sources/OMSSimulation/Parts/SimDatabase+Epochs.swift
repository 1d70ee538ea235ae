import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Epochs.swift`.
extension SimDatabase {
    mutating func openEpoch(_ tenant: TenantID, _ fleet: NodeID, _ boot: Int64) -> StoreReply {
        var rows = epochs[tenant] ?? []
        for index in rows.indices where rows[index].ended == nil { rows[index].ended = now }
        reasons[tenant] = reasons[tenant]?.filter { $0.key == "tenant" }
        let next = (rows.map(\.epoch).max() ?? 0) + (broken.contains(.epochNumberTwice) && !rows.isEmpty ? 0 : 1)
        rows.append(Epoch(epoch: next, fleet: fleet, boot: boot, started: now))
        epochs[tenant] = rows
        changes.append(.epochOpened(tenant, next))
        return .opened(epoch: next, since: now, resume(tenant))
    }

    func resume(_ tenant: TenantID) -> WorkManagerResume {
        var resume = WorkManagerResume.empty
        for (key, rows) in ticks where key.tenant == tenant { resume.ticks[key.service] = rows.keys.max() }
        let mine = (runsOfTenant[tenant] ?? []).compactMap { runs[$0] }
            .sorted { ($0.record.due, $0.record.id) < ($1.record.due, $1.record.id) }
        for run in mine {
            let record = run.record
            if record.state == .succeeded || record.state == .partial {
                resume.succeeded[record.service] = RunReference(run: record.id, due: record.due)
            }
            if let consumed = record.consumed { resume.consumed[record.service] = consumed }
            let jobs = (jobsOfRun[record.id] ?? []).compactMap { self.jobs[$0]?.record }.sorted { $0.id < $1.id }
            guard let plan = record.plan, record.finished == nil || jobs.contains(where: { $0.finished == nil }) else {
                continue
            }
            resume.open.append(
                OpenRun(
                    run: record.id, service: record.service, due: record.due, started: record.started,
                    deadline: record.deadline, consumed: record.consumed, finished: record.finished != nil, plan: plan,
                    jobs: jobs.map { job in
                        OpenJob(
                            id: job.id, provider: job.provider, attempt: job.attempt, state: job.state,
                            revision: job.revision, retryable: job.error?.retryable)
                    }))
        }
        resume.open.sort { $0.run < $1.run }
        return resume
    }
}
