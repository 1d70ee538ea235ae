import OMSModel
import OMSProtocol

/// The regular questions to a provider: catalogue, status, and one sweep for all its jobs.
extension Gateway {
    /// Does what is due at one provider.
    mutating func attend(_ provider: ProviderID, at now: Moment) {
        guard let door = doors[provider], !door.isQuarantined, now.monotonic >= door.askFrom else { return }
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
            call(.sweep(since: since, pageToken: nil, pageSize: door.pageSize), door)
        }
        readQuiet(provider, at: now)
        serveLine(provider, at: now)
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
        if door.isListUnusable {
            // A batch is a list, too. The line bounds how many are asked for at once.
            for job in quiet { plan(.read, for: job.id, at: now) }
            return
        }
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
        if ids.count == Self.maxBatch { doors[provider]?.nextBatch = now.monotonic + Self.fullBatchMilliseconds }
    }

    private static var fullBatchMilliseconds: Int64 { 100 }

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
        doors[provider]?.note(clock: report.time, at: now)
        if let before, before.startedAt != report.startedAt, doors[provider]?.restarts.take(at: now.monotonic) == true {
            // Restarted: every open job is asked for by itself, now. For one that always says so, the regular looks are enough.
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
        guard case .sweep(let since, _, _) = kind, case .answered(_, _, _, .jobs(let list)) = answer else {
            return sweepFailed(provider, answer, at: now)
        }
        doors[provider]?.readList()
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
        if let door = doors[provider], let watermark = door.watermark,
            let newest = list.jobs.map(\.updated).filter({ door.isCredible($0, at: now) }).max()
        {
            doors[provider]?.watermark = max(watermark, newest.advanced(bySeconds: -2))
        }
        goOn(with: list.nextPageToken, provider, since: since, at: now)
    }

    /// A page that is full goes on at once, within reason; the rest comes with the next sweep. The token belongs to the
    /// question that it came from, so `since` stays.
    private mutating func goOn(
        with token: String?, _ provider: ProviderID, since: Timestamp, at now: Moment
    ) {
        guard let token, !token.isEmpty else { return }
        guard token.utf8.count <= Self.maxTokenBytes else {
            let problem = Problem(
                .providerMalformed, "next_page_token has \(token.utf8.count) bytes; at most \(Self.maxTokenBytes)")
            let changed = doors[provider]?.take(.warning(problem), at: now)
            if changed == true { announceHealth(provider, at: now) }
            return
        }
        guard let door = doors[provider], door.sweepPages < Self.maxSweepPages, now.monotonic >= door.askFrom else {
            return
        }
        if doors[provider]?.pages.take(at: now.monotonic) == true {
            doors[provider]?.sweepPages += 1
            doors[provider]?.sweepBegan = now.monotonic
            doors[provider]?.sweepInFlight = true
            call(.sweep(since: since, pageToken: token, pageSize: door.pageSize), door)
        }
    }

    private static var maxSweepPages: Int { 50 }
    private static var maxTokenBytes: Int { 2_048 }

    /// `Retry-After` puts a regular question off, within reason, and never forward.
    private static func postponed(_ regular: Int64, by seconds: Int, at now: Moment) -> Int64 {
        max(regular, now.monotonic + Span.seconds(min(seconds, GatewayTiming.maxRetryAfterSeconds)))
    }

    /// A provider whose list is broken may still know its jobs one by one; one that cannot be reached, or asks for
    /// patience, is left alone.
    private mutating func batchFailed(
        _ provider: ProviderID, _ ids: [JobID], _ answer: ProviderAnswer, at now: Moment
    ) {
        switch answer {
        case .answered(_, let retryAfter?, _, _):
            if let regular = doors[provider]?.nextBatch {
                doors[provider]?.nextBatch = Self.postponed(regular, by: retryAfter, at: now)
            }
        case .answered, .failed(_, .tooLarge, _), .failed(_, .malformed, _), .failed(_, .timeout, _):
            for id in ids where jobs[id]?.inFlight == nil { plan(.read, for: id, at: now) }
        case .failed: break
        }
    }

    /// Three sweeps without a list: nobody can say how the jobs there are.
    private mutating func sweepFailed(_ provider: ProviderID, _ answer: ProviderAnswer, at now: Moment) {
        guard var door = doors[provider] else { return }
        if case .answered(_, let retryAfter?, _, _) = answer {
            door.nextSweep = Self.postponed(door.nextSweep, by: retryAfter, at: now)
        }
        door.failedSweeps += 1
        if Self.isUnusable(answer) {
            if !door.isListUnusable { door.nextBatch = min(door.nextBatch, now.monotonic + 1_000) }
            door.isListUnusable = true
            // The next one may be small enough to be read; without it the watermark would never move.
            door.pageSize = max(1, door.pageSize / 2)
        }
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

    /// The provider answers, and not so that anybody can read it. One that asks for patience, or cannot be reached, is left
    /// alone.
    private static func isUnusable(_ answer: ProviderAnswer) -> Bool {
        switch answer {
        case .answered(408, _, _, _), .answered(425, _, _, _), .answered(429, _, _, _), .answered(503, _, _, _): false
        case .answered(_, nil, _, _), .failed(_, .tooLarge, _), .failed(_, .malformed, _), .failed(_, .timeout, _): true
        case .answered, .failed: false
        }
    }
}
