import OMSModel
import OMSProtocol

/// What holds for a tenant: its scenarios with its own values in them.
extension Registry {
    /// The scenarios as this tenant has them.
    mutating func scenarios(of tenant: TenantID) -> [ScenarioID: ScenarioSpec] {
        let isInWave = rollout?.includes(tenant) == true
        guard let overrides = specs[tenant]?.services, !overrides.isEmpty else {
            return isInWave ? scenariosInWave : scenarios
        }
        if let known = overridden[tenant] { return known }
        let made = Self.override(isInWave ? scenariosInWave : scenarios, specs[tenant], FieldErrors())
        overridden[tenant] = made
        return made
    }

    /// - Parameter errors: what is wrong, with pointers into the tenant's document.
    static func override(
        _ scenarios: [ScenarioID: ScenarioSpec], _ spec: TenantSpec?, _ errors: FieldErrors
    ) -> [ScenarioID: ScenarioSpec] {
        guard let spec, let overrides = spec.services, !overrides.isEmpty else { return scenarios }
        var result = scenarios
        for id in spec.scenarios {
            guard let scenario = scenarios[id] else { continue }
            result[id] = EffectiveService.scenario(scenario, overrides: overrides, at: "/spec/services", errors)
        }
        return result
    }

    /// `oms explain`: every value that holds, and where it comes from.
    mutating func explainEffective(_ request: ClientRequest) {
        guard let tenant = request.params["tenant"]?.stringValue.flatMap({ TenantID($0) }), let spec = specs[tenant]
        else {
            return respond(request, Problem(.notFound, "field tenant must name a registered tenant", status: 404))
        }
        let id =
            request.params["scenario"]?.stringValue.flatMap { ScenarioID($0) } ?? tenants[tenant]?.config?.scenario
            ?? spec.scenarios[0]
        guard let scenario = scenarios[id] else {
            return respond(request, Problem(.notFound, "scenario \(id) is not registered", status: 404))
        }
        var rows: [JSONValue] = []
        for (service, value) in scenario.services.sorted(by: { $0.key < $1.key }) {
            let effective = EffectiveService(service, scenario: value, override: spec.services?[service])
            for (field, value) in effective.values.sorted(by: { $0.key < $1.key }) {
                rows.append([
                    "scenario": .string(id.text), "service": .string(service.text), "field": .string(field),
                    "value": value, "origin": .string((effective.origins[field] ?? .builtIn).rawValue),
                ])
            }
            for (field, origin) in effective.origins.sorted(by: { $0.key < $1.key })
            where field.hasPrefix("parameters/") && origin == .tenant {
                rows.append([
                    "scenario": .string(id.text), "service": .string(service.text), "field": .string(field),
                    "value": effective.values["parameters"]?[String(field.dropFirst(11))] ?? .null,
                    "origin": .string(origin.rawValue),
                ])
            }
        }
        publish(
            .response(request.client),
            .response(ClientResponse(id: request.id, status: 200, result: ["rows": .array(rows)])))
    }
}
