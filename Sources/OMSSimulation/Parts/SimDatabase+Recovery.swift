import OMSCore
import OMSModel
import OMSProtocol

/// `Store+Recovery.swift`.
extension SimDatabase {
    mutating func recover(_ recovery: Recovery) -> [TenantID: Int] {
        var counts: [TenantID: Int] = [:]
        for left in recovery.jobs where jobs[left.job] == nil {
            if let prunedBefore, left.deadline < prunedBefore, !broken.contains(.prunedIsFound) {
                pruned.namedTooLate.insert(left.job)
                continue
            }
            if runs[left.run] == nil {
                guard let plan = recovery.plans.first(where: { $0.tenant == left.tenant && $0.service == left.service })
                else { continue }
                let run = Run(
                    record: RunRecord(
                        id: left.run, service: left.service, type: plan.plan.type, state: .running, due: left.job.time,
                        started: left.job.time, deadline: left.deadline, generation: plan.generation,
                        consumed: left.upstream,
                        plan: plan.plan), tenant: left.tenant, epoch: left.epoch)
                runs[left.run] = run
                runsOfTenant[left.tenant, default: []].append(left.run)
                changes.append(.run(run, before: nil))
            }
            guard let run = runs[left.run] else { continue }
            let job = Job(
                record: JobRecord(
                    id: left.job, run: left.run, service: left.service, type: run.record.type, provider: left.provider,
                    attempt: left.attempt, state: .unknown, revision: 1, time: now, created: run.record.started,
                    deadline: left.deadline), tenant: left.tenant, epoch: left.epoch)
            jobs[left.job] = job
            jobsOfRun[left.run, default: []].append(left.job)
            counts[left.tenant, default: 0] += 1
            changes.append(.job(job, before: nil))
        }
        return counts
    }
}
