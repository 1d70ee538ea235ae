import OMSCore
import OMSModel

/// A Service Provider: keeps jobs by the client's id, runs them, forgets them, and does all that badly if the weather
/// says so. Its log of executions is the ground truth of the simulation.
struct SimProvider {
    struct Job {
        let request: JobRequest
        /// Of the call that created it.
        let epoch: Int
        var state: JobState = .queued
        var revision = 1
        let created: Timestamp
        var started: Timestamp?
        var updated: Timestamp
        var finished: Timestamp?
        /// When it starts and ends if nobody stops it.
        let startAt: SimTime
        let endAt: SimTime
        let succeeds: Bool
        var stopAt: SimTime?
    }

    /// One beginning of the work of a job.
    struct Execution {
        var job: JobID
        var tenant: TenantID
        var epoch: Int
        /// Counted up when the provider loses its memory: what it lost it cannot recognise.
        var memory: Int
        var at: SimTime
    }

    let id: ProviderID
    let traits: ProviderTraits
    var weather = ProviderWeather()
    private(set) var jobs: [JobID: Job] = [:]
    /// Not ended, ascending.
    private var open: [JobID] = []
    private var purged: Set<JobID> = []
    private var tombstones: Set<JobID> = []
    /// Stops of absent jobs that it had confirmed and has forgotten: a submit that comes after that is carried out.
    private(set) var forgottenStops: Set<JobID> = []
    private var epochs: [TenantID: Int] = [:]
    private(set) var memory = 0
    private(set) var startedAt: SimTime = 0
    var random: SimRandom
    /// Executions since the last look.
    var executions: [Execution] = []
    /// Jobs about which something untrue was said: what OMS believes of them proves nothing.
    private(set) var liedAbout: Set<JobID> = []
    var isIdempotent = true
    /// What it says of some jobs, in bytes.
    var bulk = 0
    var hasTombstones: Bool
    private var extras = 0
    /// From now on no stop ends a job that runs: it says `stopping` for ever.
    var neverStops = false
    /// Jobs that it will never end, and since when.
    private(set) var immortal: [JobID: SimTime] = [:]

    init(id: ProviderID, traits: ProviderTraits, random: SimRandom) {
        self.id = id
        self.traits = traits
        self.random = random
        hasTombstones = traits.tombstones
    }

    mutating func restart(forgetting: Bool, at now: SimTime) {
        advance(to: now)
        startedAt = now
        guard forgetting else { return }
        forgottenStops.formUnion(tombstones)
        jobs = [:]
        open = []
        purged = []
        tombstones = []
        memory += 1
        immortal = [:]
    }

    /// Whether it ever began to work on the job; nil where nobody can know any more.
    func hasSucceeded(_ job: JobID) -> Bool? { jobs[job].map { $0.state == .succeeded } }

    // MARK: - Work

    /// Moves every job to where it stands now.
    mutating func advance(to now: SimTime) {
        guard !open.isEmpty else { return }
        var stillOpen: [JobID] = []
        for id in open {
            guard var job = jobs[id] else { continue }
            advance(&job, to: now)
            jobs[id] = job
            if !job.state.isTerminal { stillOpen.append(id) }
        }
        open = stillOpen
    }

    private mutating func advance(_ job: inout Job, to now: SimTime) {
        if job.state == .queued, now >= job.startAt {
            let at = SimClock.wall(job.startAt, offset: 0)
            if let deadline = job.request.deadline, at >= deadline {
                finish(&job, .failed, at: job.startAt)
            } else {
                job.state = .running
                job.started = at
                change(&job, at: job.startAt)
                executions.append(
                    Execution(
                        job: job.request.id, tenant: job.request.tenant, epoch: job.epoch, memory: memory,
                        at: job.startAt))
            }
        }
        if job.state == .stopping, let stopAt = job.stopAt, now >= stopAt { finish(&job, .stopped, at: stopAt) }
        if job.state == .running, now >= job.endAt { finish(&job, job.succeeds ? .succeeded : .failed, at: job.endAt) }
    }

    private func change(_ job: inout Job, at time: SimTime) {
        job.revision += 1
        job.updated = max(job.updated, SimClock.wall(time, offset: 0))
    }

    private func finish(_ job: inout Job, _ state: JobState, at time: SimTime) {
        job.state = state
        change(&job, at: time)
        job.finished = job.updated
    }

    private mutating func purge(at now: SimTime) {
        let limit = SimClock.wall(now, offset: 0).advanced(bySeconds: -traits.retentionSeconds)
        for id in jobs.filter({ $0.value.finished.map { $0 < limit } ?? false }).keys {
            jobs[id] = nil
            purged.insert(id)
        }
    }

    // MARK: - Calls

    mutating func answer(_ call: ProviderCall, at now: SimTime) -> ProviderAnswer {
        advance(to: now)
        if case .status = call.kind { purge(at: now) }
        switch call.kind {
        case .services(let etag):
            if etag == traits.etag { return .answered(status: 304, retryAfterSeconds: nil, etag: etag, body: .empty) }
            return .answered(status: 200, retryAfterSeconds: nil, etag: traits.etag, body: .services(traits.catalog))
        case .status: return ok(.status(status(at: now)))
        case .sweep(let since, let token, _): return ok(.jobs(page(since, token, at: now)))
        case .batch(let ids):
            return ok(.jobs(list(ids.filter { jobs[$0] != nil }, at: now, next: nil)))
        case .job(let id): return read(id, at: now)
        case .submit(let request): return submit(request, epoch: call.epoch ?? 0, at: now)
        case .stop(let id, let action):
            if let fenced = fence(call) { return fenced }
            return stop(id, action, at: now)
        }
    }

    private func ok(_ body: ProviderAnswer.Body, _ status: Int = 200) -> ProviderAnswer {
        .answered(status: status, retryAfterSeconds: nil, etag: nil, body: body)
    }

    private func refuse(_ status: Int, _ slug: ProblemSlug, _ text: String) -> ProviderAnswer {
        ok(.problem(Problem(slug, text, status: status)), status)
    }

    /// Where the provider has the feature, it refuses what comes of a lower epoch than it has seen.
    private mutating func fence(_ call: ProviderCall) -> ProviderAnswer? {
        guard traits.fencing, let tenant = call.tenant, let epoch = call.epoch else { return nil }
        guard epoch >= epochs[tenant] ?? 0 else { return refuse(409, .providerFenced, "a newer epoch was seen") }
        epochs[tenant] = epoch
        return nil
    }

    private mutating func submit(_ request: JobRequest, epoch: Int, at now: SimTime) -> ProviderAnswer {
        if traits.fencing {
            if epoch < epochs[request.tenant] ?? 0 { return refuse(409, .providerFenced, "a newer epoch was seen") }
            epochs[request.tenant] = epoch
        }
        if hasTombstones, tombstones.contains(request.id) { return refuse(409, .stopped, "stopped before it came") }
        if purged.contains(request.id) { return refuse(410, .purged, "it was here and is gone") }
        if let known = jobs[request.id] {
            guard known.request == request else { return refuse(409, .idConflict, "the id has another request") }
            if isIdempotent { return ok(.job(view(known))) }
            // The mutant's provider runs whatever it gets.
            extras += 1
            executions.append(
                Execution(job: request.id, tenant: request.tenant, epoch: epoch, memory: memory, at: now))
            return ok(.job(view(known)))
        }
        let wait = random.int(0...traits.queueMilliseconds) * SimClock.millisecond
        let run = random.int(traits.runMilliseconds) * SimClock.millisecond
        let hangs = random.chance(weather.hangs)
        let timeout = SimTime(request.config.timeoutSeconds ?? 300) * SimClock.second
        // A job that hangs is ended by its provider in the end, but not in time.
        let lasts = hangs ? timeout + 60 * SimClock.second : min(run, timeout)
        let wall = SimClock.wall(now, offset: 0)
        let job = Job(
            request: request, epoch: epoch, created: wall, updated: wall, startAt: now + wait,
            endAt: now + wait + lasts, succeeds: !hangs && run <= timeout && !random.chance(traits.failureRate))
        jobs[request.id] = job
        open.append(request.id)
        return ok(.job(view(job)), 201)
    }

    private mutating func read(_ id: JobID, at now: SimTime) -> ProviderAnswer {
        guard let job = jobs[id] else {
            return purged.contains(id)
                ? refuse(410, .purged, "it was here and is gone") : refuse(404, .noSuchJob, "no job \(id)")
        }
        if random.chance(weather.denies) {
            liedAbout.insert(id)
            return refuse(404, .noSuchJob, "no job \(id)")
        }
        return ok(.job(lie(view(job))))
    }

    private mutating func stop(_ id: JobID, _ action: JobAction, at now: SimTime) -> ProviderAnswer {
        guard var job = jobs[id] else {
            if purged.contains(id) { return refuse(410, .purged, "it was here and is gone") }
            tombstones.insert(id)
            return refuse(404, .noSuchJob, "no job \(id); one that comes later is refused")
        }
        switch job.state {
        case .queued: finish(&job, .stopped, at: now)
        case .running where traits.stoppable:
            job.state = .stopping
            let most = Int64(action.graceSeconds ?? 0) * 1000
            if neverStops {
                immortal[id] = now
            } else {
                job.stopAt = now + random.int(0...max(1, most)) * SimClock.millisecond
            }
            change(&job, at: now)
        case .running: return refuse(409, .notStoppable, "it cannot be stopped")
        default: break
        }
        jobs[id] = job
        return ok(.job(view(job)))
    }

    // MARK: - Views

    private mutating func lie(_ truth: ProviderJob) -> ProviderJob {
        guard random.chance(weather.lies) else { return truth }
        liedAbout.insert(truth.id)
        var job = truth
        switch random.int(0...2) {
        case 0:  // the state falls back
            job.state = .queued
            job.finished = nil
            job.outputs = nil
            job.error = nil
            job.revision += 1
        case 1:  // the revision falls
            job.revision = max(0, job.revision - 2)
        default:  // a second, other end
            job.state = truth.state == .succeeded ? .failed : .succeeded
            job.finished = job.updated
            job.revision += 1
        }
        return job
    }

    private func view(_ job: Job) -> ProviderJob {
        var outputs: JSONObject?
        if job.state == .succeeded {
            outputs = ["ranking": ["value": [["item": .string(id.text)], ["item": "common"]]]]
            if let notes = bulkText(of: job, stream: 0) { outputs?["notes"] = ["value": .string(notes)] }
        }
        var error: Problem?
        if job.state == .failed {
            error = Problem(
                .jobFailed, bulkText(of: job, stream: 1) ?? "simulated", retryable: traits.failuresAreRetryable)
        }
        return ProviderJob(
            id: job.request.id, service: job.request.service, tenant: job.request.tenant, state: job.state,
            revision: job.revision, message: bulkText(of: job, stream: 2), created: job.created, started: job.started,
            updated: job.updated, finished: job.finished, labels: job.request.labels, outputs: outputs, error: error)
    }

    /// The same for a job whenever it is asked for: nothing, some or much.
    private func bulkText(of job: Job, stream: UInt64) -> String? {
        guard bulk > 0, job.state != .queued else { return nil }
        let hash = "\(job.request.id)".utf8.reduce(stream &+ 0xCBF2_9CE4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01B3
        }
        let share = [0, 0, 20, 4, 1][Int(hash >> 33) % 5]
        return share == 0 ? nil : String(repeating: "x", count: bulk / share)
    }

    private mutating func page(_ since: Timestamp, _ token: String?, at now: SimTime) -> JobList {
        let changed = jobs.values.filter { $0.updated >= since }
            .sorted { ($0.updated, $0.request.id) < ($1.updated, $1.request.id) }.map(\.request.id)
        let from = min(token.flatMap { Int($0) } ?? 0, changed.count)
        let to = min(from + traits.pageSize, changed.count)
        return list(Array(changed[from..<to]), at: now, next: to < changed.count ? "\(to)" : nil)
    }

    private mutating func list(_ ids: [JobID], at now: SimTime, next: String?) -> JobList {
        let shown = ids.compactMap { jobs[$0] }.map { lie(view($0)) }
        return JobList(
            statistics: JobStatistics(asOf: SimClock.wall(now, offset: 0), counts: [:]), jobs: shown,
            nextPageToken: next)
    }

    private func status(at now: SimTime) -> ProviderStatus {
        ProviderStatus(
            status: .pass, version: "1", time: SimClock.wall(now, offset: 0),
            startedAt: SimClock.wall(startedAt, offset: 0), uptimeSeconds: Int((now - startedAt) / SimClock.second),
            accepting: true, retentionSeconds: traits.retentionSeconds, features: [])
    }
}
