/// Everything that a Work Manager needs to know: made by the planner, sent whole, identified by `generation`.
package struct WorkManagerConfig: Hashable, Codable, Sendable {
    package var tenant: TenantID
    /// Grows with every change of the configuration.
    package var generation: Int
    package var scenario: ScenarioID
    package var services: [ServicePlan]

    package init(tenant: TenantID, generation: Int, scenario: ScenarioID, services: [ServicePlan]) {
        self.tenant = tenant
        self.generation = generation
        self.scenario = scenario
        self.services = services
    }

    package func service(_ id: ServiceID) -> ServicePlan? { services.first { $0.id == id } }
}

/// One service as the Work Manager runs it: all defaults and variables filled in, providers chosen.
package struct ServicePlan: Hashable, Codable, Sendable {
    package var id: ServiceID
    package var type: ServiceType
    package var frequency: Frequency?
    package var after: [ServiceID]
    /// Tick 0 of the schedule, set once when the tenant got the service with this rhythm.
    package var anchor: Timestamp
    /// The rhythm before this one: its ticks before `anchor` that nobody fired are to be accounted for.
    package var earlier: EarlierSchedule?
    /// Absent: `skip`.
    package var overlap: OverlapPolicy?
    package var queueLimit: Int?
    package var catchUpSeconds: Int?
    /// Absent (a plan of an earlier release): `one` with merge strategy `first`, else `all`.
    package var policy: ProviderPolicy?
    package var safeToRunTwice: Bool?
    package var timeouts: TimeoutRule?
    package var maxProviderFaults: Int?
    package var timeoutSeconds: Int
    package var deadlineSeconds: Int
    package var maxAttempts: Int
    package var dataSource: DataLocation?
    package var outputSource: DataLocation?
    package var parameters: JSONValue?
    /// Every able one, in order of preference.
    package var providers: [ProviderChoice]
    package var merge: MergeRule
    /// Absent: `stop`.
    package var onReplace: ReplaceAction?
    package var suspended: Bool?

    package init(
        id: ServiceID, type: ServiceType, frequency: Frequency? = nil, after: [ServiceID], anchor: Timestamp,
        timeoutSeconds: Int, deadlineSeconds: Int, maxAttempts: Int, dataSource: DataLocation? = nil,
        outputSource: DataLocation? = nil, parameters: JSONValue? = nil, providers: [ProviderChoice], merge: MergeRule,
        onReplace: ReplaceAction? = nil, suspended: Bool? = nil
    ) {
        self.suspended = suspended
        self.onReplace = onReplace
        self.id = id
        self.type = type
        self.frequency = frequency
        self.after = after
        self.anchor = anchor
        self.timeoutSeconds = timeoutSeconds
        self.deadlineSeconds = deadlineSeconds
        self.maxAttempts = maxAttempts
        self.dataSource = dataSource
        self.outputSource = outputSource
        self.parameters = parameters
        self.providers = providers
        self.merge = merge
    }

    enum CodingKeys: String, CodingKey {
        case id, type, frequency, after, anchor, earlier, overlap, parameters, providers, merge, suspended
        case policy, timeouts
        case safeToRunTwice = "safe_to_run_twice"
        case maxProviderFaults = "max_provider_faults"
        case queueLimit = "queue_limit"
        case catchUpSeconds = "catch_up_s"
        case timeoutSeconds = "timeout_s"
        case deadlineSeconds = "deadline_s"
        case maxAttempts = "max_attempts"
        case dataSource = "data_source"
        case outputSource = "output_source"
        case onReplace = "on_replace"
    }
}

/// A schedule that is over.
package struct EarlierSchedule: Hashable, Codable, Sendable {
    package var frequency: Frequency
    package var anchor: Timestamp

    package init(frequency: Frequency, anchor: Timestamp) {
        self.frequency = frequency
        self.anchor = anchor
    }
}

package struct ProviderChoice: Hashable, Codable, Sendable {
    package var provider: ProviderID
    /// The id of the service in that provider's catalogue.
    package var service: ServiceID

    package init(provider: ProviderID, service: ServiceID) {
        self.provider = provider
        self.service = service
    }
}

/// What an earlier epoch left: a Work Manager is a cache and begins with this.
package struct WorkManagerResume: Hashable, Codable, Sendable {
    /// Per service the last tick that is already accounted for.
    package var ticks: [ServiceID: Timestamp]
    /// Per service the last succeeded run: feeds `after`.
    package var succeeded: [ServiceID: RunReference]
    /// Per service with `after` the upstream runs that its last run has consumed.
    package var consumed: [ServiceID: [RunID]]
    package var open: [OpenRun]
    /// So many open runs did not fit into the message.
    package var more: Int?

    package init(
        ticks: [ServiceID: Timestamp], succeeded: [ServiceID: RunReference], consumed: [ServiceID: [RunID]],
        open: [OpenRun]
    ) {
        self.ticks = ticks
        self.succeeded = succeeded
        self.consumed = consumed
        self.open = open
    }

    package static var empty: WorkManagerResume { .init(ticks: [:], succeeded: [:], consumed: [:], open: []) }
}

package struct RunReference: Hashable, Codable, Sendable {
    package var run: RunID
    package var due: Timestamp

    package init(run: RunID, due: Timestamp) {
        self.run = run
        self.due = due
    }
}

/// A run that has not ended, with its jobs.
package struct OpenRun: Hashable, Codable, Sendable {
    package var run: RunID
    package var service: ServiceID
    package var due: Timestamp
    package var started: Timestamp
    package var deadline: Timestamp
    package var consumed: [RunID]?
    /// Its result is out; only jobs that have not ended keep it open.
    package var finished: Bool?
    /// Of that result.
    package var revision: Int?
    /// The plan that the run began with: a change of configuration does not touch running runs. nil: that of the
    /// configuration in the same message.
    package var plan: ServicePlan?
    package var jobs: [OpenJob]

    package init(
        run: RunID, service: ServiceID, due: Timestamp, started: Timestamp, deadline: Timestamp,
        consumed: [RunID]? = nil, finished: Bool? = nil, plan: ServicePlan?, jobs: [OpenJob]
    ) {
        self.run = run
        self.service = service
        self.due = due
        self.started = started
        self.deadline = deadline
        self.consumed = consumed
        self.finished = finished
        self.plan = plan
        self.jobs = jobs
    }
}

package struct OpenJob: Hashable, Codable, Sendable {
    package var id: JobID
    package var provider: ProviderID
    package var attempt: Int
    package var state: JobState
    package var revision: Int
    /// Of a job that failed: whether its error allows another attempt.
    package var retryable: Bool?
    /// And its type.
    package var problem: String?
    /// It could not be accounted for when its Work Manager was replaced by force: it is to be stopped.
    package var quarantined: Bool?

    package init(
        id: JobID, provider: ProviderID, attempt: Int, state: JobState, revision: Int, retryable: Bool? = nil,
        quarantined: Bool? = nil
    ) {
        self.quarantined = quarantined
        self.id = id
        self.provider = provider
        self.attempt = attempt
        self.state = state
        self.revision = revision
        self.retryable = retryable
    }
}
