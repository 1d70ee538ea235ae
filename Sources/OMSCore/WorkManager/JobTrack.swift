import OMSModel
import OMSProtocol

/// One job of a run as its Work Manager follows it.
struct JobTrack: Sendable {
    let id: JobID
    let choice: ProviderChoice
    let attempt: Int
    let created: Timestamp
    var state: JobState = .pending
    /// Since when, as far as this Work Manager knows.
    var stateTime: Timestamp
    /// Grows with each recorded change; orders the rows in PostgreSQL.
    var revision = 0
    var started: Timestamp?
    var finished: Timestamp?
    var progress: Double?
    var message: String?
    var outputs: JSONObject?
    var error: Problem?
    /// What the gateway had to leave out of its word about it.
    var omitted: [String]?

    /// A retry waits until then (monotonic) before its first submit.
    var notBefore: Int64 = 0
    var wantsStop = false
    var stopReason = "the run's deadline passed"
    /// Its provider is unwell and not in the plan any more: its run does not wait for it.
    var isAbandoned = false
    /// An earlier epoch had it: a gateway or provider may know it, whatever its state here.
    var mayBeKnown = false
    /// When the gateway was last asked and last heard (monotonic).
    var lastAsked: Int64?
    var lastHeard: Int64 = 0
    var asks = 0
    var lastProgressRecorded: Int64 = 0
    /// When it came to where it is, and when it last showed progress (monotonic).
    var stateSince: Int64 = 0
    /// Where that is: 0 on its way, 1 queued at the provider, 2 running.
    var phase = 0
    var progressSince: Int64 = 0
    /// A timeout made us stop it.
    var timedOut: ProblemSlug?
    /// An earlier epoch has used its outputs in a result that is out; here they are only asked for again.
    var wasUsed = false
    /// The result that is out knows how it ended.
    var isMerged = false
    /// Its row has ended already, and what is open here is only the question after the rest: the rows do not miss it.
    var hasEndedRow = false
    /// It was recorded once more because its row said otherwise. A second time would change as little.
    var isRecordedAgain = false

    init(id: JobID, choice: ProviderChoice, attempt: Int, created: Timestamp) {
        self.id = id
        self.choice = choice
        self.attempt = attempt
        self.created = created
        stateTime = created
    }

    /// Orders an open job to be stopped, at once and until its end is confirmed.
    mutating func stop(_ why: String) {
        guard !state.isTerminal, !wantsStop else { return }
        wantsStop = true
        stopReason = why
        lastAsked = nil
        notBefore = 0
        asks = 0
    }

    /// The provider is known to have it.
    var isAcknowledged: Bool { state != .pending && state != .submitting }

    /// The question or order that is due, if the job is open: MQTT may lose any message, so an open job asks again
    /// until it is answered, and asks after news when there is none for long.
    func command(at now: Moment) -> JobCommand.Command? {
        guard let nextCommand, now.monotonic >= nextCommand else { return nil }
        if wantsStop { return .stop }
        return isAcknowledged ? .status : .submit
    }

    var nextCommand: Int64? {
        if state.isTerminal { return nil }
        guard let lastAsked else { return notBefore }
        let answered = lastHeard >= lastAsked && !wantsStop
        return answered ? lastHeard + Self.quietMilliseconds : lastAsked + askAgainAfter
    }

    /// 3 s, doubling to 30 s, while nobody answers.
    private var askAgainAfter: Int64 { min(30_000, 3_000 << Int64(min(max(asks - 1, 0), 4))) }

    /// An acknowledged job without news is asked after: events may be lost.
    static let quietMilliseconds: Int64 = 15_000
}

/// One firing of a service: a job at each chosen provider, merged when all have ended or the deadline passed.
struct RunTrack: Sendable {
    let id: RunID
    let plan: ServicePlan
    let due: Timestamp
    let started: Timestamp
    let deadline: Timestamp
    let generation: Int
    var consumed: [RunID]?
    var jobs: [JobTrack]
    /// Set when the result is out. The run stays while a job is open, so that every job gets its terminal state.
    var finished = false
    /// Of the result that is out.
    var revision = 0
    /// The result that is out calls a branch late: it is to be amended when that branch ends.
    var hasLate = false
    /// The jobs that decided it: enough results are in, the others were stopped.
    var decided: Set<JobID> = []
    /// The deadline has passed and every open job was told to stop.
    var isOver = false
    /// Its jobs are being stopped: nothing is tried again.
    var isStopping = false

    var isClosed: Bool { finished && jobs.allSatisfy { $0.state.isTerminal } }

    /// The last attempt at each provider, in the plan's order.
    var latest: [Int] {
        var byProvider: [ProviderID: Int] = [:]
        for index in jobs.indices {
            let provider = jobs[index].choice.provider
            if let other = byProvider[provider], jobs[other].attempt > jobs[index].attempt { continue }
            byProvider[provider] = index
        }
        return byProvider.values.sorted()
    }

    func record(_ state: RunRecord.State, plan withPlan: Bool = false) -> RunRecord {
        RunRecord(
            id: id, service: plan.id, type: plan.type, state: state, due: due, started: started, deadline: deadline,
            generation: generation, consumed: consumed, plan: withPlan ? plan : nil)
    }

    func record(of job: JobTrack, at now: Moment) -> JobRecord {
        var record = JobRecord(
            id: job.id, run: id, service: plan.id, type: plan.type, provider: job.choice.provider,
            attempt: job.attempt, state: job.state, revision: job.revision, time: now.wall, created: job.created,
            started: job.started, finished: job.finished, deadline: deadline, progress: job.progress,
            message: job.message, outputs: job.outputs, error: job.error)
        record.omitted = job.omitted
        return record
    }

    func request(for job: JobTrack, tenant: TenantID) -> JobRequest {
        JobRequest(
            id: job.id, service: job.choice.service, tenant: tenant,
            config: ServiceConfig(
                timeoutSeconds: plan.timeoutSeconds, dataSource: plan.dataSource, outputSource: plan.outputSource,
                parameters: plan.parameters),
            deadline: deadline,
            labels: RunLabels.labels(run: id, service: plan.id, attempt: job.attempt, upstream: consumed))
    }
}
