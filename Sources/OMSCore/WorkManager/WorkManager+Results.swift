import OMSModel
import OMSProtocol

/// When a run has brought enough: its result, and what amends it.
///
/// The first result goes out when every branch has ended, at the deadline, or after `merge.deliver_after_s` with what
/// there is. From then on each late branch that ends amends it: the same run, a higher revision. At the deadline late
/// becomes missing.
extension WorkManager {
    /// The first result.
    mutating func deliver(_ id: RunID, at now: Moment) {
        guard var run = runs[id], !run.finished else { return }
        run.finished = true
        let merged = merge(run, at: now)
        publish(merged, of: &run, at: now)
        runs[id] = run
        if services[run.plan.id]?.openRun == id { services[run.plan.id]?.openRun = nil }
        services[run.plan.id, default: .init()].unclosed.insert(id)
        if run.isClosed { forget(id, at: now) }
    }

    /// With nothing to show yet a partial result waits for the next branch.
    mutating func deliverPartial(_ id: RunID, at now: Moment) {
        guard let run = runs[id], merge(run, at: now).state != .failed else { return }
        deliver(id, at: now)
    }

    /// A job of a run has ended whose result is out already.
    /// - Parameter isLast: the deadline has passed: late becomes missing.
    mutating func amend(_ id: RunID, isLast: Bool = false, at now: Moment) {
        guard var run = runs[id] else { return }
        // What was decided stays: a loser that ended before its stop came changes nothing.
        if run.plan.use == .firstWins || run.plan.use == .quorum { return }
        let brings = run.latest.contains { run.jobs[$0].state == .succeeded && !run.jobs[$0].isMerged }
        let endsLate = run.hasLate && run.latest.contains { run.jobs[$0].state.isTerminal && !run.jobs[$0].isMerged }
        guard brings || endsLate || isLast else { return }
        // A predecessor's result must not lose what it had: first all that it used, then the amendment.
        if run.jobs.contains(where: { $0.wasUsed && !$0.state.isTerminal }) { return }
        if run.jobs.contains(where: { $0.wasUsed && $0.state != .succeeded }) { return }
        let merged = merge(run, at: now)
        publish(merged, of: &run, at: now)
        runs[id] = run
    }

    private func merge(_ run: RunTrack, at now: Moment) -> Merged {
        let isAmendable = run.isAmendable(at: now)
        let branches = run.latest.map { index in
            let job = run.jobs[index]
            return Branch(
                provider: job.choice.provider, position: run.position(of: job.choice.provider), job: job.id,
                state: job.state, outputs: job.outputs ?? [:], error: job.error,
                isExpected: isAmendable && !job.state.isTerminal,
                isSpare: !run.decided.isEmpty && !run.decided.contains(job.id))
        }
        return Merger.merge(branches, by: run.plan.merge, needed: run.plan.needed)
    }

    private mutating func publish(_ merged: Merged, of run: inout RunTrack, at now: Moment) {
        run.revision += 1
        run.hasLate = merged.providers.contains { $0.outcome == .late }
        for index in run.jobs.indices where run.jobs[index].state.isTerminal { run.jobs[index].isMerged = true }
        let service = run.plan.id
        let result = ServiceResult(
            run: run.id, service: service, type: run.plan.type, state: merged.state, due: run.due,
            finished: now.wall, strategy: run.plan.merge.strategy, providers: merged.providers,
            outputs: merged.outputs, revision: run.revision)
        var record = run.record(merged.state)
        record.finished = now.wall
        record.result = result
        // An older run's amendment is for the record; the newest run speaks for the service.
        var speaks = services[service]?.spokeFor.map { $0 <= run.started } ?? true
        if services[service]?.spokeFor == nil, run.revision > 1, let last = services[service]?.succeeded {
            speaks = last.due <= run.due
        }
        if speaks { services[service, default: .init()].spokeFor = run.started }
        let subject = "service/\(service)"
        if merged.state == .failed {
            record.error = Problem(.jobFailed, Self.cause(merged))
            if speaks { explain(subject, "run-failed", "run \(run.id) failed: \(record.error?.detail ?? "")", at: now) }
        } else if speaks {
            services[service, default: .init()].succeeded = RunReference(run: run.id, due: run.due)
            clearReason(subject, at: now)
        }
        note(JournalEntry(run: record), at: now)
        guard speaks else { return }
        lastResults[service] = result
        publishResult(of: service)
    }

    private static func cause(_ merged: Merged) -> String {
        if let detail = merged.error?.detail { return detail }
        let causes = merged.providers.compactMap { contribution in
            contribution.error.map { "\(contribution.provider): \($0.detail ?? $0.title ?? $0.type)" }
        }
        return causes.isEmpty ? "no provider delivered by the deadline" : causes.joined(separator: "; ")
    }
}

extension RunTrack {
    func position(of provider: ProviderID) -> Int {
        plan.providers.firstIndex { $0.provider == provider } ?? plan.providers.count
    }

    /// Late branches may still come: the rule waits for them until the deadline.
    func isAmendable(at now: Moment) -> Bool { plan.merge.deliverAfterSeconds != nil && now.wall < deadline }

    func isOverdue(at now: Moment) -> Bool { !isOver && now.wall >= deadline && (!finished || hasLate) }

    /// The first moment of a result with what there is.
    var partialAt: Timestamp? { plan.merge.deliverAfterSeconds.map { started.advanced(bySeconds: $0) } }

    func isPartialDue(at now: Moment) -> Bool { !finished && (partialAt.map { now.wall >= $0 } ?? false) }

    mutating func passDeadline() {
        isOver = true
        for index in jobs.indices { jobs[index].stop("the run's deadline passed") }
    }

    /// What an earlier epoch has delivered of this run.
    mutating func carryResult(of open: OpenRun, at now: Moment) {
        finished = open.finished ?? false
        guard finished else { return }
        revision = open.revision ?? 1
        hasLate = plan.merge.deliverAfterSeconds != nil && jobs.contains { !$0.state.isTerminal }
        let succeeded = Set(open.jobs.filter { $0.state == .succeeded }.map(\.id))
        for index in jobs.indices {
            jobs[index].wasUsed = succeeded.contains(jobs[index].id)
            jobs[index].isMerged = jobs[index].wasUsed || jobs[index].state.isTerminal
        }
    }
}
