import OMSModel
import OMSProtocol

/// Ended jobs that went out, after their details are forgotten or their process is gone: a line each. A Work Manager may
/// have died before its journal told of a job, and its successor must neither lose it nor take it for new.
package struct JobMemory: Sendable {
    struct Line: Hashable, Sendable {
        var left: LeftJob
        var state: JobState
        /// Monotonic.
        var endedAt: Int64
    }

    /// Longer than a registry should ever be away.
    package static let keepMilliseconds: Int64 = 86_400_000
    /// Some 6 MB.
    package static let maxLines = 20_000

    private(set) var lines: [JobID: Line] = [:]
    /// Oldest first; may name what is forgotten already.
    private var order: [JobID] = []

    subscript(_ job: JobID) -> Line? { lines[job] }

    mutating func add(_ line: Line) {
        if lines.updateValue(line, forKey: line.left.job) == nil { order.append(line.left.job) }
    }

    mutating func forget(at now: Int64) {
        var drop = 0
        while drop < order.count {
            let isOld = lines[order[drop]].map { now - $0.endedAt > Self.keepMilliseconds } ?? true
            guard isOld || order.count - drop > Self.maxLines else { break }
            lines[order[drop]] = nil
            drop += 1
        }
        if drop > 0 { order.removeFirst(drop) }
    }
}

extension Gateway {
    mutating func remember(_ job: GatewayJob) {
        guard job.isRecorded, let endedAt = job.endedAt, let left = job.left else { return }
        memory.add(JobMemory.Line(left: left, state: job.state, endedAt: endedAt))
    }

    /// A job that has ended here, of which no more than that is known any more: the provider is asked for the rest.
    func recalled(_ command: JobCommand, at now: Moment) -> GatewayJob? {
        recalled(command.job, epoch: command.epoch, request: command.request, at: now)
    }

    func recalled(_ id: JobID, epoch: Int, request: JobRequest? = nil, at now: Moment) -> GatewayJob? {
        guard let line = memory[id] else { return nil }
        var job = GatewayJob(
            id: id, tenant: line.left.tenant, provider: line.left.provider, epoch: epoch, request: request,
            state: .unknown, at: now)
        job.left = line.left
        job.isRecorded = true
        job.maybeSent = true
        switch line.state {
        case .rejected, .expired, .stopped, .lost:
            // There is no more to it.
            job.state = line.state
            job.error = Problem(
                line.state == .lost ? .providerForgot : .jobFailed, "it ended so before", retryable: false)
            job.finished = now.wall
        default:
            job.acknowledged = true
            job.next = (.read, now.monotonic)
        }
        return job
    }

    /// What went out for epochs of the tenants from `list` up to below the sealed one, ended or not.
    func left(_ seals: [TenantID: (list: Int, epoch: Int)]) -> [LeftJob] {
        if seals.isEmpty { return [] }
        var found: [LeftJob] = []
        for (tenant, seal) in seals {
            for id in jobsOfTenant[tenant] ?? [] {
                guard let job = jobs[id], job.isRecorded, let left = job.left, left.epoch >= seal.list,
                    left.epoch < seal.epoch
                else { continue }
                found.append(left)
            }
        }
        for line in memory.lines.values where jobs[line.left.job] == nil {
            guard let seal = seals[line.left.tenant], line.left.epoch >= seal.list, line.left.epoch < seal.epoch else {
                continue
            }
            found.append(line.left)
        }
        return found.sorted { ($0.tenant, $0.job) < ($1.tenant, $1.job) }
    }
}
