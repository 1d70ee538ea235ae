/// How often a service runs: exactly one of the members (docs/sp-interface section 2).
package struct Frequency: Hashable, Codable, Sendable {
    /// Runs one single time.
    package var once: Bool?
    /// Runs every so many seconds, counted from the service's anchor.
    package var everySeconds: Int?
    /// Spreads the ticks of many services: each is late by a fixed, hashed part of this.
    package var jitterSeconds: Int?
    /// A cron expression (five fields). The schedule belongs to the Work Manager, never to a provider.
    package var cron: String?
    package var timezone: String?

    package init(
        once: Bool? = nil, everySeconds: Int? = nil, jitterSeconds: Int? = nil, cron: String? = nil,
        timezone: String? = nil
    ) {
        self.once = once
        self.everySeconds = everySeconds
        self.jitterSeconds = jitterSeconds
        self.cron = cron
        self.timezone = timezone
    }

    enum CodingKeys: String, CodingKey {
        case once, cron, timezone
        case everySeconds = "every_s"
        case jitterSeconds = "jitter_s"
    }
}

/// Where data comes from or goes to. `credential` is a *name* that the provider resolves, never a secret.
package struct DataLocation: Hashable, Codable, Sendable {
    package var uri: String
    /// Media type, for example `text/csv`.
    package var type: String?
    package var credential: String?

    package init(uri: String, type: String? = nil, credential: String? = nil) {
        self.uri = uri
        self.type = type
        self.credential = credential
    }
}

/// The standard configuration of a service: the four fields of the design (frequency, timeout, data source, output
/// source) and the service's own parameters.
package struct ServiceConfig: Hashable, Codable, Sendable {
    package var frequency: Frequency?
    package var timeoutSeconds: Int?
    package var dataSource: DataLocation?
    package var outputSource: DataLocation?
    package var parameters: JSONValue?

    package init(
        frequency: Frequency? = nil, timeoutSeconds: Int? = nil, dataSource: DataLocation? = nil,
        outputSource: DataLocation? = nil, parameters: JSONValue? = nil
    ) {
        self.frequency = frequency
        self.timeoutSeconds = timeoutSeconds
        self.dataSource = dataSource
        self.outputSource = outputSource
        self.parameters = parameters
    }

    enum CodingKeys: String, CodingKey {
        case frequency, parameters
        case timeoutSeconds = "timeout_s"
        case dataSource = "data_source"
        case outputSource = "output_source"
    }
}
