import OMSModel
import OMSProtocol

/// Compares what each Work Manager says with PostgreSQL's rows, and repairs what differs.
extension Registry {
    /// Between two comparisons of one tenant; the first comes with its first complete answer.
    static let auditMilliseconds: Int64 = 300_000

    mutating func audit(_ tenant: TenantID, _ status: WMStatus, at now: Moment) {
        guard let track = tenants[tenant], track.auditing == nil, let digest = status.digest,
            status.seq == track.ackSeq,
            track.lastAudit.map({ now.monotonic - $0 >= Self.auditMilliseconds }) ?? true
        else { return }
        tenants[tenant]?.lastAudit = now.monotonic
        tenants[tenant]?.auditing = (status.seq, digest)
        audits.append(tenant)
        // Many tenants make one question.
        timers.set(.audit, now.monotonic + 100)
    }

    mutating func sendAudits(at now: Moment) {
        guard !audits.isEmpty else { return }
        let batch = Array(audits.prefix(500))
        audits.removeFirst(batch.count)
        store(.audit(batch))
        if !audits.isEmpty { timers.set(.audit, now.monotonic + 100) }
    }

    mutating func audited(_ rows: [TenantID: AuditedJobs], at now: Moment) {
        for (tenant, jobs) in rows.sorted(by: { $0.key < $1.key }) {
            guard let track = tenants[tenant], let said = track.auditing else { continue }
            tenants[tenant]?.auditing = nil
            // Only if nothing was committed since: else the two speak of different moments.
            guard track.phase == .active, jobs.epoch == track.epoch, jobs.ackSeq == said.seq else {
                tenants[tenant]?.lastAudit = nil
                continue
            }
            guard jobs.digest != said.digest else {
                tenants[tenant]?.repairs = 0
                continue
            }
            repair(tenant, said: said.digest, rows: jobs.digest)
        }
    }

    /// Repairs in a row that may be tried at once. What they do not change is tried again with the regular comparison only:
    /// a repair may be lost on its way, and one that does not help must not be repeated with every answer.
    static let quickRepairs = 3

    private mutating func repair(_ tenant: TenantID, said: String, rows: String) {
        let times = (tenants[tenant]?.repairs ?? 0) + 1
        tenants[tenant]?.repairs = min(times, Self.quickRepairs + 1)
        let words = "tenant \(tenant): the Work Manager says open jobs \(said), the rows are \(rows)"
        if times <= Self.quickRepairs {
            announce("wm.differs", tenant, words + "; repairing")
            // Looked at again with the next answer.
            tenants[tenant]?.lastAudit = nil
        } else if times == Self.quickRepairs + 1 {
            announce(
                "wm.differs", tenant,
                words + ", and \(Self.quickRepairs) repairs did not make them agree; it is tried again every "
                    + "\(Self.auditMilliseconds / 60_000) minutes")
        }
        store(.resume(tenant))
    }

    mutating func reconcile(_ tenant: TenantID, _ rows: WorkManagerResume, at now: Moment) {
        guard let track = tenants[tenant], let fleet = track.fleet else { return }
        if track.phase == .starting, track.resume == nil {
            tenants[tenant]?.resume = rows
            return attend(tenant, at: now)
        }
        guard track.phase == .active else { return }
        publish(
            .wmControl(tenant),
            .wmControl(control(.reconcile, track, fleet, resume: rows.fitting(nil, bytes: dataLimit))))
    }
}
