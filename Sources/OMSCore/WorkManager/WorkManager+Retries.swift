import OMSModel
import OMSProtocol

/// Whose fault it was that a job did not succeed: this decides whether, where and how often it is tried again.
enum Fault: Hashable, Sendable {
    /// The job's own: it ran and failed. Each counts against `max_attempts`.
    case job
    /// The provider's: it could not, was not there, or did not come to it. Does not burn the job's attempts, but has a
    /// budget of its own (`max_provider_faults`) and pauses that grow to a minute, so that an outage makes no storm.
    case provider
    /// The provider does not want this request, and nothing ran: not again there.
    case refused
    /// It may have run, or run still.
    case ambiguous
    /// Trying again would change nothing, or is not wanted.
    case final

    /// - Returns: nil while the job is open, and when it succeeded.
    init?(of job: JobTrack) {
        switch job.state {
        case .pending, .submitting, .queued, .running, .stopping, .unknown, .succeeded: return nil
        // Given up by an operator: it is over, whatever it was.
        case .lost: self = job.error?.slug == ProblemSlug.givenUp.rawValue ? .final : .ambiguous
        case .expired: self = .final
        case .rejected: self = job.error?.slug == ProblemSlug.providerFenced.rawValue ? .final : .refused
        case .stopped: self = Self.byStop[job.error?.slug ?? ""] ?? .final
        case .failed:
            let isProviders = job.error.map { Self.providers.contains($0.slug) } ?? false
            self = job.error?.retryable == false ? .final : isProviders ? .provider : .job
        }
    }

    private static let byStop: [String: Fault] = [
        ProblemSlug.queueTimeout.rawValue: .provider, ProblemSlug.startTimeout.rawValue: .provider,
        ProblemSlug.noProgress.rawValue: .provider, ProblemSlug.timeout.rawValue: .job,
    ]

    /// What a provider says of itself, not of the job.
    private static let providers: Set<String> = Set(
        [
            .busy, .draining, .unavailable, .deadline, .internal, .unauthorized, .version, .providerUnreachable,
            .providerMalformed, .providerForgot,
        ].map { (slug: ProblemSlug) in slug.rawValue })
}

extension WorkManager {
    static var defaultMaxProviderFaults: Int { 10 }

    /// After a job's end: the next attempt at its provider, or the first at the next one.
    mutating func tryAgain(_ run: inout RunTrack, at now: Moment) {
        if run.isStopping || now.wall >= run.deadline { return }
        if let drain, drainAction(run, drain, at: now) != .adopt { return }
        if let choice = nextProvider(of: run) {
            return append(job(of: run, at: choice, attempt: 1, now), to: &run, now)
        }
        for index in run.latest {
            let job = run.jobs[index]
            // With failover only the last provider is tried again; the others have had their chance.
            if run.plan.use == .failover, job.id != run.jobs.last?.id { continue }
            guard let pause = pause(after: job, of: run) else { continue }
            // An attempt that could not begin before the end would only keep the result waiting.
            if now.wall.advanced(byMilliseconds: pause) >= run.deadline { continue }
            var next = self.job(of: run, at: job.choice, attempt: job.attempt + 1, now)
            next.notBefore = now.monotonic + pause
            next.stateSince = next.notBefore
            append(next, to: &run, now)
        }
    }

    private mutating func append(_ job: JobTrack, to run: inout RunTrack, _ now: Moment) {
        var job = job
        job.revision = 1
        run.jobs.append(job)
        runOfJob[job.id] = run.id
        note(JournalEntry(job: run.record(of: job, at: now)), at: now)
    }

    /// Milliseconds until the next attempt at the same provider; nil: none.
    func pause(after job: JobTrack, of run: RunTrack) -> Int64? {
        guard let fault = Fault(of: job) else { return nil }
        let before = run.jobs.filter { $0.choice.provider == job.choice.provider }
        switch fault {
        case .final, .refused: return nil
        case .ambiguous where run.plan.use == .failover && run.plan.safeToRunTwice != true: return nil
        case .job, .ambiguous:
            let burned = before.count { track in
                let fault = Fault(of: track)
                return fault == .job || fault == .ambiguous
            }
            guard burned < run.plan.maxAttempts else { return nil }
            return min(30_000, 1_000 << Int64(min(burned - 1, 5)))
        case .provider:
            let faults = before.count { Fault(of: $0) == .provider }
            guard faults <= run.plan.maxProviderFaults ?? Self.defaultMaxProviderFaults else { return nil }
            let ceiling: Int64 = min(60_000, 2_000 << Int64(min(faults - 1, 5)))
            // Half of it is hashed: those that failed together do not come back together.
            let half = ceiling / 2
            return half + Int64(spread(of: "\(job.id)") % UInt64(half))
        }
    }
}
