import Foundation
import OMSModel

/// The provider's jobs, as the contract wants them unless a lie says otherwise. "Work" is time passing: a job runs for
/// its parameter `duration_ms`.
struct JobBook {
    struct Record {
        let id: String
        let request: JSONValue
        let service: String
        let tenant: String
        let durationMilliseconds: Int64
        let timeoutMilliseconds: Int64
        let deadline: Int64?
        let number: Int
        let created: Int64
        var state = JobState.queued
        var revision = 1
        var updated: Int64
        var started: Int64?
        var stopAt: Int64?
        var finished: Int64?
        var error: ProblemSlug?
        /// How often it was shown; for lies that begin later.
        var shown = 0
    }

    let lies: Set<Lie>
    var log = ExecutionLog()
    private(set) var records: [String: Record] = [:]
    private var active: Set<String> = []
    private var tombstones: Set<String> = []
    private var fences: [String: Int64] = [:]
    private(set) var endedToday: [JobState: Int] = [:]
    private var lastUpdate: Int64 = 0

    init(lies: Set<Lie>) { self.lies = lies }

    static let queuedMilliseconds: Int64 = 2
    static let stopMilliseconds: Int64 = 10

    // MARK: Time

    /// Does everything that is due by `now`.
    mutating func advance(to now: Int64) {
        for id in active.sorted() {
            guard var record = records[id] else { continue }
            if record.state == .queued, now >= record.created + Self.queuedMilliseconds {
                if let deadline = record.deadline, now > deadline, !lies.contains(.ignoresDeadline) {
                    finish(&record, .failed, .deadline, now)
                } else {
                    record.started = now
                    change(&record, .running, now)
                    log.began(id)
                    log.note(ProviderAct(kind: .began, tenant: record.tenant, job: id, time: now))
                }
            }
            if record.state == .running, let started = record.started {
                let inTime = record.durationMilliseconds <= record.timeoutMilliseconds || lies.contains(.ignoresTimeout)
                if now >= started + (inTime ? record.durationMilliseconds : record.timeoutMilliseconds) {
                    finish(&record, inTime ? .succeeded : .failed, inTime ? nil : .timeout, now)
                }
            }
            if record.state == .stopping, let stopAt = record.stopAt, now >= stopAt {
                finish(&record, .stopped, nil, now)
            }
            records[id] = record
            if record.state.isTerminal { active.remove(id) }
        }
    }

    private mutating func change(_ record: inout Record, _ state: JobState, _ now: Int64) {
        record.state = state
        record.revision += 1
        // Strictly growing, so that a page token always stands for one place.
        lastUpdate = max(now, lastUpdate + 1)
        record.updated = lastUpdate
    }

    private mutating func finish(_ record: inout Record, _ state: JobState, _ error: ProblemSlug?, _ now: Int64) {
        change(&record, state, now)
        // Work ends at its time, also when nobody looks then.
        let ended = state == .succeeded ? min(now, (record.started ?? now) + record.durationMilliseconds) : now
        log.note(ProviderAct(kind: .ended(state), tenant: record.tenant, job: record.id, time: ended))
        record.finished = record.updated
        record.error = error
        endedToday[state, default: 0] += 1
    }

    // MARK: Changes

    mutating func submit(_ body: JSONValue, epoch: Int64?, key: String?, now: Int64) -> Answer {
        let answer = accept(body, epoch: epoch, key: key, now: now)
        log.note(
            ProviderAct(
                kind: .submit(answer.status), tenant: body["tenant"]?.stringValue ?? "",
                job: body["id"]?.stringValue ?? "", epoch: epoch, time: now,
                run: body["labels"]?["run_id"]?.stringValue))
        return answer
    }

    private mutating func accept(_ body: JSONValue, epoch: Int64?, key: String?, now: Int64) -> Answer {
        if case .refused(let answer) = JobForm.check(body, key: key, lies: lies) { return answer }
        let id = body["id"]?.stringValue ?? ""
        log.submitted(id)
        let tenant = body["tenant"]?.stringValue ?? ""
        if let refusal = fence(tenant, epoch) { return refusal }
        if tombstones.contains(id), !lies.contains(.noTombstone) {
            return .problem(409, lies.contains(.wrongSlugs) ? .conflict : .stopped, "it was stopped before it came")
        }
        if var known = records[id] {
            // What a check and an insert without a transaction do: both of two that come together find nothing.
            let raced = lies.contains(.racesOnSubmit) && now - known.created < 30
            if lies.contains(.executesTwice) || raced {
                log.began(id)
                change(&known, known.state, now)
                records[id] = known
                return .json(201, view(&known, now), ["Location": "/jobs/\(id)"])
            }
            if known.request != body, !lies.contains(.acceptsConflict) {
                return .problem(409, lies.contains(.wrongSlugs) ? .conflict : .idConflict, "the id is taken")
            }
            return .json(200, show(id, now), ["Location": "/jobs/\(id)"])
        }
        let parameters = body["config"]?["parameters"]
        lastUpdate = max(now, lastUpdate + 1)
        let record = Record(
            id: id, request: body, service: body["service"]?.stringValue ?? "", tenant: tenant,
            durationMilliseconds: parameters?["duration_ms"]?.intValue ?? 20,
            timeoutMilliseconds: (body["config"]?["timeout_s"]?.intValue ?? 600) * 1000,
            deadline: body["deadline"]?.stringValue.flatMap { Timestamp($0)?.milliseconds }, number: records.count,
            created: lastUpdate, updated: lastUpdate)
        records[id] = record
        active.insert(id)
        return .json(201, show(id, now), ["Location": "/jobs/\(id)"])
    }

    mutating func stop(_ id: String, epoch: Int64?, now: Int64) -> Answer {
        let answer = halt(id, epoch: epoch, now: now)
        log.note(
            ProviderAct(
                kind: .stop(answer.status), tenant: records[id]?.tenant ?? "", job: id, epoch: epoch, time: now))
        return answer
    }

    private mutating func halt(_ id: String, epoch: Int64?, now: Int64) -> Answer {
        log.stopped(id)
        guard var record = records[id], !isForgotten(record) else {
            tombstones.insert(id)
            return noSuchJob(id)
        }
        if let refusal = fence(record.tenant, epoch) { return refusal }
        if record.state == .stopping || record.state == .stopped, lies.contains(.refusesSecondStop) {
            return .problem(409, .conflict, "it is being stopped already")
        }
        switch record.state {
        case .queued where !lies.contains(.ignoresStop): finish(&record, .stopped, nil, now)
        case .running where !lies.contains(.ignoresStop):
            change(&record, .stopping, now)
            if !lies.contains(.neverStops) { record.stopAt = now + Self.stopMilliseconds }
        default: break
        }
        records[id] = record
        if record.state.isTerminal { active.remove(id) }
        if lies.contains(.stopForgets) { records[id] = nil }
        return .json(record.state == .stopping ? 202 : 200, view(&record, now))
    }

    private mutating func fence(_ tenant: String, _ epoch: Int64?) -> Answer? {
        guard let epoch, !lies.contains(.noFencing) else { return nil }
        let highest = fences[tenant] ?? epoch
        if epoch < highest { return .problem(409, .staleEpoch, "epoch \(highest) was seen") }
        fences[tenant] = epoch
        return nil
    }

    /// What says `stopping` for ever ends after all.
    mutating func endStopping(now: Int64) {
        for id in active where records[id]?.state == .stopping { records[id]?.stopAt = now }
    }

    mutating func restart() {
        if lies.contains(.losesJobsAtRestart) {
            records = [:]
            active = []
        }
    }

    // MARK: Views

    mutating func show(_ id: String, _ now: Int64) -> JSONValue {
        guard var record = records[id] else { preconditionFailure("asked for a job that is not in the book") }
        defer { records[id] = record }
        return view(&record, now)
    }

    mutating func read(_ id: String, now: Int64) -> Answer {
        guard let record = records[id], !isForgotten(record) else { return noSuchJob(id) }
        return .json(200, show(id, now), record.state.isTerminal ? [:] : ["Retry-After": "1"])
    }

    private func isForgotten(_ record: Record) -> Bool {
        lies.contains(.forgetsAtOnce) || record.state.isTerminal && lies.contains(.forgetsWhenEnded)
    }

    private func noSuchJob(_ id: String) -> Answer {
        .problem(404, lies.contains(.wrongSlugs) ? .notFound : .noSuchJob, "there is no job \(id)")
    }

    func counts(tenant: String?, service: String?) -> [JobState: Int] {
        var counts: [JobState: Int] = [.queued: 0, .running: 0]
        for record in records.values
        where (tenant == nil || record.tenant == tenant) && (service == nil || record.service == service) {
            counts[record.state, default: 0] += 1
        }
        return counts
    }

    private mutating func view(_ record: inout Record, _ now: Int64) -> JSONValue {
        record.shown += 1
        var (state, revision) = (record.state, record.revision)
        if lies.contains(.stateFalls), state == .running || state.isTerminal, record.shown % 2 == 0 { state = .queued }
        var error = record.error
        if lies.contains(.poisonErrors), state == .succeeded { (state, error) = (.failed, .internal) }
        if lies.contains(.terminalChanges), state.isTerminal, record.shown % 2 == 0 {
            state = state == .failed ? .succeeded : .failed
            error = state == .failed ? .internal : nil
            revision += record.shown
        }
        var job: JSONObject = [
            "id": .string(lies.contains(.wrongID) ? String(record.id.reversed()) : record.id),
            "service": .string(record.service), "tenant": .string(record.tenant), "state": .string(state.rawValue),
            "revision": lies.contains(.wrongTypes) ? .string("\(revision)") : .int(Int64(revision)), "attempt": 1,
            "created": time(record.created), "updated": time(updated(record)),
        ]
        if let started = record.started { job["started"] = time(started) }
        if state.isTerminal {
            job["finished"] = time(record.finished ?? now)
            if state == .succeeded { job["outputs"] = ["rows": ["value": 1]] }
        }
        if state == .failed { job["error"] = ["type": .string((error ?? .internal).urn), "retryable": false] }
        if lies.contains(.poisonErrors), state == .failed {
            let poison = JSONValue.string(String(repeating: "\u{1}", count: 300))
            job["error"] = [
                "type": .string(ProblemSlug.internal.urn), "retryable": false, "detail": poison,
                "errors": .array(Array(repeating: ["pointer": poison, "detail": poison], count: 50)),
            ]
        }
        if lies.contains(.zeroTimes) {
            job["started"] = "0001-01-01T00:00:00Z"
            if state.isTerminal { job["finished"] = "0000-00-00T00:00:00Z" }
        }
        if lies.contains(.fractions) { job["progress"] = 12.5 }
        if let labels = record.request["labels"] { job["labels"] = labels }
        if lies.contains(.nullMembers) { job["error"] = job["error"] ?? .null }
        return .object(job)
    }

    private func updated(_ record: Record) -> Int64 {
        if lies.contains(.updatedFarFuture) { return Self.farFuture - Int64(records.count - record.number) * 1000 }
        if lies.contains(.updatedFarPast) { return Self.farPast + Int64(record.number) }
        return record.updated
    }

    private func time(_ milliseconds: Int64) -> JSONValue {
        .string(Timestamp(milliseconds: milliseconds + Self.offset(of: lies)).description)
    }

    /// How wrong the clock is.
    static func offset(of lies: Set<Lie>) -> Int64 {
        lies.contains(.clockBehind) ? -86_400_000 : lies.contains(.clockAhead) ? 86_400_000 : 0
    }

    /// 9999-12-31 and the first moment of year 0: the ends of RFC 3339.
    private static let farFuture: Int64 = 253_402_214_400_000
    private static let farPast: Int64 = -62_167_219_200_000
}
