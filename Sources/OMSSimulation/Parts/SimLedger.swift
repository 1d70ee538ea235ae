import OMSCore
import OMSModel

/// A gateway's ledger file: survives its process. The semantics are those of `GatewayService/Ledger.swift`.
struct SimLedger {
    private(set) var fences: [TenantID: Int] = [:]
    private var jobs: [JobID: (job: LedgerJob, ended: JobState?)] = [:]
    /// Mutants: what the disk pretends to have written.
    var loses: (LedgerEntry) -> Bool = { _ in false }

    mutating func apply(_ entries: [LedgerEntry]) {
        for entry in entries where !loses(entry) {
            switch entry {
            case .fence(let tenant, let epoch): fences[tenant] = max(fences[tenant] ?? 0, epoch)
            case .intent(let job): if jobs[job.request.id] == nil { jobs[job.request.id] = (job, nil) }
            case .acknowledged(let id): jobs[id]?.job.acknowledged = true
            case .ended(let id, let state): jobs[id]?.ended = state
            }
        }
    }

    func holdsIntent(of job: JobID) -> Bool { jobs[job] != nil }

    func hasAcknowledged(_ job: JobID) -> Bool { jobs[job]?.job.acknowledged == true }

    var contents: LedgerContents {
        LedgerContents(
            fences: fences,
            open: jobs.values.filter { $0.ended == nil }.map(\.job).sorted { $0.request.id < $1.request.id })
    }
}
