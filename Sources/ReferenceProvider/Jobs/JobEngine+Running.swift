import Logging
import OMSModel
import OMSRuntime

extension JobEngine {
    /// Starts the worker threads and the housekeeping thread.
    func start() {
        let count = limits.maxRunning + 1
        monitor.change { $0.threads = count }
        for number in 1...limits.maxRunning {
            startThread("job-\(number)") {
                while let task = self.nextTask() { self.run(task) }
                self.monitor.change { $0.threads -= 1 }
            }
        }
        startThread("housekeeping") {
            self.keepHouse()
            self.monitor.change { $0.threads -= 1 }
        }
    }

    /// Takes no new jobs, gives running ones `graceMilliseconds` to end, then interrupts them: they stay `running` in
    /// the store and the next start runs them again. Queued jobs stay queued.
    ///
    /// - Returns: How many jobs were left unfinished.
    func drain(graceMilliseconds: Int) -> Int {
        monitor.change { $0.isDraining = true }
        let ended: Void? = monitor.wait(until: MonotonicClock.milliseconds + Int64(graceMilliseconds)) {
            $0.running.isEmpty ? () : nil
        }
        let left = monitor.change { state -> [JobControl] in
            state.isStopping = true
            return Array(state.running.values)
        }
        if ended == nil { for control in left { control.interrupt(.shutdown) } }
        // Jobs look at their control every few milliseconds; the bound only guards against a hanging file system.
        let joined: Void? = monitor.wait(until: MonotonicClock.milliseconds + 10_000) { $0.threads == 0 ? () : nil }
        if joined == nil { log.error("job threads did not end in time") }
        return left.count
    }

    private struct RunTask {
        var request: JobRequest
        var service: any Service
        var control: JobControl
    }

    /// Waits for the next job; nil when the provider stops.
    private func nextTask() -> RunTask? {
        enum Found {
            case task(RunTask)
            case end
        }
        while true {
            do {
                let found = try monitor.wait(until: MonotonicClock.milliseconds + 60_000) { state -> Found? in
                    if state.isStopping { return .end }
                    if state.isDraining { return nil }
                    return try self.take(&state).map { .task($0) }
                }
                switch found {
                case .task(let task): return task
                case .end: return nil
                case nil: continue  // the wait's own limit
                }
            } catch {
                // A full disk, most likely. The next access may work; until then look again once a second.
                log.error("cannot take a job from the store", metadata: ["error": "\(error)"])
                let stop: Void? = monitor.wait(until: MonotonicClock.milliseconds + 1000) { $0.isStopping ? () : nil }
                if stop != nil { return nil }
            }
        }
    }

    private func take(_ state: inout State) throws -> RunTask? {
        let now = WallClock.now
        try expireQueued(&state, now: now)
        while true {
            let resumed = state.resumable.first
            guard let id = try resumed ?? state.store.nextQueued() else { return nil }
            guard let request = try state.store.request(of: id) else {
                throw Problem(.internal, "job \(id) vanished from the store")
            }
            if resumed == nil { try state.store.start(id, now: now) } else { state.resumable.removeFirst() }
            // The set of offered services may have changed with the restart.
            guard let service = services[request.service] else {
                let problem = Problem(.noSuchService, "service '\(request.service)' is no longer offered here")
                try state.store.finish(id, .failed(problem), now: now)
                continue
            }
            let control = JobControl(timeoutSeconds: service.timeoutSeconds(for: request))
            state.running[id] = control
            return RunTask(request: request, service: service, control: control)
        }
    }

    private func run(_ task: RunTask) {
        let id = task.request.id
        let began = MonotonicClock.milliseconds
        let tags: Logger.Metadata = [
            "job": "\(id)", "tenant": "\(task.request.tenant)", "service_id": "\(task.request.service)",
        ]
        log.info("job started", metadata: tags)
        let context = JobContext(
            request: task.request, config: task.service.effectiveConfig(of: task.request), roots: roots,
            downloads: downloads, control: task.control
        ) { progress, message in
            try self.access(.change) {
                try $0.store.report(id, progress: progress, message: message, now: WallClock.now)
            }
        }
        let end: JobEnd?
        do {
            let result = try task.service.run(context)
            end = Self.checked(result)
        } catch {
            end = Self.end(by: error, task.control)
        }
        record(end, of: id)
        let outcome: String =
            switch end {
            case .succeeded: "succeeded"
            case .failed(let problem): "failed: \(problem.slug): \(problem.detail ?? "")"
            case .stopped: "stopped"
            case nil: "interrupted by shutdown"
            }
        let more: Logger.Metadata = [
            "state": "\(outcome)", "duration_ms": "\(MonotonicClock.milliseconds - began)",
        ]
        log.info("job ended", metadata: tags.merging(more) { _, new in new })
    }

    /// How a job ended that threw `error`; nil when it is to run again.
    private static func end(by error: any Error, _ control: JobControl) -> JobEnd? {
        // An interrupted statement or transfer reports an error of its own kind; what interrupted it is the reason.
        switch error as? Interruption ?? control.pending {
        case .stop(let message): return .stopped(message)
        case .timeout(let seconds):
            let detail = "the job ran longer than its timeout_s = \(seconds); raise it or give the job less to do"
            return .failed(Problem(.timeout, detail, retryable: true))
        case .shutdown: return nil
        case nil: return .failed(error as? Problem ?? Problem(.jobFailed, "\(error)", retryable: false))
        }
    }

    /// Tries until the end is stored: a job whose end is lost would be `running` for ever.
    private func record(_ end: JobEnd?, of id: JobID) {
        while true {
            do {
                try access(.change) { state in
                    if let end { try state.store.finish(id, end, now: WallClock.now) }
                    state.running[id] = nil
                    state.graces[id] = nil
                }
                return
            } catch {
                log.error("cannot store the end of a job", metadata: ["job": "\(id)", "error": "\(error)"])
                let stop: Void? = monitor.wait(until: MonotonicClock.milliseconds + 1000) { $0.isStopping ? () : nil }
                if stop != nil {
                    // It is `running` in the store and will be run again by the next start.
                    monitor.change { $0.running[id] = nil }
                    return
                }
            }
        }
    }

    /// Outputs beyond 32 KiB belong into `output_source`, not into the job.
    private static func checked(_ result: JobResult) -> JobEnd {
        let size = (try? JSONText.encode(result.outputs).count) ?? Int.max
        guard size <= 32 << 10 else {
            return .failed(Problem(.jobFailed, "the outputs are \(size) bytes; at most 32768 fit into a job"))
        }
        return .succeeded(outputs: result.outputs, message: result.message)
    }

    /// Fails queued jobs at their deadline also while all workers are busy, marks stops that outlast their grace, and
    /// forgets old jobs.
    private func keepHouse() {
        var nextPurge = MonotonicClock.milliseconds
        while true {
            do {
                if MonotonicClock.milliseconds >= nextPurge {
                    let purged = try access(.read) { state in
                        let now = WallClock.now
                        try state.store.forgetOld(now: now)
                        let oldest = now.advanced(bySeconds: -limits.retentionSeconds)
                        return try state.store.purge(finishedBefore: oldest, limit: 500, now: now)
                    }
                    // A full batch means that there is more: come back soon, but let others in between.
                    let pause = min(60_000, max(500, limits.retentionSeconds * 500))
                    nextPurge = MonotonicClock.milliseconds + Int64(purged == 500 ? 500 : pause)
                }
                let (due, grace) = try access(.change) { state -> (Timestamp?, Int64?) in
                    try expireQueued(&state, now: WallClock.now)
                    try markOverdue(&state, now: WallClock.now)
                    return (try state.store.earliestQueuedDeadline(), state.graces.values.map(\.end).min())
                }
                let untilDue = due.map { max(0, $0.milliseconds - WallClock.milliseconds) } ?? Int64.max / 2
                let limit = min(nextPurge, MonotonicClock.milliseconds + untilDue, grace ?? Int64.max)
                let stop: Bool? = try monitor.wait(until: limit) { state -> Bool? in
                    if state.isStopping { return true }
                    // Each change wakes this wait: a new job may bring an earlier deadline, a stop a grace.
                    if state.graces.values.map(\.end).min() != grace { return false }
                    return try state.store.earliestQueuedDeadline() != due ? false : nil
                }
                if stop == true { return }
            } catch {
                log.error("housekeeping failed", metadata: ["error": "\(error)"])
                let stop: Void? = monitor.wait(until: MonotonicClock.milliseconds + 1000) { $0.isStopping ? () : nil }
                if stop != nil { return }
            }
        }
    }

    private func markOverdue(_ state: inout State, now: Timestamp) throws {
        for (id, grace) in state.graces where grace.end <= MonotonicClock.milliseconds {
            state.graces[id] = nil
            try state.store.markOverdue(id, graceSeconds: grace.seconds, now: now)
            log.warning("job outlasts its grace", metadata: ["job": "\(id)", "grace_s": "\(grace.seconds)"])
        }
    }

    private func expireQueued(_ state: inout State, now: Timestamp) throws {
        for id in try state.store.queued(withDeadlineUpTo: now) {
            let detail = "the job had not started by its deadline; submit it again with a later one"
            try state.store.finish(id, .failed(Problem(.deadline, detail, retryable: true)), now: now)
        }
    }
}
