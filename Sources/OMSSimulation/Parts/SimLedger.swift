import OMSCore
import OMSModel
import OMSProtocol

/// A gateway's ledger file: survives its process. The semantics are those of `GatewayService/Ledger.swift`.
struct SimLedger {
    private(set) var fences: [TenantID: Int] = [:]
    private var begun: [TenantID: Int] = [:]
    private var jobs: [JobID: (job: LedgerJob, ended: JobState?)] = [:]
    /// In the order in which they ended.
    private var ended: [JobID] = []
    private var givenUp: [GivenUpJob] = []
    /// Mutants: what the disk pretends to have written.
    var loses: @Sendable (LedgerEntry) -> Bool = { _ in false }
    var forgetsEnded = false

    func knows(_ job: JobID) -> Bool { jobs[job] != nil }

    mutating func apply(_ entries: [LedgerEntry]) {
        for entry in entries where !loses(entry) {
            switch entry {
            case .fence(let tenant, let epoch): fences[tenant] = max(fences[tenant] ?? 0, epoch)
            case .begun(let tenant, let epoch): begun[tenant] = max(begun[tenant] ?? 0, epoch)
            case .intent(let job): if jobs[job.request.id] == nil { jobs[job.request.id] = (job, nil) }
            case .acknowledged(let id): jobs[id]?.job.acknowledged = true
            case .givenUp(let job):
                if !givenUp.contains(where: { $0.job == job.job }) { givenUp.append(job) }
                if jobs[job.job] != nil, jobs[job.job]?.ended == nil {
                    ended.append(job.job)
                    jobs[job.job]?.ended = .lost
                }
            case .ended(let id, let state):
                if jobs[id]?.ended == nil { ended.append(id) }
                jobs[id]?.ended = state
            // No simulated gateway dies of an answer.
            case .forgiven: break
            }
        }
    }

    func holdsIntent(of job: JobID) -> Bool { jobs[job] != nil }

    func hasAcknowledged(_ job: JobID) -> Bool { jobs[job]?.job.acknowledged == true }

    var contents: LedgerContents {
        var contents = LedgerContents(
            fences: fences, begun: begun,
            open: jobs.values.filter { $0.ended == nil }.map(\.job).sorted { $0.request.id < $1.request.id },
            ended: forgetsEnded
                ? []
                : ended.compactMap { id in
                    guard let (job, state) = jobs[id], let state,
                        let left = LeftJob(job.request, tenant: job.tenant, provider: job.provider, epoch: job.epoch)
                    else { return nil }
                    return LedgerContents.Ended(left: left, state: state, age: 0)
                })
        contents.givenUp = givenUp.map { LedgerContents.GivenUp(job: $0, age: 0) }
        return contents
    }
}
