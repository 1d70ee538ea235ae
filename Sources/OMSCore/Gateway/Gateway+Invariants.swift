import OMSModel

extension Gateway {
    /// What always holds between two events. The simulation asks after each one.
    /// - Returns: the first thing that does not hold, in words.
    package func brokenInvariant() -> String? {
        brokenIndex() ?? doors.values.lazy.compactMap { $0.brokenInvariant(of: self) }.first
    }

    private func brokenIndex() -> String? {
        var counted: [TenantID: Set<JobID>] = [:]
        for (id, job) in jobs { counted[job.tenant, default: []].insert(id) }
        if counted != jobsOfTenant.filter({ !$0.value.isEmpty }) { return "jobsOfTenant is not derived from jobs" }
        if let one = ended.first(where: { jobs[$0.id]?.state.isTerminal == false }) {
            return "ended names open job \(one.id)"
        }
        if endedBytes != ended.reduce(0, { $0 + $1.bytes }) { return "endedBytes is not the sum of ended" }
        for (tenant, fence) in fences where fence < begun[tenant] ?? 0 {
            return "epoch \(begun[tenant] ?? 0) of \(tenant) has begun above its fence \(fence)"
        }
        for (id, job) in jobs where !job.state.isTerminal {
            // Whatever is open is asked after: by a call under way, at a set time, or when its turn comes.
            guard job.inFlight == nil, jobTimers[id] == nil, !job.isParked, let door = doors[job.provider],
                !door.isQuarantined, !door.isWaiting(id, of: job.tenant)
            else { continue }
            return "open job \(id) (\(job.state.rawValue)) has no next step"
        }
        return nil
    }
}

extension Door {
    func brokenInvariant(of gateway: Gateway) -> String? {
        if let fault = brokenQueue { return "\(provider): \(fault)" }
        for id in occupied {
            guard let job = gateway.jobs[id] else { return "\(provider): a place for \(id), which is not known" }
            if job.state.isTerminal { return "\(provider): ended job \(id) takes a place" }
        }
        if taken < 0 { return "\(provider): fewer places than none are taken" }
        let calls = gateway.calls.values.filter { $0.provider == provider && $0.id >= firstCall }
        let open = (jobs: calls.count { $0.kind.isAboutOneJob }, submits: calls.count { $0.kind.isSubmit })
        if open != (jobCalls, submits) {
            return
                "\(provider): counts \(jobCalls) calls, \(submits) submits; there are \(open.jobs) and \(open.submits)"
        }
        if submits > Self.maxSubmits || jobCalls > Self.maxJobCalls { return "\(provider): more calls than allowed" }
        return nil
    }
}

extension ProviderCall.Kind {
    var isAboutOneJob: Bool {
        switch self {
        case .submit, .job, .stop: true
        case .services, .status, .sweep, .batch: false
        }
    }
}
