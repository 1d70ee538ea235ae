/// A service in a provider's catalogue: `GET /services` (docs/sp-interface.md section 2).
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
    package var stoppable: Bool?
    package var dataSchemes: [String]?
    package var limits: ServiceLimits?
    package var defaults: ServiceConfig?
    /// JSON Schema 2020-12.
    package var parametersSchema: JSONValue?
    package var inputSchema: JSONValue?
    package var outputSchema: JSONValue?

    package init(
        id: ServiceID, type: ServiceType, version: String, name: String? = nil, description: String? = nil,
        tags: [String]? = nil, available: Bool, stoppable: Bool? = nil, dataSchemes: [String]? = nil,
        limits: ServiceLimits? = nil, defaults: ServiceConfig? = nil, parametersSchema: JSONValue? = nil,
        inputSchema: JSONValue? = nil, outputSchema: JSONValue? = nil
    ) {
        self.id = id
        self.type = type
        self.version = version
        self.name = name
        self.description = description
        self.tags = tags
        self.available = available
        self.stoppable = stoppable
        self.dataSchemes = dataSchemes
        self.limits = limits
        self.defaults = defaults
        self.parametersSchema = parametersSchema
        self.inputSchema = inputSchema
        self.outputSchema = outputSchema
    }
    enum CodingKeys: String, CodingKey {
        case id, type, version, name, description, tags, available, stoppable, limits, defaults
        case dataSchemes = "data_schemes"
        case parametersSchema = "parameters_schema"
        case inputSchema = "input_schema"
        case outputSchema = "output_schema"
    }
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

    package init(services: [ServiceDescription]) {
        self.services = services
    }
}
