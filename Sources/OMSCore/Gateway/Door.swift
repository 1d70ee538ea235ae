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
    /// Jobs in flight now allowed; halves when the provider is full, grows back with successes.
    var limit: Int

    /// Waiting submissions by tenant, served in turns, so that no tenant's crowd delays another's first job.
    private var waiting: [TenantID: [JobID]] = [:]
    private var turns: [TenantID] = []
    /// Jobs that go on after their stop: of `occupied`, but without a place (`Door+Places.swift`).
    var stuck: [JobID: StuckJob] = [:]
    /// Tenants with so many of them that they get no new work here.
    var barred: Set<TenantID> = []
    private(set) var waitingCount = 0
    /// Jobs that take a place at the provider: submitted, or being submitted, and not ended.
    var occupied: Set<JobID> = []

    static let maxWaiting = 20_000
    static let openAfterFailures = 5
    let timing: GatewayTiming

    init(provider: ProviderID, spec: ProviderSpec, version: Int, timing: GatewayTiming) {
        self.timing = timing
        self.provider = provider
        self.spec = spec
        self.version = version
        limit = spec.maxRunning ?? Self.defaultMaxRunning
    }

    static let defaultMaxRunning = 8
    var maxRunning: Int { spec.maxRunning ?? Self.defaultMaxRunning }
    var pollMilliseconds: Int64 { Int64(max(1, spec.pollSeconds ?? 1)) * 1000 }

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

    func maySubmit(at now: Moment) -> Bool {
        circuit == .closed && now.monotonic >= submitFrom && mayFill
    }

    /// There is a place, and somebody who may take it.
    var mayFill: Bool {
        waitingCount > 0 && taken < limit && (barred.isEmpty || turns.contains { !barred.contains($0) })
    }

    /// Nothing goes out before then (monotonic).
    var submitFrom: Int64 { max(throttledUntil, nextSubmit) }

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
        min(timing.quietMilliseconds, Int64(max(2, report?.retentionSeconds ?? 86_400)) * 500)
    }

    /// The first job in flight begins the sweep, soon: short jobs end within a poll interval.
    mutating func beginSweeping(from updated: Timestamp, at now: Moment) {
        guard watermark == nil else { return }
        watermark = updated.advanced(bySeconds: -2)
        nextSweep = now.monotonic + min(pollMilliseconds, 250)
    }

    mutating func scheduleSweep(at now: Moment) { nextSweep = now.monotonic + pollMilliseconds }

    mutating func throttle(afterSeconds: Int?, at now: Moment) {
        limit = max(1, min(limit, taken) / 2)
        throttledUntil = max(throttledUntil, now.monotonic + Int64(afterSeconds ?? 1) * 1000)
    }

    mutating func succeeded() { if limit < maxRunning { limit += 1 } }

    /// - Returns: whether health or circuit changed.
    mutating func take(_ sign: HealthSign, at now: Moment) -> Bool {
        let before = (status, circuit, error)
        checked = now.wall
        switch sign {
        case .none: break
        case .good:
            failures = 0
            error = nil
            if now.monotonic >= warningEnds { warning = nil }
            if circuit != .closed { circuit = .closed }
            status = report.map { Health.Status($0.status) } ?? .pass
            if warning != nil || statusFault != nil, status == .pass { status = .warn }
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
        return before.0 != status || before.1 != circuit || before.2?.slug != error?.slug
    }

    private mutating func open(at now: Moment) {
        circuit = .open
        nextStatus = now.monotonic + timing.probeMilliseconds
    }

    func health(gateway: NodeID, boot: Int64, at now: Moment) -> Health {
        Health(
            status: !stuck.isEmpty && status == .pass ? .warn : status, checked: checked ?? now.wall,
            latencyMilliseconds: latency, circuit: circuit,
            gateway: gateway, boot: boot, report: report, error: error ?? statusFault ?? warning ?? stuckProblem)
    }
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
