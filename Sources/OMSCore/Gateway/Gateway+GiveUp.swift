package import OMSModel
package import OMSProtocol

/// Jobs that an operator gave up (`oms job give-up`): an end without the provider's word.
///
/// The gateway stops asking and stopping, forgets the place and says the end, after that is on its disk. It remembers the
/// job: whoever asks for it gets the same end, and a later word of the provider about it is told to the registry and
/// changes nothing.
extension Gateway {
    struct GivenUpTrack: Sendable {
        var job: GivenUpJob
        /// Of the provider's last word.
        var revision: Int?
        /// The provider said that it has ended.
        var isOver = false
        /// Nothing more is told of it before then (monotonic): a provider that talks much is not the registry's burden.
        var quietUntil: Int64 = 0
        var forgetAt: Int64
    }

    static let maxGivenUp = 10_000
    private static let signMilliseconds: Int64 = 60_000

    mutating func giveUp(_ control: GatewayControl, at now: Moment) {
        var ended: [JobID] = []
        var refused: [SweptJob] = []
        for wish in (control.giveUps ?? []).prefix(GatewayControl.maxGiveUps) {
            // Not, or not yet, this gateway's provider: asked again, where it is then.
            guard doors[wish.provider] != nil else { continue }
            if let job = jobs[wish.job], job.isAsItShouldBe {
                refused.append(
                    SweptJob(
                        job: wish.job, provider: wish.provider, state: job.state,
                        error: Problem(
                            .conflict,
                            "job \(wish.job) is \(job.state.rawValue) at \(wish.provider) again: it is not given up")))
                continue
            }
            giveUp(wish, at: now)
            ended.append(wish.job)
        }
        guard !ended.isEmpty || !refused.isEmpty else { return }
        publish(
            .gatewayAck(id),
            .gatewayAck(
                GatewayAck(
                    id: control.id, command: .giveUp, boot: boot, gaveUp: ended,
                    refused: refused.isEmpty ? nil : refused))
        )
    }

    private mutating func giveUp(_ wish: GivenUpJob, at now: Moment) {
        let known = jobs[wish.job] ?? recalled(wish.job, epoch: fences[wish.tenant] ?? 0, at: now)
        // Before the first word about it, and again if the disk refused.
        if givenUp[wish.job] == nil || unwrittenGiveUps.remove(wish.job) != nil {
            effects.append(.record(.givenUp(wish)))
        }
        if givenUp[wish.job] == nil {
            if givenUp.count >= Self.maxGivenUp, let oldest = givenUp.min(by: { $0.value.forgetAt < $1.value.forgetAt })
            {
                givenUp[oldest.key] = nil
            }
            givenUp[wish.job] = GivenUpTrack(
                job: wish, revision: known?.providerRevision, forgetAt: now.monotonic + JobMemory.keepMilliseconds)
        }
        if let known, known.state.isTerminal {
            if jobs[wish.job] == nil { store(known, at: now) }
            return publish(.jobEvent(known.tenant, known.provider), .jobEvent(known.event))
        }
        let job =
            known
            ?? GatewayJob(
                id: wish.job, tenant: wish.tenant, provider: wish.provider, epoch: fences[wish.tenant] ?? 0,
                request: nil,
                state: .unknown, at: now)
        effects.append(.report(.gaveUp(wish.provider, wish.tenant, wish.job)))
        end(job, as: .lost, wish.problem, at: now)
    }

    /// A job that was given up, for whoever asks about it after this process has forgotten the rest.
    func givenUpJob(_ id: JobID, epoch: Int, at now: Moment) -> GatewayJob? {
        guard let track = givenUp[id] else { return nil }
        var job = GatewayJob(
            id: id, tenant: track.job.tenant, provider: track.job.provider, epoch: epoch, request: nil, state: .lost,
            at: now)
        job.error = track.job.problem
        job.finished = now.wall
        return job
    }

    /// The provider speaks of a job that was given up: told to the registry, and no second end.
    /// - Returns: whether it is such a job.
    mutating func tookSign(_ report: ProviderJob, from provider: ProviderID, at now: Moment) -> Bool {
        guard var track = givenUp[report.id], track.job.provider == provider else { return false }
        let isNew = report.revision > track.revision ?? -1 || (report.state.isTerminal && !track.isOver)
        let isEnd = report.state.isTerminal && !track.isOver
        guard isNew, isEnd || now.monotonic >= track.quietUntil else { return true }
        track.revision = max(report.revision, track.revision ?? report.revision)
        track.isOver = track.isOver || report.state.isTerminal
        track.quietUntil = now.monotonic + Self.signMilliseconds
        givenUp[report.id] = track
        effects.append(.report(.signOfLife(provider, track.job.tenant, report.id, report.state)))
        publish(
            .gatewayAck(id),
            .gatewayAck(
                GatewayAck(
                    id: "sign", command: .giveUp, boot: boot,
                    signs: [SweptJob(job: report.id, provider: provider, state: report.state, error: report.error)])))
        return true
    }

    mutating func forgetGivenUp(at now: Moment) {
        guard !givenUp.isEmpty, givenUp.contains(where: { now.monotonic >= $0.value.forgetAt }) else { return }
        givenUp = givenUp.filter { now.monotonic < $0.value.forgetAt }
    }
}

extension GatewayJob {
    /// Nothing is wrong with it: it waits, or runs, and its time is not over.
    var isAsItShouldBe: Bool {
        switch state {
        case .submitting, .queued, .running: !isStuck && stopBegan == nil
        case .pending, .stopping, .unknown, .succeeded, .failed, .stopped, .rejected, .expired, .lost: false
        }
    }
}

extension GivenUpJob {
    /// What it ends with.
    package var problem: Problem {
        Problem(.givenUp, "given up by \(by): \(evidence); how it ended at the provider is not known", retryable: false)
    }
}
