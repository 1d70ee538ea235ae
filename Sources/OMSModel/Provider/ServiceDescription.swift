/// A service in a provider's catalogue: `GET /services` (docs/reference/sp-interface section 2).
package struct ServiceDescription: Hashable, Codable, Sendable {
    /// Never changes its meaning.
    package var id: ServiceID
    /// What it does: equal types are interchangeable.
    package var type: ServiceType
    package var version: String
    package var name: String?
    package var description: String?
    package var tags: [String]?
    package var available: Bool
    /// How a repeated submit is recognised; absent: by the job id.
    package var idempotency: Idempotency?
    /// What a stop can do; absent: `cooperative`, or `none` when not `stoppable`.
    package var cancel: CancelCapability?
    package var stoppable: Bool?
    /// How long results are kept, if other than the provider's retention.
    package var resultRetentionSeconds: Int?
    /// Two executions of one request do no harm; absent: they may.
    package var safeToRunTwice: Bool?
    package var dataSchemes: [String]?
    package var limits: ServiceLimits?
    package var defaults: ServiceConfig?
    /// JSON Schema 2020-12.
    package var parametersSchema: JSONValue?
    package var inputSchema: JSONValue?
    package var outputSchema: JSONValue?

    package init(
        id: ServiceID, type: ServiceType, version: String, name: String? = nil, description: String? = nil,
        tags: [String]? = nil, available: Bool, idempotency: Idempotency? = nil,
        cancel: CancelCapability? = nil, stoppable: Bool? = nil, resultRetentionSeconds: Int? = nil,
        safeToRunTwice: Bool? = nil, dataSchemes: [String]? = nil, limits: ServiceLimits? = nil,
        defaults: ServiceConfig? = nil, parametersSchema: JSONValue? = nil,
        inputSchema: JSONValue? = nil, outputSchema: JSONValue? = nil
    ) {
        self.id = id
        self.type = type
        self.version = version
        self.name = name
        self.description = description
        self.tags = tags
        self.available = available
        self.idempotency = idempotency
        self.cancel = cancel
        self.stoppable = stoppable
        self.resultRetentionSeconds = resultRetentionSeconds
        self.safeToRunTwice = safeToRunTwice
        self.dataSchemes = dataSchemes
        self.limits = limits
        self.defaults = defaults
        self.parametersSchema = parametersSchema
        self.inputSchema = inputSchema
        self.outputSchema = outputSchema
    }
    enum CodingKeys: String, CodingKey {
        case id, type, version, name, description, tags, available, idempotency, cancel, stoppable, limits, defaults
        case resultRetentionSeconds = "result_retention_s"
        case safeToRunTwice = "safe_to_run_twice"
        case dataSchemes = "data_schemes"
        case parametersSchema = "parameters_schema"
        case inputSchema = "input_schema"
        case outputSchema = "output_schema"
    }
}

/// How a provider recognises a submit that it has had before. Only `clientKey` conforms; the others are for adapters
/// to foreign systems.
package enum Idempotency: String, Hashable, Codable, Sendable, CaseIterable {
    case clientKey = "client-key"
    case label
    case none
}

/// What a stop can do to a job.
package enum CancelCapability: String, Hashable, Codable, Sendable, CaseIterable {
    case none
    /// Before the job starts.
    case queuedOnly = "queued-only"
    /// The work ends at its next safe point.
    case cooperative
    /// The work ends, by force if need be, at the latest after `grace_s`.
    case hard
}

package struct ServiceLimits: Hashable, Codable, Sendable {
    package var minIntervalSeconds: Int?
    package var maxTimeoutSeconds: Int?
    package var maxRunning: Int?
    package var maxQueued: Int?

    package init(
        minIntervalSeconds: Int? = nil, maxTimeoutSeconds: Int? = nil, maxRunning: Int? = nil, maxQueued: Int? = nil
    ) {
        self.minIntervalSeconds = minIntervalSeconds
        self.maxTimeoutSeconds = maxTimeoutSeconds
        self.maxRunning = maxRunning
        self.maxQueued = maxQueued
    }

    enum CodingKeys: String, CodingKey {
        case minIntervalSeconds = "min_interval_s"
        case maxTimeoutSeconds = "max_timeout_s"
        case maxRunning = "max_running"
        case maxQueued = "max_queued"
    }
}

/// The body of `GET /services`.
package struct ServiceList: Hashable, Codable, Sendable {
    package var services: [ServiceDescription]
    /// What the reader skipped, in words. No member of the interface.
    package var odd: String?

    enum CodingKeys: String, CodingKey { case services }

    package init(services: [ServiceDescription]) {
        self.services = services
    }
}
