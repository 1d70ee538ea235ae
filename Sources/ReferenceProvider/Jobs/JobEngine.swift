import Logging
import OMSModel
import OMSRuntime
import SQLite

/// Takes, keeps and runs jobs: the rules of the provider interface over `JobStore`.
///
/// All state is in one monitor. Callers are the HTTP server's connection threads, `maxRunning` worker threads and one
/// housekeeping thread. The queue is the store itself, bounded by `maxQueued`.
final class JobEngine: Sendable {
    struct State {
        var store: JobStore
        var running: [JobID: JobControl] = [:]
        /// Jobs that the previous run of this provider left `running`; workers take them before the queue.
        var resumable: [JobID] = []
        var isDraining = false
        var isStopping = false
        var threads = 0
        /// The last failure of the job store, shown in `/status` until an access succeeds again.
        var storeFailure: String?
    }

    struct Limits: Sendable {
        var maxRunning: Int
        var maxQueued: Int
        var retentionSeconds = 86_400
    }

    let monitor: Monitor<State>
    let services: ServiceCatalogue
    let limits: Limits
    let roots: DataRoots
    let downloads: Downloads
    let log: Logger
    let startedAt = WallClock.now
    let startedMonotonic = MonotonicClock.milliseconds

    /// - Throws: `SQLiteError` when the state file cannot be used.
    init(
        statePath: String, services: ServiceCatalogue, limits: Limits, roots: DataRoots, downloads: Downloads,
        log: Logger
    ) throws {
        self.services = services
        self.limits = limits
        self.roots = roots
        self.downloads = downloads
        self.log = log
        let store = try JobStore(path: statePath)
        let now = WallClock.now
        for id in try store.jobs(in: .stopping) {
            try store.finish(id, .stopped("stopped while the provider was down"), now: now)
        }
        var state = State(store: store)
        state.resumable = try store.jobs(in: .running)
        for id in state.resumable { try store.restart(id, now: now) }
        let resumed = state.resumable.count
        monitor = Monitor(state)
        if resumed > 0 { log.notice("jobs of the previous run are run again", metadata: ["count": "\(resumed)"]) }
    }

    enum Submission {
        case created(ProviderJob)
        case known(ProviderJob)
    }

    /// - Throws: `Problem`: what the caller is to answer.
    func submit(_ request: JobRequest, hash: String) throws -> Submission {
        // Looked up before anything is refused: a repeated submit must find its job also while the provider drains, is
        // full or no longer offers the service.
        if let job = try known(request.id, hash: hash) { return .known(job) }
        guard let service = services[request.service] else {
            throw Problem(
                .noSuchService, "there is no service '\(request.service)' here; see GET /services", status: 404)
        }
        let errors = service.errors(in: request)
        if !errors.isEmpty {
            let summary = errors.map { "\($0.pointer): \($0.detail)" }.joined(separator: "; ")
            throw Problem(.invalidConfig, String(summary.prefix(2000)), status: 422, retryable: false, errors: errors)
        }
        return try access(.change) { state in
            if state.isDraining || state.isStopping {
                throw Problem(.draining, "the provider is shutting down; try again later", status: 503, retryable: true)
            }
            // Two submits of one id may have passed the first look together.
            if let job = try Self.known(request.id, hash: hash, in: state.store) { return .known(job) }
            if try state.store.count(.queued) >= limits.maxQueued {
                throw Problem(
                    .busy, "\(limits.maxQueued) jobs are queued, which is the limit; try again later", status: 429,
                    retryable: true)
            }
            try state.store.insert(request, hash: hash, now: WallClock.now)
            guard let job = try state.store.job(request.id) else {
                throw Problem(.internal, "the job is not in the store after it was stored", status: 500)
            }
            return .created(job)
        }
    }

    /// Asks a job to end. `accepted` is true while it is still at it.
    func stop(_ id: JobID, reason: String?) throws -> (job: ProviderJob, accepted: Bool) {
        try access(.change) { state in
            guard let job = try state.store.job(id) else { throw Self.noSuchJob(id) }
            let message = reason.map { "stopped: \($0)" } ?? "stopped on request"
            let now = WallClock.now
            switch job.state {
            case .queued:
                try state.store.finish(id, .stopped(message), now: now)
            case .running:
                if let control = state.running[id] {
                    try state.store.markStopping(id, message: message, now: now)
                    control.interrupt(.stop(message))
                } else {
                    // Left over from the previous run and not taken up yet: nothing works on it.
                    state.resumable.removeAll { $0 == id }
                    try state.store.finish(id, .stopped(message), now: now)
                }
            case .stopping, .succeeded, .failed, .stopped: break
            case .pending, .submitting, .unknown, .rejected, .expired, .lost:
                preconditionFailure("a provider never stores the OMS state \(job.state)")
            }
            guard let after = try state.store.job(id) else { throw Self.noSuchJob(id) }
            return (after, after.state == .stopping)
        }
    }

    func job(_ id: JobID) throws -> ProviderJob {
        guard let job = try access(.read, { try $0.store.job(id) }) else { throw Self.noSuchJob(id) }
        return job
    }

    func list(_ query: JobQuery) throws -> (statistics: JobStatistics, jobs: [ProviderJob], next: JobQuery.Position?) {
        try access(.read) { state in
            let now = WallClock.now
            let (counts, oldest) = try state.store.statistics(tenant: query.tenant, service: query.service)
            let page = try state.store.page(query)
            let age = oldest.map { Int(max(0, now.milliseconds - $0.milliseconds) / 1000) }
            return (JobStatistics(asOf: now, counts: counts, oldestQueuedSeconds: age), page.jobs, page.next)
        }
    }

    enum Access { case read, change }

    /// Reaches the state and remembers whether the job store works.
    func access<Result>(_ kind: Access, _ body: (inout State) throws -> Result) throws -> Result {
        func guarded(_ state: inout State) throws -> Result {
            do {
                let result = try body(&state)
                state.storeFailure = nil
                return result
            } catch let error as SQLiteError {
                state.storeFailure = error.message
                throw Problem(
                    .internal, "the job store fails: \(error.message)", status: error.isBusy ? 503 : 500,
                    retryable: true)
            }
        }
        switch kind {
        case .read: return try monitor.read(guarded)
        case .change: return try monitor.change(guarded)
        }
    }

    private func known(_ id: JobID, hash: String) throws -> ProviderJob? {
        try access(.read) { try Self.known(id, hash: hash, in: $0.store) }
    }

    private static func known(_ id: JobID, hash: String, in store: JobStore) throws -> ProviderJob? {
        guard let stored = try store.requestHash(of: id) else { return nil }
        guard stored == hash else {
            throw Problem(
                .idConflict, "job \(id) exists with another request; use a new id for a new job", status: 409,
                retryable: false)
        }
        return try store.job(id)
    }

    private static func noSuchJob(_ id: JobID) -> Problem {
        Problem(.noSuchJob, "there is no job \(id) here; ended jobs are kept for a day", status: 404)
    }
}

extension WallClock {
    static var now: Timestamp { Timestamp(milliseconds: milliseconds) }
}
