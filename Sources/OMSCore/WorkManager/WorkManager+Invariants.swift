import OMSModel
import OMSProtocol

extension WorkManager {
    /// What always holds between two events. The simulation asks after each one.
    /// - Returns: the first thing that does not hold, in words.
    package func brokenInvariant() -> String? {
        var owners: [JobID: RunID] = [:]
        var unclosed: [ServiceID: Set<RunID>] = [:]
        for (id, run) in runs {
            if run.id != id { return "run \(run.id) is kept as \(id)" }
            for job in run.jobs { owners[job.id] = id }
            if run.finished, !run.isClosed { unclosed[run.plan.id, default: []].insert(id) }
            if Set(run.jobs.map(\.id)).count != run.jobs.count { return "run \(id) has a job twice" }
            let open = run.jobs.filter { !$0.state.isTerminal }
            // What an earlier epoch had may have ended without anybody's knowing it yet, and been tried again.
            let own = open.filter { !$0.mayBeKnown }
            if Set(own.map(\.choice.provider)).count != own.count {
                return "run \(id) has two open jobs at one provider"
            }
            if let job = open.first(where: { $0.nextCommand == nil }) { return "nobody asks after open job \(job.id)" }
        }
        if owners != runOfJob { return "runOfJob is not derived from runs" }
        for (service, track) in services {
            if track.unclosed != unclosed[service] ?? [] {
                return "the unclosed runs of \(service) are not derived from runs"
            }
            guard let open = track.openRun else { continue }
            guard let run = runs[open] else { return "the open run of \(service) is not there" }
            if run.finished || run.plan.id != service {
                return "the open run of \(service) is none of its own, or over"
            }
        }
        return nil
    }
}
