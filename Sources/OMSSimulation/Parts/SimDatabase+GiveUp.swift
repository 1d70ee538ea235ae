import OMSCore
import OMSModel
import OMSProtocol

/// `Store+GiveUp.swift`.
extension SimDatabase {
    mutating func giveUp(_ job: JobID, _ evidence: String, _ client: NodeID, _ at: Timestamp) -> StoreReply {
        if let row = givenUp[job] { return .givenUp(row, isNew: false) }
        guard let row = jobs[job] else { return .failed(Problem(.notFound, "no job \(job)", status: 404)) }
        switch row.record.state {
        case .stopping, .unknown: break
        case .queued where row.record.deadline <= at, .running where row.record.deadline <= at: break
        default: return .failed(Problem(.conflict, "job \(job) is \(row.record.state.rawValue)", status: 409))
        }
        let wish = GivenUpJob(
            job: job, tenant: row.tenant, provider: row.record.provider, by: client.text, evidence: evidence)
        givenUp[job] = GivenUpRow(wish: wish, at: at)
        return .givenUp(GivenUpRow(wish: wish, at: at), isNew: true)
    }

    mutating func endGiveUp(_ wish: GivenUpJob, refused: String?, _ at: Timestamp) {
        guard refused == nil else {
            givenUp[wish.job] = nil
            return
        }
        if givenUp[wish.job]?.doneAt == nil { givenUp[wish.job]?.doneAt = at }
        guard let known = jobs[wish.job], known.record.finished == nil else { return }
        var job = known
        job.record.state = .lost
        job.record.finished = at
        job.record.revision += 1
        job.record.error = wish.problem
        jobs[wish.job] = job
        changes.append(.job(job, before: known))
    }
}
