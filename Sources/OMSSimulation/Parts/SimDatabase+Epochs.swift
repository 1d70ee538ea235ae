import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Epochs.swift`.
extension SimDatabase {
    mutating func openEpoch(
        _ tenant: TenantID, expected: Int, _ fleet: NodeID, _ boot: Int64, _ reason: String
    ) -> StoreReply {
        var rows = epochs[tenant] ?? []
        let number = rows.last?.epoch ?? 0
        if number == expected, !broken.contains(.expectedIgnored), let last = rows.indices.last {
            guard rows[last].ended == nil else {
                return Self.conflict("epoch \(expected) of \(tenant) has ended already")
            }
            rows[last].fleet = fleet
            rows[last].boot = boot
            epochs[tenant] = rows
            return .opened(epoch: number, since: rows[last].started, resume(tenant))
        }
        guard number < expected || broken.contains(.expectedIgnored) else {
            return Self.conflict("the last epoch of \(tenant) is \(number), \(expected) is over")
        }
        if let last = rows.indices.last, rows[last].ended == nil {
            writeReceipt(tenant, number, isGraceful: false, since: nil, swept: [])
            rows[last].ended = now
        }
        reasons[tenant] = reasons[tenant]?.filter { $0.key == "tenant" }
        let next =
            broken.contains(.epochNumberTwice)
            ? max(1, number) : broken.contains(.expectedIgnored) ? number + 1 : expected
        rows.append(Epoch(epoch: next, fleet: fleet, boot: boot, started: now))
        epochs[tenant] = rows
        changes.append(.epochOpened(tenant, next))
        return .opened(epoch: next, since: now, resume(tenant))
    }

    static func conflict(_ text: String) -> StoreReply { .failed(Problem(.conflict, text, status: 409)) }

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
            if let open = openRun(record) { resume.open.append(open) }
        }
        resume.open.sort { $0.run < $1.run }
        return resume
    }

    private func openRun(_ record: RunRecord) -> OpenRun? {
        let jobs = (jobsOfRun[record.id] ?? []).compactMap { self.jobs[$0]?.record }.sorted { $0.id < $1.id }
        guard let plan = record.plan, record.finished == nil || jobs.contains(where: { $0.finished == nil }) else {
            return nil
        }
        return OpenRun(
            run: record.id, service: record.service, due: record.due, started: record.started,
            deadline: record.deadline, consumed: record.consumed, finished: record.finished != nil, plan: plan,
            jobs: jobs.map { job in
                OpenJob(
                    id: job.id, provider: job.provider, attempt: job.attempt, state: job.state, revision: job.revision,
                    retryable: job.error?.retryable, quarantined: quarantined[job.id] == nil ? nil : true)
            })
    }
}
