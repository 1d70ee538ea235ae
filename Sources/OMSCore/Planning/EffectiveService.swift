package import OMSModel

/// What holds for one service of one tenant, and where each value comes from: built-in default < scenario < tenant.
package struct EffectiveService: Hashable, Sendable {
    package enum Origin: String, Hashable, Sendable { case builtIn = "default", scenario, tenant }

    package var id: ServiceID
    /// As it would stand in a scenario, every field filled in.
    package var values: JSONObject
    /// By field; a single parameter as `parameters/top`.
    package var origins: [String: Origin]

    /// One place for the defaults that an operator sees and the planner uses.
    package static let defaults: JSONObject = [
        "timeout_s": .int(Int64(Planner.defaultTimeoutSeconds)),
        "max_attempts": .int(Int64(Planner.defaultMaxAttempts)),
        "max_provider_faults": .int(Int64(WorkManager.defaultMaxProviderFaults)),
        "providers": ["use": "one"], "merge": ["strategy": "first"], "on_replace": "stop",
    ]

    /// - Parameters:
    ///   - scenario: the service as the scenario has it.
    ///   - override: what the tenant's document says of it; members replace the scenario's, `parameters` member by
    ///     member, and `null` takes a value away.
    package init(_ id: ServiceID, scenario: ServiceSpec, override: JSONValue?) {
        self.id = id
        values = Self.defaults
        origins = Self.defaults.mapValues { _ in .builtIn }
        for (key, value) in JSONValue(encoding: scenario).objectValue ?? [:] { set(key, value, .scenario) }
        for (key, value) in (override?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
            if key == "parameters", let mine = value.objectValue, var both = values["parameters"]?.objectValue {
                for (name, value) in mine {
                    if value == .null { both.removeValue(forKey: name) } else { both[name] = value }
                    origins["parameters/\(name)"] = .tenant
                }
                values["parameters"] = .object(both)
            } else if value == .null {
                values[key] = Self.defaults[key]
                origins[key] = Self.defaults[key] == nil ? nil : .builtIn
            } else {
                set(key, value, .tenant)
            }
            // One of the three says when it runs: the tenant's word takes the scenario's away.
            if key == "frequency" { drop("after") } else if key == "after" { drop("frequency") }
        }
    }

    private mutating func set(_ key: String, _ value: JSONValue, _ origin: Origin) {
        values[key] = value
        origins[key] = origin
        guard key == "parameters" else { return }
        for name in value.objectValue?.keys.sorted() ?? [] { origins["parameters/\(name)"] = origin }
    }

    private mutating func drop(_ key: String) {
        guard origins[key] != .tenant else { return }
        values[key] = nil
        origins[key] = nil
    }

    /// The scenario of one tenant, with its overrides in it.
    /// - Parameter errors: what is wrong with the result, at `pointer/SERVICE/...` as the tenant's document has it.
    static func scenario(
        _ scenario: ScenarioSpec, overrides: [ServiceID: JSONValue], at pointer: String, _ errors: FieldErrors
    ) -> ScenarioSpec {
        var result = scenario
        for (id, override) in overrides.sorted(by: { $0.key < $1.key }) {
            guard let service = scenario.services[id] else { continue }
            let effective = EffectiveService(id, scenario: service, override: override)
            // Without the built-in ones: they are the planner's to fill in.
            let written = effective.values.filter { effective.origins[$0.key] != .builtIn }
            result.services[id] = ServiceReader.service(.object(written), at: "\(pointer)/\(id)", errors) ?? service
        }
        return result
    }
}
