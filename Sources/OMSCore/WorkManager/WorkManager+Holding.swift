import OMSModel
import OMSProtocol

/// What keeps the next run of a service from beginning (docs/operate/schedules.md), and who to ask about it.
///
/// A run is in the way until it has its result, and after that as long as one of its jobs may still act: a job that was
/// told to stop, and whose end nobody has confirmed, is an execution like any other. A provider may leave it so for ever;
/// then `oms job give-up` ends it.
extension WorkManager {
    /// The runs that are in the way of the next one, the first first.
    func overlapping(_ service: ServiceID, _ policy: OverlapPolicy) -> [RunID] {
        guard let track = services[service] else { return [] }
        // The old one is to be stopped, late branches and all.
        if policy == .stopOld {
            return (track.unclosed + [track.openRun].compactMap { $0 }).filter { runs[$0]?.isClosed == false }.sorted()
        }
        if let open = track.openRun { return [open] }
        return track.unclosed.filter { runs[$0].map { holdingJob(of: $0) != nil } ?? false }.sorted()
    }

    /// The job of a run that has its result which may still act, or nil.
    ///
    /// Not one that is still welcome (a late branch), and not one at a provider that is away and that the plan in force
    /// does not count on: what moved on must not wait for what it moved away from.
    private func holdingJob(of run: RunTrack) -> JobTrack? {
        run.jobs.first { job in
            guard !job.state.isTerminal, job.wantsStop else { return false }
            let isAway = usable[job.choice.provider] == false
            return !isAway
                || config.service(run.plan.id)?.providers.contains { $0.provider == job.choice.provider } == true
        }
    }

    /// Why a run is in the way, with the job that is and what ends it.
    func whyInTheWay(_ id: RunID) -> String {
        guard let run = runs[id] else { return "run \(id) has not ended" }
        let job = run.finished ? holdingJob(of: run) : run.jobs.first { $0.isUnconfirmed }
        guard let job else { return "run \(id) has not ended" }
        return "run \(id) has not ended: job \(job.id) at \(job.choice.provider) is \(job.state.rawValue) since "
            + "\(job.stateTime) and may still act; if it never ends: oms job give-up \(job.id) --evidence ..."
    }

    /// Says who is in the way, where it is more than a run that takes its time.
    mutating func explainHolder(of service: ServiceID, _ run: RunID, at now: Moment) {
        guard runs[run]?.finished == true else { return }
        explain("service/\(service)", ReasonCode.jobHolds.rawValue, "no new run: \(whyInTheWay(run))", at: now)
    }

    /// The last job of a run that had its result has ended.
    mutating func released(_ run: RunTrack, at now: Moment) {
        services[run.plan.id]?.unclosed.remove(run.id)
        let subject = "service/\(run.plan.id)"
        if reasons[subject]?.code == ReasonCode.jobHolds.rawValue, overlapping(run.plan.id, .skip).isEmpty {
            clearReason(subject, at: now)
        }
    }
}

extension JobTrack {
    /// It was told to stop, or cannot be seen: nobody can say when it ends.
    var isUnconfirmed: Bool { state == .stopping || (state == .unknown && wantsStop) }
}
