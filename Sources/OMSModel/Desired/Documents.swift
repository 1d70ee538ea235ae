/// A registered Service Provider, as an operator declares it (kind `Provider`).
package struct ProviderSpec: Hashable, Codable, Sendable {
    /// Where its REST interface begins, for example `https://sp.example.org/oms`.
    package var baseURL: String
    /// Name of a credential that the gateway resolves; never the secret itself.
    package var credential: String?
    /// How often the gateway sweeps the jobs. Default 1 s while jobs are open.
    package var pollSeconds: Int?
    /// Upper bound of jobs in flight at this provider, all tenants together. Default 8.
    package var maxRunning: Int?
    /// Upper bound of submits per second. Default: none.
    package var maxSubmitsPerSecond: Int?
    package var description: String?
    /// Announced absences: no new work goes there from their beginning on, and its absence is no fault.
    package var maintenance: [MaintenanceWindow]?

    package init(
        baseURL: String, credential: String? = nil, pollSeconds: Int? = nil, maxRunning: Int? = nil,
        maxSubmitsPerSecond: Int? = nil, description: String? = nil, maintenance: [MaintenanceWindow]? = nil
    ) {
        self.maintenance = maintenance
        self.baseURL = baseURL
        self.credential = credential
        self.pollSeconds = pollSeconds
        self.maxRunning = maxRunning
        self.maxSubmitsPerSecond = maxSubmitsPerSecond
        self.description = description
    }

    enum CodingKeys: String, CodingKey {
        case credential, description, maintenance
        case baseURL = "base_url"
        case pollSeconds = "poll_s"
        case maxRunning = "max_running"
        case maxSubmitsPerSecond = "max_submits_per_s"
    }
}

/// From `from` (included) to `until` (excluded).
package struct MaintenanceWindow: Hashable, Codable, Sendable {
    package var from: Timestamp
    package var until: Timestamp
    package var reason: String?

    package init(from: Timestamp, until: Timestamp, reason: String? = nil) {
        self.from = from
        self.until = until
        self.reason = reason
    }

    package func contains(_ time: Timestamp) -> Bool { from <= time && time < until }
}

/// What services a tenant gets and how (kind `Scenario`). A tenant lists several in order of preference.
package struct ScenarioSpec: Hashable, Codable, Sendable {
    package var description: String?
    package var services: [ServiceID: ServiceSpec]

    package init(description: String? = nil, services: [ServiceID: ServiceSpec]) {
        self.description = description
        self.services = services
    }
}

/// A tenant (kind `Tenant`).
package struct TenantSpec: Hashable, Codable, Sendable {
    package var description: String?
    /// In order of preference: the first that the available providers can satisfy is in force.
    package var scenarios: [ScenarioID]
    /// Values for `{name}` in the scenario's strings; `{tenant}` is always the tenant's name.
    package var variables: [String: String]?
    package var suspended: Bool?
    /// Seconds that a silent Work Manager, or one on a lost fleet, is waited for before it is replaced by force.
    /// Default 30.
    package var replaceAfterSeconds: Int?
    /// What the registry must have before it starts the next epoch of a silent Work Manager. Default `door`.
    package var proof: ReplacementProof?
    /// Per service of its scenarios what is different for this tenant, field by field; see `EffectiveService`.
    package var services: [ServiceID: JSONValue]?
    /// For choosing tenants by.
    package var labels: [String: String]?

    package init(
        description: String? = nil, scenarios: [ScenarioID], variables: [String: String]? = nil,
        suspended: Bool? = nil, replaceAfterSeconds: Int? = nil, proof: ReplacementProof? = nil,
        services: [ServiceID: JSONValue]? = nil, labels: [String: String]? = nil
    ) {
        self.services = services
        self.labels = labels
        self.replaceAfterSeconds = replaceAfterSeconds
        self.proof = proof
        self.description = description
        self.scenarios = scenarios
        self.variables = variables
        self.suspended = suspended
    }

    enum CodingKeys: String, CodingKey {
        case description, scenarios, variables, suspended, proof, services, labels
        case replaceAfterSeconds = "replace_after_s"
    }
}

/// How certain the end of a silent Work Manager must be.
package enum ReplacementProof: String, Codable, Sendable, CaseIterable {
    /// Every gateway refuses its commands and has ended its jobs: it can do no harm, whether it lives or not.
    case door
    /// Its process must have ended: it said so, or a newer one has its name. Otherwise wait for an operator.
    case strict
}

/// What a replacement of the Work Manager does with running jobs of a service.
package enum ReplaceAction: String, Codable, Sendable, CaseIterable {
    /// Stop them at the providers.
    case stop
    /// Leave them running; the next epoch goes on with them.
    case adopt
    /// Let them end by themselves until the drain's deadline, then stop them.
    case wait
}

/// One service of a scenario: the standard configuration, and how the Work Manager runs it.
package struct ServiceSpec: Hashable, Codable, Sendable {
    /// What it does; matched against the `type` in the providers' catalogues.
    package var type: ServiceType
    package var frequency: Frequency?
    /// Runs when each of these services has succeeded again. Excludes `frequency`.
    package var after: [ServiceID]?
    /// A tick while the run before has not ended. Default `skip`.
    package var overlap: OverlapPolicy?
    /// With `queue-all`: how many ticks may wait. Default 100.
    package var queueLimit: Int?
    /// A tick that could not be fired for longer than this is superseded. Default: the newest is always fired.
    package var catchUpSeconds: Int?
    /// Two executions of one request do no harm. Default: what the providers' catalogues say.
    package var safeToRunTwice: Bool?
    package var timeouts: TimeoutRule?
    /// How often a job that failed by its provider's fault is tried again. Default 10.
    package var maxProviderFaults: Int?
    package var timeoutSeconds: Int?
    package var dataSource: DataLocation?
    package var outputSource: DataLocation?
    package var parameters: JSONValue?
    package var providers: ProviderPolicy?
    package var merge: MergeRule?
    /// How often a failed job is tried again (new job, same run). Default 2 tries in all.
    package var maxAttempts: Int?
    /// A run ends by then with what it has. Default timeout_s * max_attempts + 60.
    package var deadlineSeconds: Int?
    /// When the Work Manager is replaced. Default `stop`.
    package var onReplace: ReplaceAction?
    /// It fires nothing until this is taken away.
    package var suspended: Bool?

    package init(
        type: ServiceType, frequency: Frequency? = nil, after: [ServiceID]? = nil, timeoutSeconds: Int? = nil,
        dataSource: DataLocation? = nil, outputSource: DataLocation? = nil, parameters: JSONValue? = nil,
        providers: ProviderPolicy? = nil, merge: MergeRule? = nil, maxAttempts: Int? = nil,
        deadlineSeconds: Int? = nil, onReplace: ReplaceAction? = nil, suspended: Bool? = nil
    ) {
        self.suspended = suspended
        self.onReplace = onReplace
        self.type = type
        self.frequency = frequency
        self.after = after
        self.timeoutSeconds = timeoutSeconds
        self.dataSource = dataSource
        self.outputSource = outputSource
        self.parameters = parameters
        self.providers = providers
        self.merge = merge
        self.maxAttempts = maxAttempts
        self.deadlineSeconds = deadlineSeconds
    }

    enum CodingKeys: String, CodingKey {
        case type, frequency, after, overlap, parameters, providers, merge, suspended
        case timeouts
        case safeToRunTwice = "safe_to_run_twice"
        case maxProviderFaults = "max_provider_faults"
        case queueLimit = "queue_limit"
        case catchUpSeconds = "catch_up_s"
        case timeoutSeconds = "timeout_s"
        case dataSource = "data_source"
        case outputSource = "output_source"
        case maxAttempts = "max_attempts"
        case deadlineSeconds = "deadline_s"
        case onReplace = "on_replace"
    }
}

/// One declared document with its name.
package enum Document: Hashable, Sendable {
    case provider(ProviderID, ProviderSpec)
    case scenario(ScenarioID, ScenarioSpec)
    case tenant(TenantID, TenantSpec)
}
