import OMSModel
import OMSRuntime

/// On whose behalf a command comes: the headers OMS-Tenant and OMS-Epoch.
struct Caller: Hashable, Sendable {
    var tenant: TenantID?
    var epoch: Int64?
}

/// Submit and stop: the two commands, which are fenced (docs/reference/sp-interface section 3.2).
extension JobEngine {
    enum Submission {
        case created(ProviderJob)
        case known(ProviderJob)
    }

    /// - Throws: `Problem`: what the caller is to answer.
    func submit(_ request: JobRequest, hash: String, by caller: Caller = Caller()) throws -> Submission {
        // Looked up before anything is refused: a repeated submit must find its job also while the provider drains, is
        // full or no longer offers the service.
        if let job = try access(.read, { try self.admit(request, hash, caller, $0.store) }) { return .known(job) }
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
            // Again, in the same turn as the insertion: another submit of the id, a stop of it or a newer Work Manager
            // may have come between.
            if let job = try admit(request, hash, caller, state.store) { return .known(job) }
            if state.isDraining || state.isStopping {
                throw Problem(.draining, "the provider is shutting down; try again later", status: 503, retryable: true)
            }
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
    func stop(_ id: JobID, _ action: JobAction, by caller: Caller = Caller()) throws -> (
        job: ProviderJob, accepted: Bool
    ) {
        try access(.change) { state in
            let now = WallClock.now
            guard let job = try state.store.job(id) else {
                if let tenant = caller.tenant { try fence(tenant, caller, state.store) }
                if try state.store.wasPurged(id) { throw Self.purged(id) }
                // Its submit may still be under way; when it arrives it must not run.
                try state.store.bury(id, now: now)
                throw Self.noSuchJob(id)
            }
            try fence(job.tenant, caller, state.store)
            let message = action.reason.map { "stopped: \($0)" } ?? "stopped on request"
            switch job.state {
            case .queued:
                try state.store.finish(id, .stopped(message), now: now)
            case .running:
                if let control = state.running[id] {
                    try state.store.markStopping(id, message: message, now: now)
                    let seconds = action.graceSeconds ?? Self.defaultGraceSeconds
                    state.graces[id] = Grace(
                        end: MonotonicClock.milliseconds + Int64(seconds) * 1000, seconds: seconds)
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

    private static let defaultGraceSeconds = 30

    /// The job of a repeated submit, nil for a new one.
    ///
    /// - Throws: `Problem` 400, 409 or 410, when this id must not become a job.
    private func admit(_ request: JobRequest, _ hash: String, _ caller: Caller, _ store: JobStore) throws
        -> ProviderJob?
    {
        try fence(request.tenant, caller, store)
        let id = request.id
        if let stored = try store.requestHash(of: id) {
            guard stored == hash else {
                throw Problem(
                    .idConflict, "job \(id) exists with another request; use a new id for a new job", status: 409,
                    retryable: false)
            }
            return try store.job(id)
        }
        if try store.wasPurged(id) { throw Self.purged(id) }
        if try store.isBuried(id, now: WallClock.now) {
            throw Problem(
                .stopped, "job \(id) was stopped before it was submitted; use a new id for a new job", status: 409,
                retryable: false)
        }
        return nil
    }

    /// Refuses what an older Work Manager sends, and remembers the newest, durably before its command takes effect.
    /// Concurrency: the caller holds the engine's monitor, so no lower epoch slips in between look and command.
    private func fence(_ tenant: TenantID, _ caller: Caller, _ store: JobStore) throws {
        if let claimed = caller.tenant, claimed != tenant {
            throw Problem(
                .badRequest, "OMS-Tenant is '\(claimed)', but the job is of '\(tenant)'; send the job's tenant",
                status: 400, retryable: false)
        }
        guard let epoch = caller.epoch else { return }
        let known = try store.epoch(of: tenant)
        if let known, epoch < known {
            throw Problem(
                .staleEpoch, "OMS-Epoch is \(epoch), but \(known) has commanded for '\(tenant)' already", status: 409,
                retryable: false)
        }
        if epoch != known { try store.raise(tenant, to: epoch, now: WallClock.now) }
    }
}
