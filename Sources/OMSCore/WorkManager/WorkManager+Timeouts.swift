import OMSModel
import OMSProtocol

/// The timeouts of one job; the run's deadline is the fifth. Each stops the job at its provider, and only the
/// confirmed stop ends it: a row that says `stopped` while the work goes on would be a lie.
extension WorkManager {
    mutating func attendTimeouts(_ run: inout RunTrack, at now: Moment) {
        if run.finished { return }
        for index in run.jobs.indices {
            guard let timeout = run.timeout(of: run.jobs[index]), now.monotonic >= timeout.at else { continue }
            run.jobs[index].stop(timeout.text)
            run.jobs[index].timedOut = timeout.slug
            // Where two executions do no harm, nobody waits for the confirmation.
            if run.plan.safeToRunTwice == true { tryAgain(&run, at: now) }
        }
    }
}

extension RunTrack {
    /// A provider ends its jobs at `timeout_s` itself; only when it does not, we stop them.
    static let runMarginSeconds = 30

    /// The next timeout of a job (monotonic), or nil.
    func timeout(of job: JobTrack) -> (at: Int64, slug: ProblemSlug, text: String)? {
        if finished || job.wantsStop { return nil }
        func after(_ seconds: Int?, _ since: Int64, _ slug: ProblemSlug, _ what: String) -> (
            at: Int64, slug: ProblemSlug, text: String
        )? {
            seconds.map { (since + NumberBounds.milliseconds($0), slug, "\(what) within \($0) s") }
        }
        switch job.state {
        case .pending, .submitting:
            return after(plan.timeouts?.queueSeconds, job.stateSince, .queueTimeout, "no provider took it")
        case .queued: return after(plan.timeouts?.startSeconds, job.stateSince, .startTimeout, "it did not start")
        case .running:
            let quiet = after(
                plan.timeouts?.noProgressSeconds, max(job.progressSince, job.stateSince), .noProgress,
                "it showed no progress")
            let all = after(
                plan.timeoutSeconds + Self.runMarginSeconds, job.stateSince, .timeout, "it did not end")
            return [quiet, all].compactMap { $0 }.min { $0.at < $1.at }
        // Nothing is seen of it, or it is being stopped: the gateway has its own patience, and the deadline is there.
        case .unknown, .stopping, .succeeded, .failed, .stopped, .rejected, .expired, .lost: return nil
        }
    }
}

extension JobTrack {
    /// Keeps since when it is where it is.
    mutating func takeTimes(of event: JobEvent, at now: Moment) {
        let seen =
            switch event.state {
            case .pending, .submitting: 0
            case .queued: 1
            // Out of sight it stays where it was.
            case .unknown: phase
            case .running, .stopping, .succeeded, .failed, .stopped, .rejected, .expired, .lost: 2
            }
        if seen != phase { stateSince = now.monotonic }
        phase = seen
        if event.progress != progress || event.message != message { progressSince = now.monotonic }
    }
}
