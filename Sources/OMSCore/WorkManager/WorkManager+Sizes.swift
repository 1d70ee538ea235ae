import OMSModel
import OMSProtocol

/// What a Work Manager does about a message that is larger than the broker takes. It never sends the same one again, and
/// nothing of the tenant waits for it.
extension WorkManager {
    mutating func make(smaller refusal: NotSent, at now: Moment) {
        if let limit = refusal.limit { dataLimit = min(dataLimit, max(0, limit - MessageSize.envelopeBytes)) }
        switch refusal.message.payload {
        case .journal(let refused):
            guard refused.epoch == epoch else { return }
            // `receive` sends what there is; of what cannot become smaller, the next repetition.
            _ = journal.refused(
                from: refused.firstSeq, count: refused.entries.count, limit: refusal.limit, at: now)
        case .wmStatus(let refused):
            let smaller = refused.fitting(dataLimit)
            if smaller != refused { publish(.wmStatus(tenant), .wmStatus(smaller)) }
        case .result(let refused):
            guard lastResults[refused.service]?.run == refused.run else { return }
            if MessageSize.bytes(refused) <= dataLimit { return }
            publishResult(of: refused.service)
        case .jobCommand(let command) where command.command == .submit: endUnsendable(command.job, refusal, at: now)
        default: break
        }
    }

    /// The retained result, as much of it as fits; the record of the run has the rest.
    mutating func publishResult(of service: ServiceID) {
        guard var result = lastResults[service] else { return }
        MessageCut.fit(&result, into: dataLimit)
        lastResults[service] = result
        publish(.serviceResult(tenant, service), .result(result))
    }

    /// No gateway will ever hear of it, so it ends here, with the figures.
    private mutating func endUnsendable(_ id: JobID, _ refusal: NotSent, at now: Moment) {
        guard let runID = runOfJob[id], var run = runs[runID],
            let index = run.jobs.firstIndex(where: { $0.id == id }), !run.jobs[index].isAcknowledged,
            !run.jobs[index].mayBeKnown
        else { return }
        run.jobs[index].state = .rejected
        run.jobs[index].finished = now.wall
        run.jobs[index].error = Problem(
            .tooLarge, "it was not submitted: \(refusal.text); make the parameters of the service smaller",
            retryable: false)
        run.jobs[index].revision += 1
        note(JournalEntry(job: run.record(of: run.jobs[index], at: now)), at: now)
        runs[runID] = run
        settle(runID, at: now)
    }
}
