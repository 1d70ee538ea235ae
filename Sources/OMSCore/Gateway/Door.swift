import OMSModel
import OMSProtocol

/// The gateway's side of one attached provider: health, circuit, limits and the queue of waiting submissions.
struct Door: Sendable {
    let provider: ProviderID
    var spec: ProviderSpec
    var version: Int
    /// When it came here from another gateway.
    var movedAt: Timestamp?

    var catalog: Catalog?
    var status: Health.Status = .unknown
    var circuit: Health.Circuit = .closed
    var failures = 0
    var error: Problem?
    /// A broken rule that did not keep the provider from answering, shown for a while after it was last seen.
    var warning: Problem?
    var warningEnds: Int64 = 0
    /// The last time that it refused for now, or answered like a broken server, shown for as long.
    var trouble: Problem?
    var troubleEnds: Int64 = 0
    /// What was wrong with the last answer to /status: other answers, however good, do not heal that.
    var statusFault: Problem?
    var report: ProviderStatus?
    var latency: Int?
    var checked: Timestamp?

    var nextServices: Int64 = 0
    var nextStatus: Int64 = 0
    var nextSweep: Int64 = 0
    var servicesInFlight = false
    var statusInFlight = false
    var sweepInFlight = false
    /// Highest `updated` seen, less two seconds.
    var watermark: Timestamp?
    var sweepPages = 0
    var batchInFlight = false
    var nextBatch: Int64 = 0
    var failedSweeps = 0
    /// The provider answers, but its last list could not be used: only a look at each job shows how it is.
    var isListUnusable = false
    /// Halved with every page that could not be read, doubled with every one that was.
    var pageSize = Door.maxPageSize
    static let maxPageSize = 500

    /// How far the provider's clock is ahead of ours, in milliseconds, by its last status.
    private var clockAhead: Int64 = 0
    private(set) var clockFault: Problem?

    /// Calls with a lower number were made before the provider was detached and came back.
    let firstCall: Int
    /// Calls under way about jobs, and how many of them are submits.
    var jobCalls = 0
    var submits = 0
    /// Jobs whose question or stop waits for one of these to end.
    var line = CallLine()
    /// The provider is not asked before then: its answers cost too much (monotonic).
    var askFrom: Int64 = 0
    var reading = ReadingBudget()
    /// New contents of the catalogue; pages of the sweep; questions about all jobs after a restart.
    var catalogs = Allowance(burst: 4, intervalMilliseconds: Door.catalogMilliseconds)
    var pages = Allowance(burst: 60, intervalMilliseconds: 200)
    var restarts = Allowance(burst: 3, intervalMilliseconds: 60_000)
    /// This gateway died of its answers: it is not called at all.
    var isQuarantined = false

    /// One each 72 minutes, 20 a day.
    static let catalogMilliseconds: Int64 = 4_320_000
    /// So many calls at once; no more than the connection pool carries, so that none waits there while its time runs.
    /// Status, catalogue, sweep and batch have places of their own, and submits never take all of the others.
    static let maxJobCalls = GatewayTiming.maxCallsPerProvider - 4
    static let maxSubmits = maxJobCalls - 2

    /// Retries that the provider may still be burdened with: each first submit earns a fifth of one, so that an outage
    /// makes no storm.
    private var retryBudget = Door.maxRetryBudget
    static let maxRetryBudget = 20.0
    static let retriesPerSubmit = 0.2
    private var nextTrickle: Int64 = 0

    /// When the next submit may go out, with `max_submits_per_s`.
    private var nextSubmit: Int64 = 0
    /// When the page under way was asked for.
    var sweepBegan: Int64 = 0

    /// Nothing is submitted before then: the provider asked for quiet.
    var throttledUntil: Int64 = 0
    /// How often it has done so since it last accepted something.
    private(set) var throttles = 0
    /// Jobs in flight now allowed; halves when the provider is full, grows back with successes.
    var limit: Int

    /// Waiting submissions by tenant, served in turns, so that no tenant's crowd delays another's first job.
    private var waiting: [TenantID: [JobID]] = [:]
    private var turns: [TenantID] = []
    /// Jobs that go on after their stop: those of them in `occupied` take no place (`Door+Places.swift`).
    var stuck: [JobID: StuckJob] = [:]
    /// Tenants with so many of them that they get no new work here.
    var barred: Set<TenantID> = []
    private(set) var waitingCount = 0
    /// Jobs that take a place at the provider: submitted, or being submitted, and not ended.
    var occupied: Set<JobID> = []

    static let maxWaiting = 20_000
    static let openAfterFailures = 5
    let timing: GatewayTiming

    init(provider: ProviderID, spec: ProviderSpec, version: Int, timing: GatewayTiming, firstCall: Int = 0) {
        self.firstCall = firstCall
        self.timing = timing
        self.provider = provider
        self.spec = spec
        self.version = version
        limit = Self.defaultMaxRunning
        limit = maxRunning
    }

    static let defaultMaxRunning = 8
    var maxRunning: Int { max(1, spec.maxRunning ?? Self.defaultMaxRunning) }
    var pollMilliseconds: Int64 { max(1_000, Span.seconds(spec.pollSeconds ?? 1)) }

    /// Another gateway may have sent this job already: its tick was due before the provider came here, as far as clocks can
    /// tell. At its deadline the provider is asked before anybody calls it expired.
    func mayBeKnown(_ job: JobID) -> Bool {
        movedAt.map { job.time <= $0.advanced(bySeconds: Self.clockSlackSeconds) } ?? false
    }

    private static let clockSlackSeconds = 900

    mutating func enqueue(_ job: JobID, of tenant: TenantID) {
        if waiting[tenant] == nil { turns.append(tenant) }
        waiting[tenant, default: []].append(job)
        waitingCount += 1
    }

    /// The next job whose turn it is; its tenant goes to the end of the row.
    mutating func dequeue() -> JobID? {
        guard let index = turns.firstIndex(where: { !barred.contains($0) }), var queue = waiting[turns[index]] else {
            return nil
        }
        let tenant = turns.remove(at: index)
        let job = queue.removeFirst()
        waitingCount -= 1
        if queue.isEmpty {
            waiting[tenant] = nil
        } else {
            waiting[tenant] = queue
            turns.append(tenant)
        }
        return job
    }

    func isWaiting(_ job: JobID, of tenant: TenantID) -> Bool { waiting[tenant]?.contains(job) ?? false }

    /// What of the row is not as it always is.
    var brokenQueue: String? {
        if waiting.values.contains(where: \.isEmpty) { return "a tenant without jobs stands in the row" }
        if Set(turns) != Set(waiting.keys) || turns.count != waiting.count { return "turns are not those who wait" }
        if waiting.values.reduce(0, { $0 + $1.count }) != waitingCount { return "who waits is counted wrong" }
        return nil
    }

    /// A call has come back.
    mutating func ended(_ call: ProviderCall) {
        guard call.id >= firstCall else { return }
        switch call.kind {
        case .submit:
            jobCalls -= 1
            submits -= 1
        case .job, .stop: jobCalls -= 1
        case .services, .status, .sweep, .batch: break
        }
    }

    func maySubmit(at now: Moment) -> Bool {
        hasRoom && now.monotonic >= submitFrom
    }

    /// There is a place, and somebody who may take it.
    var mayFill: Bool {
        waitingCount > 0 && taken < limit && (barred.isEmpty || turns.contains { !barred.contains($0) })
    }

    /// A job waits, and nothing but time keeps it from going out.
    var hasRoom: Bool {
        circuit == .closed && mayFill && submits < Self.maxSubmits && jobCalls < Self.maxJobCalls
    }

    /// Nothing goes out before then (monotonic).
    var submitFrom: Int64 { max(throttledUntil, nextSubmit, askFrom) }

    mutating func submitted(isRetry: Bool, at now: Moment) {
        if !isRetry { retryBudget = min(Self.maxRetryBudget, retryBudget + Self.retriesPerSubmit) }
        if let rate = spec.maxSubmitsPerSecond {
            nextSubmit = max(nextSubmit, now.monotonic - 1_000) + Int64(1_000 / max(1, rate))
        }
    }

    /// - Returns: whether there was a retry left; without one the job waits longer.
    mutating func spendRetry(at now: Moment) -> Bool {
        guard retryBudget >= 1 else {
            // A trickle, so that a quiet provider is tried again. By time and not by askers: of few jobs none would
            // get its turn before its deadline.
            guard now.monotonic >= nextTrickle else { return false }
            nextTrickle = now.monotonic + 1_000
            return true
        }
        retryBudget -= 1
        return true
    }

    /// An open job that neither the sweep nor an answer mentioned for so long is read by itself; sooner where the
    /// provider forgets sooner, so that results are claimed in time.
    var quietMilliseconds: Int64 {
        let usual = min(timing.quietMilliseconds, max(1_000, Span.seconds(retentionSeconds) / 2))
        return isListUnusable ? min(usual, max(2_000, 2 * pollMilliseconds)) : usual
    }

    /// How long ended jobs can be asked for. What is no number of seconds (0, less, or absent) says nothing, so that what
    /// the contract has for an absent one counts.
    var retentionSeconds: Int {
        guard let said = report?.retentionSeconds, said > 0 else { return Self.defaultRetentionSeconds }
        return min(said, Span.maxSeconds)
    }

    private static let defaultRetentionSeconds = 86_400

    /// The first job in flight begins the sweep, soon: short jobs end within a poll interval.
    mutating func beginSweeping(from updated: Timestamp, at now: Moment) {
        guard watermark == nil else { return }
        watermark = (isCredible(updated, at: now) ? updated : now.wall).advanced(bySeconds: -2)
        nextSweep = now.monotonic + min(pollMilliseconds, 250)
    }

    /// A time of change that lies ahead of the provider's own clock would move the watermark past all that changes until then.
    func isCredible(_ updated: Timestamp, at now: Moment) -> Bool {
        updated <= now.wall.advanced(byMilliseconds: clockAhead + Self.updateSlackMilliseconds)
    }

    /// Of clocks that nobody has to look at; also as long as a provider may take to write a change down.
    private static let updateSlackMilliseconds: Int64 = 60_000
    private static let maxClockAhead: Int64 = 86_400_000

    mutating func note(clock time: Timestamp, at now: Moment) {
        let ahead = time.milliseconds.minus(now.wall.milliseconds)
        clockAhead = min(max(ahead, 0), Self.maxClockAhead)
        // Once told it ends below the limit, so that a clock that drifts along it does not come and go.
        let limit = clockFault == nil ? Self.updateSlackMilliseconds : Self.updateSlackMilliseconds - 10_000
        guard time != OddRow.unsaid, ahead.magnitude > UInt64(limit) else {
            clockFault = nil
            return
        }
        let words = "\(ahead.magnitude / 1_000) s \(ahead > 0 ? "ahead of" : "behind")"
        clockFault = Problem(
            .providerMalformed,
            "its clock is \(words) its gateway's: set whichever is wrong, for deadlines and times go by both")
    }

    /// A page could be read.
    mutating func readList() {
        failedSweeps = 0
        isListUnusable = false
        pageSize = min(Self.maxPageSize, 2 * pageSize)
    }

    mutating func scheduleSweep(at now: Moment) { nextSweep = now.monotonic + pollMilliseconds }

    /// - Parameter until: monotonic.
    mutating func throttle(until: Int64) {
        limit = max(1, min(limit, taken) / 2)
        throttledUntil = max(throttledUntil, until)
        throttles = min(throttles + 1, 1_000)
    }

    mutating func succeeded() {
        throttles = 0
        if limit < maxRunning { limit += 1 }
    }

    /// It refused for now, or answered like a broken server, while it may say of itself that all is well.
    mutating func note(trouble problem: Problem, at now: Moment) {
        trouble = problem
        troubleEnds = now.monotonic + 12 * timing.probeMilliseconds
    }

    /// - Returns: whether health or circuit changed.
    mutating func take(_ sign: HealthSign, at now: Moment) -> Bool {
        let before = (status, circuit, reason)
        checked = now.wall
        switch sign {
        case .none: break
        case .good:
            failures = 0
            error = nil
            if now.monotonic >= warningEnds { warning = nil }
            if now.monotonic >= troubleEnds { trouble = nil }
            if circuit != .closed { circuit = .closed }
            status = report.map { Health.Status($0.status) } ?? .pass
            if warning != nil || trouble != nil || statusFault != nil || clockFault != nil, status == .pass {
                status = .warn
            }
        case .warning(let problem):
            warning = problem
            warningEnds = now.monotonic + 12 * timing.probeMilliseconds
            failures = 0
            if status == .pass || status == .unknown { status = .warn }
        case .failure(let problem):
            failures += 1
            error = problem
            if failures >= 3 || circuit != .closed {
                status = problem.slug == ProblemSlug.providerUnreachable.rawValue ? .unreachable : .fail
            } else if status == .pass || status == .unknown {
                status = .warn
            }
            if failures >= Self.openAfterFailures, circuit == .closed { open(at: now) }
        case .fatal(let problem):
            failures += 1
            error = problem
            status = .fail
            if circuit == .closed { open(at: now) }
        }
        return before.0 != status || before.1 != circuit || before.2?.slug != reason?.slug
    }

    private mutating func open(at now: Moment) {
        circuit = .open
        nextStatus = now.monotonic + timing.probeMilliseconds
    }

    func health(gateway: NodeID, boot: Int64, at now: Moment) -> Health {
        Health(
            status: !stuck.isEmpty && status == .pass ? .warn : status, checked: checked ?? now.wall,
            latencyMilliseconds: latency, circuit: circuit, gateway: gateway, boot: boot, report: report,
            error: reason)
    }

    /// Why it is not simply well, in the words of the most pressing fault.
    var reason: Problem? { error ?? statusFault ?? trouble ?? warning ?? clockFault ?? stuckProblem }
}

extension Health.Status {
    init(_ level: ProviderStatus.Level) {
        switch level {
        case .pass: self = .pass
        case .warn: self = .warn
        case .fail: self = .fail
        }
    }
}
