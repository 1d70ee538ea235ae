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
        /// Of jobs that are `stopping`: when they should have ended.
        var graces: [JobID: Grace] = [:]
        var isDraining = false
        var isStopping = false
        var threads = 0
        /// The last failure of the job store, shown in `/status` until an access succeeds again.
        var storeFailure: String?
    }

    struct Grace: Hashable {
        /// Monotonic milliseconds.
        var end: Int64
        var seconds: Int
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

    func job(_ id: JobID) throws -> ProviderJob {
        try access(.read) { state in
            if let job = try state.store.job(id) { return job }
            throw try state.store.wasPurged(id) ? Self.purged(id) : Self.noSuchJob(id)
        }
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

    static func noSuchJob(_ id: JobID) -> Problem {
        Problem(.noSuchJob, "there is no job \(id) here", status: 404, retryable: false)
    }

    static func purged(_ id: JobID) -> Problem {
        Problem(
            .purged, "job \(id) has ended and was removed after the retention; see retention_s in /status", status: 410,
            retryable: false)
    }
}

extension WallClock {
    static var now: Timestamp { Timestamp(milliseconds: milliseconds) }
}
