package import OMSModel

/// A numbered piece of a Work Manager's journal: `entries[i]` has number `firstSeq + i`, contiguous per epoch.
package struct Journal: Hashable, Codable, Sendable {
    package var epoch: Int
    package var firstSeq: Int
    package var entries: [JournalEntry]

    package init(epoch: Int, firstSeq: Int, entries: [JournalEntry]) {
        self.epoch = epoch
        self.firstSeq = firstSeq
        self.entries = entries
    }

    enum CodingKeys: String, CodingKey {
        case epoch, entries
        case firstSeq = "first_seq"
    }

    package static let maxEntries = 200
}

/// Exactly one member is present.
package struct JournalEntry: Hashable, Codable, Sendable {
    package var tick: TickRecord?
    package var run: RunRecord?
    package var job: JobRecord?
    package var reason: ReasonRecord?

    package init(tick: TickRecord? = nil, run: RunRecord? = nil, job: JobRecord? = nil, reason: ReasonRecord? = nil) {
        self.tick = tick
        self.run = run
        self.job = job
        self.reason = reason
    }
}

/// How a tick of a schedule ended. Each tick ends exactly once.
package struct TickRecord: Hashable, Codable, Sendable {
    package enum Outcome: String, Codable, Sendable, CaseIterable { case fired, skipped, superseded }

    package var service: ServiceID
    package var due: Timestamp
    package var outcome: Outcome
    package var time: Timestamp
    package var run: RunID?
    /// Why it was not fired.
    package var reason: String?
    /// With `superseded`: how many ticks of the schedule from `due` on this record ends (1 if absent).
    package var count: Int?
    /// With `superseded`: every tick up to here is accounted for.
    package var through: Timestamp?
    /// Somebody asked for it: it is none of the schedule's ticks.
    package var manual: Bool?

    package init(
        service: ServiceID, due: Timestamp, outcome: Outcome, time: Timestamp, run: RunID? = nil,
        reason: String? = nil, count: Int? = nil, through: Timestamp? = nil, manual: Bool? = nil
    ) {
        self.through = through
        self.manual = manual
        self.service = service
        self.due = due
        self.outcome = outcome
        self.time = time
        self.run = run
        self.reason = reason
        self.count = count
    }
}

package struct RunRecord: Hashable, Codable, Sendable {
    package enum State: String, Codable, Sendable, CaseIterable {
        case running
        /// Every asked provider's result was used.
        case succeeded
        /// Some results are in, some are missing; the result says which.
        case partial
        case failed

        package var isTerminal: Bool { self != .running }
    }

    package var id: RunID
    package var service: ServiceID
    package var type: ServiceType
    package var state: State
    package var due: Timestamp
    package var started: Timestamp
    package var deadline: Timestamp
    package var finished: Timestamp?
    package var generation: Int
    package var consumed: [RunID]?
    /// With the first record of a run: what a successor needs to carry it on.
    package var plan: ServicePlan?
    package var result: ServiceResult?
    package var error: Problem?
    /// What was left out because the record would have been larger than a message: `errors`, `texts`, `outputs`, `plan`.
    package var omitted: [String]?

    package init(
        id: RunID, service: ServiceID, type: ServiceType, state: State, due: Timestamp, started: Timestamp,
        deadline: Timestamp, finished: Timestamp? = nil, generation: Int, consumed: [RunID]? = nil,
        plan: ServicePlan? = nil, result: ServiceResult? = nil, error: Problem? = nil
    ) {
        self.id = id
        self.service = service
        self.type = type
        self.state = state
        self.due = due
        self.started = started
        self.deadline = deadline
        self.finished = finished
        self.generation = generation
        self.consumed = consumed
        self.plan = plan
        self.result = result
        self.error = error
    }
}

package struct JobRecord: Hashable, Codable, Sendable {
    package var id: JobID
    package var run: RunID
    package var service: ServiceID
    package var type: ServiceType
    package var provider: ProviderID
    package var attempt: Int
    package var state: JobState
    /// Counted by the Work Manager: grows with each change of this job.
    package var revision: Int
    package var time: Timestamp
    package var created: Timestamp
    package var started: Timestamp?
    package var finished: Timestamp?
    package var deadline: Timestamp
    package var progress: Double?
    package var message: String?
    package var outputs: JSONObject?
    package var error: Problem?
    /// As in `RunRecord`.
    package var omitted: [String]?

    package init(
        id: JobID, run: RunID, service: ServiceID, type: ServiceType, provider: ProviderID, attempt: Int,
        state: JobState, revision: Int, time: Timestamp, created: Timestamp, started: Timestamp? = nil,
        finished: Timestamp? = nil, deadline: Timestamp, progress: Double? = nil, message: String? = nil,
        outputs: JSONObject? = nil, error: Problem? = nil
    ) {
        self.id = id
        self.run = run
        self.service = service
        self.type = type
        self.provider = provider
        self.attempt = attempt
        self.state = state
        self.revision = revision
        self.time = time
        self.created = created
        self.started = started
        self.finished = finished
        self.deadline = deadline
        self.progress = progress
        self.message = message
        self.outputs = outputs
        self.error = error
    }
}

package struct ReasonRecord: Hashable, Codable, Sendable {
    package var subject: String
    package var code: String?
    package var text: String?
    package var since: Timestamp
    /// The reason holds no longer.
    package var cleared: Bool

    package init(subject: String, code: String? = nil, text: String? = nil, since: Timestamp, cleared: Bool) {
        self.subject = subject
        self.code = code
        self.text = text
        self.since = since
        self.cleared = cleared
    }
}

/// Everything up to `ackSeq` is in PostgreSQL.
package struct Committed: Hashable, Codable, Sendable {
    package var epoch: Int
    package var ackSeq: Int

    package init(epoch: Int, ackSeq: Int) {
        self.epoch = epoch
        self.ackSeq = ackSeq
    }

    enum CodingKeys: String, CodingKey {
        case epoch
        case ackSeq = "ack_seq"
    }
}

/// A merged result. It names every provider that was asked exactly once.
package struct ServiceResult: Hashable, Codable, Sendable {
    package var run: RunID
    package var service: ServiceID
    package var type: ServiceType
    package var state: RunRecord.State
    package var due: Timestamp
    package var finished: Timestamp
    package var strategy: MergeRule.Strategy
    package var providers: [ProviderContribution]
    package var outputs: JSONObject
    /// Grows when a late branch amends the result; absent: 1.
    package var revision: Int?
    /// As in `RunRecord`.
    package var omitted: [String]?

    package init(
        run: RunID, service: ServiceID, type: ServiceType, state: RunRecord.State, due: Timestamp,
        finished: Timestamp, strategy: MergeRule.Strategy, providers: [ProviderContribution],
        outputs: JSONObject, revision: Int? = nil
    ) {
        self.revision = revision
        self.run = run
        self.service = service
        self.type = type
        self.state = state
        self.due = due
        self.finished = finished
        self.strategy = strategy
        self.providers = providers
        self.outputs = outputs
    }
}

package struct ProviderContribution: Hashable, Codable, Sendable {
    package enum Outcome: String, Codable, Sendable, CaseIterable {
        case used
        /// It delivered, and the rule had no use for it.
        case unused
        /// Nothing came by the end of the run.
        case missing
        /// Nothing has come yet: it may amend the result.
        case late
        case failed
    }

    package var provider: ProviderID
    package var outcome: Outcome
    package var job: JobID?
    package var error: Problem?

    package init(provider: ProviderID, outcome: Outcome, job: JobID? = nil, error: Problem? = nil) {
        self.provider = provider
        self.outcome = outcome
        self.job = job
        self.error = error
    }
}
