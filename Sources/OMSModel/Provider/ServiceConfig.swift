/// When a service runs: exactly one of `once`, `everySeconds`, `cron`, `onDemand` (docs/operate/schedules.md).
package struct Frequency: Hashable, Codable, Sendable {
    /// Runs one single time.
    package var once: Bool?
    /// Runs every so many seconds, counted from the service's anchor.
    package var everySeconds: Int?
    /// Makes every tick late by a fixed part of this, hashed from tenant and service.
    package var jitterSeconds: Int?
    /// With `everySeconds`: after the first tick, each tenant's service has a phase of its own in the period.
    package var spread: Bool?
    /// A cron expression (five fields). The schedule belongs to the Work Manager, never to a provider.
    package var cron: String?
    /// With `cron`: IANA name of the zone whose local time counts; UTC if absent.
    package var timeZone: String?
    /// Runs when somebody asks for it (`oms run`), never by itself.
    package var onDemand: Bool?

    package init(
        once: Bool? = nil, everySeconds: Int? = nil, jitterSeconds: Int? = nil, spread: Bool? = nil,
        cron: String? = nil, timeZone: String? = nil, onDemand: Bool? = nil
    ) {
        self.once = once
        self.everySeconds = everySeconds
        self.jitterSeconds = jitterSeconds
        self.spread = spread
        self.cron = cron
        self.timeZone = timeZone
        self.onDemand = onDemand
    }

    /// Whether both have the same ticks, but for where in the period they lie.
    package func hasRhythm(of other: Frequency) -> Bool {
        (once ?? false) == (other.once ?? false) && everySeconds == other.everySeconds && cron == other.cron
            && (timeZone ?? "UTC") == (other.timeZone ?? "UTC") && (onDemand ?? false) == (other.onDemand ?? false)
    }

    enum CodingKeys: String, CodingKey {
        case once, cron, spread
        case everySeconds = "every_s"
        case jitterSeconds = "jitter_s"
        case timeZone = "time_zone"
        case onDemand = "on_demand"
    }

    /// As the providers' contract writes it.
    private enum ContractKeys: String, CodingKey { case timezone }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        once = try container.decodeIfPresent(Bool.self, forKey: .once)
        everySeconds = try container.decodeIfPresent(Int.self, forKey: .everySeconds)
        jitterSeconds = try container.decodeIfPresent(Int.self, forKey: .jitterSeconds)
        spread = try container.decodeIfPresent(Bool.self, forKey: .spread)
        cron = try container.decodeIfPresent(String.self, forKey: .cron)
        timeZone =
            try container.decodeIfPresent(String.self, forKey: .timeZone)
            ?? decoder.container(keyedBy: ContractKeys.self).decodeIfPresent(String.self, forKey: .timezone)
        onDemand = try container.decodeIfPresent(Bool.self, forKey: .onDemand)
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
