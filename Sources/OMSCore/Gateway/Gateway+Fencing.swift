import OMSModel
import OMSProtocol

/// The door's lock: fences, seals and sweeps (docs/internals/replacement.md).
///
/// A tenant's fence is the only epoch whose commands are carried out, and it is on disk before anything acts on it. A
/// seal is answered when, besides, no submit or stop of a lower epoch is under way: from then on nothing that an older
/// Work Manager ever said can reach a provider.
extension Gateway {
    /// A sweep in progress: what it looks after until everything has ended.
    struct SweepTrack: Sendable {
        let command: String
        let sweep: Sweep
        var jobs: [JobID: ProviderID]
    }

    mutating func raiseFence(of tenant: TenantID, to epoch: Int, at now: Moment) {
        guard epoch > fences[tenant] ?? 0 else { return }
        fences[tenant] = epoch
        unwrittenFences.insert(tenant)
        writeFence(of: tenant)
        // What older epochs asked for and nobody has begun is not begun any more: their successor asks again, if it
        // wants it.
        for id in openJobs(of: tenant) {
            guard var job = jobs[id], job.epoch < epoch, job.stop != nil else { continue }
            job.stop = nil
            job.stopUntil = nil
            if job.next?.step == .stop { job.next = (.read, now.monotonic) }
            put(job, at: now)
        }
    }

    /// A registry whose database was restored from a backup asks for it, with its seals.
    mutating func noteBegun(_ epoch: Int, of tenant: TenantID) {
        guard epoch > begun[tenant] ?? 0 else { return }
        begun[tenant] = epoch
        effects.append(.record(.begun(tenant, epoch)))
    }

    /// Whoever is about to rest on a fence sees to it that it is on disk.
    mutating func writeFence(of tenant: TenantID) {
        guard unwrittenFences.remove(tenant) != nil, let epoch = fences[tenant] else { return }
        effects.append(.record(.fence(tenant, epoch)))
    }

    /// The disk refused: what was to be there is written again before anything rests on it.
    mutating func unrecorded(_ entries: [LedgerEntry]) {
        for entry in entries {
            switch entry {
            case .fence(let tenant, _): unwrittenFences.insert(tenant)
            // The next command says it again.
            case .begun(let tenant, _): begun[tenant] = nil
            case .intent(let job): jobs[job.request.id]?.isRecorded = false
            case .givenUp(let job): unwrittenGiveUps.insert(job.job)
            case .acknowledged, .ended, .forgiven: break
            }
        }
    }

    /// Whether a submit of this job may leave: only for the epoch in force.
    func isFenced(_ job: GatewayJob) -> Bool { job.epoch < fences[job.tenant] ?? 0 }

    func openJobs(of tenant: TenantID) -> [JobID] {
        (jobsOfTenant[tenant] ?? []).filter { jobs[$0]?.state.isTerminal == false }.sorted()
    }

    // MARK: - Seal

    mutating func seal(_ control: GatewayControl, at now: Moment) {
        for seal in control.seals ?? [] {
            raiseFence(of: seal.tenant, to: seal.epoch, at: now)
            // Only the newest matters: an older one is answered with it.
            awaitedSeals[seal.tenant] = max(seal.epoch, awaitedSeals[seal.tenant] ?? 0)
            awaitedLists[seal.tenant] = [seal.list, awaitedLists[seal.tenant]].compactMap { $0 }.min()
        }
        answerSeals(control.id, of: (control.seals ?? []).map(\.tenant))
    }

    /// Answers what holds; the rest follows with the end of its last call.
    private mutating func answerSeals(_ id: String, of tenants: [TenantID]) {
        var sealed: [Seal] = []
        var lists: [TenantID: (list: Int, epoch: Int)] = [:]
        for tenant in tenants {
            guard let epoch = awaitedSeals[tenant], !isActing(for: tenant, below: epoch) else { continue }
            awaitedSeals[tenant] = nil
            writeFence(of: tenant)
            let holds = max(epoch, fences[tenant] ?? 0)
            if let list = awaitedLists.removeValue(forKey: tenant) { lists[tenant] = (list, holds) }
            sealed.append(Seal(tenant: tenant, epoch: holds, begun: begun[tenant]))
        }
        guard !sealed.isEmpty else { return }
        let left = self.left(lists)
        let counts = Dictionary(grouping: left, by: \.tenant).mapValues(\.count)
        for index in sealed.indices where lists[sealed[index].tenant] != nil {
            sealed[index].listed = counts[sealed[index].tenant] ?? 0
            sealed[index].list = lists[sealed[index].tenant]?.list
        }
        // First the list, then what makes the seal count.
        let parts = MessageParts.split(left, bytes: partBytes)
        for part in parts.dropLast() {
            publish(
                .gatewayAck(self.id),
                .gatewayAck(GatewayAck(id: id, command: .seal, boot: boot, left: Array(part))))
        }
        publish(
            .gatewayAck(self.id),
            .gatewayAck(
                GatewayAck(id: id, command: .seal, boot: boot, sealed: sealed, left: parts.last.map { Array($0) })))
    }

    /// A submit or stop of a lower epoch is on its way to a provider.
    private func isActing(for tenant: TenantID, below epoch: Int) -> Bool {
        calls.values.contains { call in
            guard call.tenant == tenant, (call.epoch ?? 0) < epoch else { return false }
            switch call.kind {
            case .submit, .stop: return true
            case .services, .status, .sweep, .job, .batch: return false
            }
        }
    }

    /// A call has ended: a seal may have waited for it.
    mutating func callEnded(of tenant: TenantID?) {
        guard let tenant, awaitedSeals[tenant] != nil else { return }
        answerSeals("late", of: [tenant])
    }

    // MARK: - Sweep

    mutating func sweep(_ control: GatewayControl, at now: Moment) {
        guard let sweep = control.sweep else {
            return acknowledge(control, Problem(.badRequest, "field sweep is missing"))
        }
        raiseFence(of: sweep.tenant, to: sweep.epoch, at: now)
        let keep = Set(sweep.keep)
        var track = SweepTrack(command: control.id, sweep: sweep, jobs: [:])
        for job in sweep.jobs where doors[job.provider] != nil { track.jobs[job.job] = job.provider }
        // A job that never came into the journal is known here alone.
        for id in sweep.only == true ? [] : openJobs(of: sweep.tenant) {
            guard let job = jobs[id], job.epoch < sweep.epoch, doors[job.provider] != nil else { continue }
            track.jobs[id] = job.provider
        }
        for job in keep { track.jobs[job] = nil }
        for (id, known) in sweeps[sweep.tenant]?.jobs ?? [:] where !keep.contains(id) { track.jobs[id] = known }
        sweeps[sweep.tenant] = track
        for (id, provider) in track.jobs.sorted(by: { $0.key < $1.key }) { end(id, at: provider, sweep, now) }
        reportSweep(of: sweep.tenant)
    }

    /// Brings one job to its end, or goes on doing so.
    private mutating func end(_ id: JobID, at provider: ProviderID, _ sweep: Sweep, _ now: Moment) {
        var job =
            jobs[id] ?? recalled(id, epoch: sweep.epoch, at: now)
            ?? GatewayJob(
                id: id, tenant: sweep.tenant, provider: provider, epoch: sweep.epoch, request: nil, state: .unknown,
                at: now)
        guard !job.state.isTerminal else {
            if jobs[id] == nil { store(job, at: now) }
            return
        }
        job.epoch = max(job.epoch, sweep.epoch)
        if job.stop == nil {
            job.stopBegins(graceSeconds: Self.sweepGraceSeconds, at: now)
            job.stop = JobAction(
                action: "stop", graceSeconds: Self.sweepGraceSeconds, reason: "its Work Manager was replaced")
            job.stopUntil =
                now.monotonic + Span.seconds(Self.sweepGraceSeconds) + Self.stopPatienceMilliseconds
            job.next = (.stop, now.monotonic)
        }
        put(job, at: now)
        doors[provider]?.occupied.insert(id)
        attendJob(id, at: now)
    }

    static var sweepGraceSeconds: Int { 5 }

    mutating func reportSweep(of tenant: TenantID) {
        guard let track = sweeps[tenant] else { return }
        var ended: [SweptJob] = []
        var remaining: [SweptJob] = []
        for (id, provider) in track.jobs.sorted(by: { $0.key < $1.key }) {
            let job = jobs[id]
            var swept = SweptJob(job: id, provider: provider, state: job?.state ?? .unknown, error: job?.error)
            MessageCut.fit(&swept, into: partBytes / 4)
            if swept.state.isTerminal { ended.append(swept) } else { remaining.append(swept) }
        }
        let parts = MessageParts.split(ended, bytes: partBytes)
        let few = Array(
            remaining.prefix(MessageParts.prefix(of: remaining, bytes: partBytes / 2) { MessageSize.bytes($0) + 1 }))
        for index in 0..<max(1, parts.count) {
            publish(
                .gatewayAck(id),
                .gatewayAck(
                    GatewayAck(
                        id: track.command, command: .sweep, boot: boot,
                        swept: SweepReport(
                            tenant: tenant, epoch: track.sweep.epoch,
                            ended: index < parts.count ? Array(parts[index]) : [],
                            remaining: few))))
        }
        if remaining.isEmpty { sweeps[tenant] = nil }
    }

    /// A job has ended: a sweep may have waited for it.
    mutating func jobEnded(_ job: GatewayJob) {
        guard let track = sweeps[job.tenant], track.jobs[job.id] != nil else { return }
        let isLast = track.jobs.keys.allSatisfy { jobs[$0]?.state.isTerminal ?? false }
        if isLast { reportSweep(of: job.tenant) }
    }

    // MARK: - Without the broker

    /// Without a connection this gateway cannot hear of a new epoch: it begins nothing, and after the hold time it gives
    /// its providers up, because the registry may give them to another gateway then.
    mutating func disconnected(at now: Moment) {
        stopNoticed = nil
        if cutOffSince == nil { cutOffSince = now.monotonic }
    }

    mutating func giveUpProviders(at now: Moment) {
        guard let since = cutOffSince, now.monotonic - since >= timing.holdMilliseconds else { return }
        giveUp()
    }

    /// It says every few seconds that it is there: without an event for the hold time, this process was stopped. Its
    /// providers may be another gateway's by now, and what it hears first may be as old as the stop, whatever it says.
    mutating func noticeStop(at now: Moment) {
        defer { lastHandled = now.monotonic }
        if let noticed = stopNoticed, now.monotonic - noticed >= SafetyTimes.stopIsOverMilliseconds {
            // The connection outlived the stop, and all that waited in it has been read.
            stopNoticed = nil
            cutOffSince = nil
        }
        guard let lastHandled, now.monotonic - lastHandled >= timing.holdMilliseconds,
            !doors.isEmpty || nextAnnouncement < .max
        else { return }
        giveUp()
        // The broker has ended the session meanwhile (it waits one and a half keep-alives), so a new connection comes, and
        // the present state with it.
        cutOffSince = lastHandled
        stopNoticed = now.monotonic
    }

    private mutating func giveUp() {
        for provider in doors.keys.sorted() {
            doors[provider] = nil
            effects.append(.unsubscribe(provider))
            effects.append(.report(.detached(provider)))
        }
    }
}
