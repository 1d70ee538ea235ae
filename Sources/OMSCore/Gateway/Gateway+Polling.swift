import OMSModel
import OMSProtocol

/// The regular questions to a provider: catalogue, status, and one sweep for all its jobs.
extension Gateway {
    /// Does what is due at one provider.
    mutating func attend(_ provider: ProviderID, at now: Moment) {
        guard let door = doors[provider] else { return }
        if !door.statusInFlight, now.monotonic >= door.nextStatus {
            if door.circuit == .open { doors[provider]?.circuit = .halfOpen }
            doors[provider]?.statusInFlight = true
            call(.status, door)
        }
        guard door.circuit == .closed else { return }
        if !door.servicesInFlight, now.monotonic >= door.nextServices {
            doors[provider]?.servicesInFlight = true
            call(.services(etag: door.catalog?.etag), door)
        }
        if door.occupied.isEmpty { doors[provider]?.watermark = nil }
        if let since = doors[provider]?.watermark, !door.sweepInFlight, now.monotonic >= door.nextSweep {
            doors[provider]?.sweepInFlight = true
            doors[provider]?.sweepPages = 0
            doors[provider]?.sweepBegan = now.monotonic
            call(.sweep(since: since, pageToken: nil), door)
        }
        readQuiet(provider, at: now)
        submitWaiting(provider, at: now)
    }

    /// Open jobs that neither the sweep nor an answer mentioned for long are looked at, a hundred in one question: a
    /// provider may have lost them without a change that the sweep could show.
    private mutating func readQuiet(_ provider: ProviderID, at now: Moment) {
        guard let door = doors[provider], !door.batchInFlight, now.monotonic >= door.nextBatch, !door.occupied.isEmpty
        else { return }
        let limit = now.monotonic - door.quietMilliseconds
        let quiet = door.occupied.compactMap { jobs[$0] }
            .filter { $0.acknowledged && $0.inFlight == nil && $0.next == nil && $0.lastHeard <= limit }
            .sorted { ($0.lastHeard, $0.id) < ($1.lastHeard, $1.id) }.prefix(Self.maxBatch)
        // Jobs become quiet one by one; looking twice in the time is often enough.
        doors[provider]?.nextBatch = now.monotonic + max(250, door.quietMilliseconds / 2)
        guard !quiet.isEmpty else { return }
        doors[provider]?.batchInFlight = true
        call(.batch(quiet.map(\.id).sorted()), door)
    }

    private static var maxBatch: Int { 100 }

    mutating func tookBatch(
        _ provider: ProviderID, _ ids: [JobID], _ answer: ProviderAnswer, at now: Moment
    ) {
        doors[provider]?.batchInFlight = false
        guard case .answered(_, _, _, .jobs(let list)) = answer else {
            return batchFailed(provider, ids, answer, at: now)
        }
        var missing = Set(ids)
        for report in list.jobs where missing.remove(report.id) != nil {
            guard let job = jobs[report.id], job.inFlight == nil else { continue }
            apply(report, to: job, at: now)
        }
        // Not in the list: asked for by itself, where a 404 is confirmed before it counts.
        for id in missing.sorted() where jobs[id]?.inFlight == nil { plan(.read, for: id, at: now) }
        if ids.count == Self.maxBatch { doors[provider]?.nextBatch = now.monotonic }
    }

    mutating func tookCatalog(_ provider: ProviderID, _ answer: ProviderAnswer, at now: Moment) {
        doors[provider]?.servicesInFlight = false
        doors[provider]?.nextServices = now.monotonic + timing.servicesMilliseconds
        if case .answered(_, _, let etag, .services(let list)) = answer {
            doors[provider]?.catalog = Catalog(
                gateway: id, fetched: now.wall, etag: etag, stale: false, services: list.services)
        } else if case .answered(304, _, _, _) = answer {
            doors[provider]?.catalog?.fetched = now.wall
            doors[provider]?.catalog?.stale = false
            return
        } else {
            // The old catalogue stands, marked stale; ask again sooner.
            doors[provider]?.nextServices = now.monotonic + min(2_000, timing.servicesMilliseconds)
            guard doors[provider]?.catalog?.stale == false else { return }
            doors[provider]?.catalog?.stale = true
        }
        if let catalog = doors[provider]?.catalog { publish(.providerCatalog(provider), .catalog(catalog)) }
    }

    mutating func tookStatus(_ provider: ProviderID, _ answer: ProviderAnswer, at now: Moment) {
        doors[provider]?.statusInFlight = false
        // Soon again while something is wrong or nothing is known, else at leisure.
        let healthy = doors[provider]?.failures == 0
        doors[provider]?.nextStatus =
            now.monotonic + (healthy ? timing.probeMilliseconds : min(1_000, timing.probeMilliseconds))
        guard case .answered(_, _, _, .status(let report)) = answer else {
            if doors[provider]?.circuit != .closed {
                doors[provider]?.circuit = .open
                doors[provider]?.nextStatus = now.monotonic + timing.probeMilliseconds
            }
            return
        }
        let before = doors[provider]?.report
        doors[provider]?.report = report
        if let before, before.startedAt != report.startedAt {
            // Restarted: every open job is asked for by itself, now.
            for job in doors[provider]?.occupied.sorted() ?? []
            where jobs[job]?.inFlight == nil && jobs[job]?.acknowledged == true {
                plan(.read, for: job, at: now)
                attendJob(job, at: now)
            }
            doors[provider]?.nextServices = now.monotonic
        }
    }

    mutating func tookSweep(
        _ provider: ProviderID, _ kind: ProviderCall.Kind, _ answer: ProviderAnswer, at now: Moment
    ) {
        doors[provider]?.sweepInFlight = false
        doors[provider]?.scheduleSweep(at: now)
        guard case .sweep(let since, _) = kind, case .answered(_, _, _, .jobs(let list)) = answer else {
            return sweepFailed(provider, answer, at: now)
        }
        doors[provider]?.failedSweeps = 0
        for report in list.jobs {
            guard let job = jobs[report.id], job.provider == provider else {
                _ = tookSign(report, from: provider, at: now)
                continue
            }
            guard job.inFlight == nil else {
                // The answer under way says more; but that the provider has it is certain from here on, even if that
                // answer is lost and the provider forgets it.
                if !job.acknowledged {
                    jobs[report.id]?.acknowledged = true
                    if job.isRecorded { effects.append(.record(.acknowledged(job.id))) }
                }
                continue
            }
            // Another answer about it overtook this page: an old revision in here is no broken promise.
            if let known = job.providerRevision, report.revision < known,
                job.lastHeard >= doors[provider]?.sweepBegan ?? 0
            {
                continue
            }
            apply(report, to: job, at: now)
        }
        if let newest = list.jobs.map(\.updated).max()?.advanced(bySeconds: -2),
            let watermark = doors[provider]?.watermark
        {
            doors[provider]?.watermark = max(watermark, newest)
        }
        // A page that is full goes on at once, within reason; the rest comes with the next sweep. The token belongs
        // to the question that it came from, so `since` stays.
        if let token = list.nextPageToken, let door = doors[provider], door.sweepPages < Self.maxSweepPages {
            doors[provider]?.sweepPages += 1
            doors[provider]?.sweepBegan = now.monotonic
            doors[provider]?.sweepInFlight = true
            call(.sweep(since: since, pageToken: token), door)
        }
    }

    private static var maxSweepPages: Int { 50 }

    /// A provider whose list is broken may still know its jobs one by one; one that cannot be reached, or asks for
    /// patience, is left alone.
    private mutating func batchFailed(
        _ provider: ProviderID, _ ids: [JobID], _ answer: ProviderAnswer, at now: Moment
    ) {
        switch answer {
        case .answered(_, let retryAfter?, _, _):
            doors[provider]?.nextBatch = now.monotonic + Int64(retryAfter) * 1000
        case .answered, .failed(_, .tooLarge, _), .failed(_, .malformed, _), .failed(_, .timeout, _):
            for id in ids where jobs[id]?.inFlight == nil { plan(.read, for: id, at: now) }
        case .failed: break
        }
    }

    /// Three sweeps without a list: nobody can say how the jobs there are.
    private mutating func sweepFailed(_ provider: ProviderID, _ answer: ProviderAnswer, at now: Moment) {
        guard var door = doors[provider] else { return }
        if case .answered(_, let retryAfter?, _, _) = answer {
            door.nextSweep = now.monotonic + Int64(retryAfter) * 1000
        }
        door.failedSweeps += 1
        doors[provider] = door
        guard door.failedSweeps == Self.sweepsUntilUnknown else { return }
        let problem: Problem
        switch answer {
        case .failed(_, let fault, let text): problem = Problem(.providerUnreachable, "\(fault.rawValue): \(text)")
        case .answered(let status, _, _, let body): problem = body.problem(status)
        }
        for id in door.occupied.sorted() {
            guard let job = jobs[id], job.acknowledged, job.state != .unknown, job.inFlight == nil else { continue }
            becomeUnknown(job, problem, isRead: false, at: now)
        }
    }

    private static var sweepsUntilUnknown: Int { 3 }
}
