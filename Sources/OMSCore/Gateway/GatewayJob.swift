import OMSModel
import OMSProtocol

/// A job as the gateway follows it at its provider.
struct GatewayJob: Sendable {
    enum Step: Hashable, Sendable { case submit, read, stop }

    let id: JobID
    let tenant: TenantID
    let provider: ProviderID
    /// Of the Work Manager that last asked about it, or of the sweep that ends it.
    var epoch: Int
    /// nil: adopted from a question, never submitted by this process.
    var request: JobRequest?
    /// What its row would need, with the epoch of the Work Manager that last asked. nil: none asked for it here.
    var left: LeftJob?
    var state: JobState
    var providerRevision: Int?
    /// The provider has shown it at least once.
    var acknowledged = false
    /// A submit may have reached the provider without an answer.
    var maybeSent = false
    /// When this process first sent it (monotonic).
    var firstSent: Int64?
    var attempts = 0
    /// Its intent is in the ledger.
    var isRecorded = false
    /// Its epoch is over: it waits outside the row until a Work Manager of the epoch in force asks for it.
    var isParked = false
    /// Consecutive 404 while resolving.
    var absences = 0
    var inFlight: Step?
    /// What is to be done next, and when (monotonic). nil: the sweep takes care of it.
    var next: (step: Step, at: Int64)?
    var stop: JobAction?
    /// A stop that is not confirmed by then makes the job unknown (monotonic); it goes on being repeated.
    var stopUntil: Int64?
    /// It was told to stop, or the provider said that it stops: when first, and with which grace (monotonic, milliseconds).
    /// Repeated orders, refusals and new epochs change nothing of it.
    var stopBegan: Int64?
    var stopGrace: Int64 = 0
    /// When its run is over (monotonic).
    var deadlineAt: Int64?
    /// It went on for too long after that, and takes no place any more: since when it should have ended.
    var stuckSince: Timestamp?
    var isStuck: Bool { stuckSince != nil }
    var lastHeard: Int64
    var endedAt: Int64?

    var time: Timestamp
    var started: Timestamp?
    var finished: Timestamp?
    var progress: Double?
    var message: String?
    var outputs: JSONObject?
    var error: Problem?

    init(
        id: JobID, tenant: TenantID, provider: ProviderID, epoch: Int, request: JobRequest?, state: JobState,
        at now: Moment
    ) {
        self.id = id
        self.tenant = tenant
        self.provider = provider
        self.epoch = epoch
        self.request = request
        self.state = state
        left = request.flatMap { LeftJob($0, tenant: tenant, provider: provider, epoch: epoch) }
        lastHeard = now.monotonic
        time = now.wall
        deadlineAt = request?.deadline.map { now.monotonic + $0.milliseconds - now.wall.milliseconds }
    }

    /// From then on (monotonic) it takes no place any more, if it has not ended; nil: it has not begun, as far as is known.
    var overdueAt: Int64? {
        guard state != .submitting else { return nil }
        let stop = stopBegan.map { $0 + stopGrace + Gateway.stopPatienceMilliseconds }
        let deadline = deadlineAt.map { $0 + Gateway.stopPatienceMilliseconds }
        return [stop, deadline].compactMap { $0 }.min()
    }

    /// The first order to stop, or the provider's first word of it.
    mutating func stopBegins(graceSeconds: Int?, at now: Moment) {
        guard stopBegan == nil else { return }
        stopBegan = now.monotonic
        stopGrace = Int64(min(max(graceSeconds ?? 0, 0), 3_600)) * 1000
    }

    var event: JobEvent {
        JobEvent(
            job: id, epoch: epoch, state: state, providerRevision: providerRevision, time: time, started: started,
            finished: finished, progress: progress, message: message, outputs: outputs, error: error)
    }

    enum Applied: Equatable { case unchanged, changed, illegal(String) }

    /// Takes over the provider's view if it is newer. A provider must never let a rank or a revision fall, nor change
    /// a terminal state; if it does, the old state stands.
    mutating func apply(_ job: ProviderJob, at now: Moment) -> Applied {
        acknowledged = true
        absences = 0
        // An end is an end, whatever its revision: no answer that came late can hold one. Refused, it would leave the
        // job open for ever at a provider that counts wrongly.
        let isEnd = job.state.isTerminal && !state.isTerminal
        if let providerRevision, job.revision <= providerRevision, state != .unknown, !isEnd {
            guard job.state != state else {
                lastHeard = now.monotonic
                return .unchanged
            }
            return .illegal(
                job.revision < providerRevision
                    ? "revision fell from \(providerRevision) to \(job.revision)"
                    : "revision \(job.revision) was \(state.rawValue) and is now \(job.state.rawValue)")
        }
        guard state.mayBecome(job.state) else {
            guard state == job.state else {
                return .illegal("state went from \(state.rawValue) to \(job.state.rawValue)")
            }
            lastHeard = now.monotonic
            return .unchanged
        }
        lastHeard = now.monotonic
        state = job.state
        if state == .stopping { stopBegins(graceSeconds: nil, at: now) }
        providerRevision = job.revision
        time = job.updated
        started = job.started
        finished = job.finished
        progress = job.progress
        message = job.message
        error = job.error
        outputs = job.state.isTerminal ? job.outputs : nil
        if job.state == .failed, error == nil {
            error = Problem(.jobFailed, "the provider gave no reason")
        }
        let size = JSONValue.object(outputs ?? [:]).encodedBytes
        if size > Self.maxOutputBytes {
            outputs = nil
            state = .failed
            error = Problem(
                .providerMalformed,
                "outputs of \(size) bytes; at most \(Self.maxOutputBytes): larger ones go by reference (href)",
                retryable: false)
        }
        return .changed
    }

    /// Twice what the contract allows, so that an honest provider near the limit is not punished for our estimate.
    static let maxOutputBytes = 65_536
}
