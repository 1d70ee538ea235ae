package import OMSModel

/// What can only be judged of several documents together. Of files alone the CLI asks, and the registry again, with all
/// that it knows.
package enum DocumentSet {
    /// - Parameters:
    ///   - place: how a reader finds the document of this number.
    ///   - scenarios, tenants: what is registered already.
    /// - Returns: pointers begin at the request: `/documents/3/spec/...`.
    package static func errors(
        _ documents: [Document], scenarios: [ScenarioID: ScenarioSpec] = [:], tenants: [TenantID: TenantSpec] = [:],
        place: (Int) -> String = { "document \($0) of this request" }
    ) -> [FieldError] {
        let doubled = doubles(documents, place)
        return doubled.isEmpty ? VariableUse.errors(documents, scenarios, tenants) : doubled
    }

    /// One name twice: which of the two is meant nobody can tell, and each apply would make two versions.
    private static func doubles(_ documents: [Document], _ place: (Int) -> String) -> [FieldError] {
        var first: [String: Int] = [:]
        return documents.enumerated().compactMap { index, document in
            guard let other = first[document.key] else {
                first[document.key] = index
                return nil
            }
            return FieldError(
                pointer: "/documents/\(index)/name",
                detail: "\(document.key) is declared in \(place(other)) already; keep one of them")
        }
    }
}

/// Finds `{name}`s that no tenant variable fills: a misspelt one goes out to the provider as it stands, and all tenants read
/// or write the same `{tennant}.csv`.
///
/// In an address every name must be known. In parameters braces may well be meant for the provider (GraphQL, templates), so
/// that only what looks like a misspelt variable is refused.
private struct VariableUse {
    var name: String
    /// In the scenario's document.
    var pointer: String
    var isAddress: Bool

    private static let maxErrors = 50

    static func errors(
        _ documents: [Document], _ scenarios: [ScenarioID: ScenarioSpec], _ tenants: [TenantID: TenantSpec]
    ) -> [FieldError] {
        var specs = scenarios
        var all = tenants
        var places: [ScenarioID: Int] = [:]
        var owners: [TenantID: Int] = [:]
        for (index, document) in documents.enumerated() {
            switch document {
            case .provider: break
            case .scenario(let id, let spec): (specs[id], places[id]) = (spec, index)
            case .tenant(let id, let spec): (all[id], owners[id]) = (spec, index)
            }
        }
        guard !places.isEmpty || !owners.isEmpty else { return [] }
        var uses: [ScenarioID: [VariableUse]] = [:]
        var seen: Set<String> = []
        var errors: [FieldError] = []
        for (tenant, spec) in all.sorted(by: { $0.key < $1.key }) {
            let owner = owners[tenant]
            for id in spec.scenarios where owner != nil || places[id] != nil {
                guard let scenario = specs[id], errors.count < maxErrors else { continue }
                let found: [VariableUse]
                if let overrides = spec.services, !overrides.isEmpty {
                    found = read(EffectiveService.scenario(scenario, overrides: overrides, at: "", FieldErrors()))
                } else if let known = uses[id] {
                    found = known
                } else {
                    found = read(scenario)
                    uses[id] = found
                }
                for use in found {
                    guard let why = use.fault(for: tenant, spec),
                        seen.insert("\(id)\(use.pointer) \(use.name)").inserted
                    else { continue }
                    if let place = places[id] {
                        errors.append(FieldError(pointer: "/documents/\(place)\(use.pointer)", detail: why))
                    } else if let owner {
                        errors.append(
                            FieldError(
                                pointer: "/documents/\(owner)/spec/variables",
                                detail: "scenario \(id), \(use.pointer.dropFirst("/spec/".count)): \(why)"))
                    }
                }
            }
        }
        return errors
    }

    private func fault(for tenant: TenantID, _ spec: TenantSpec) -> String? {
        if name == "tenant" || spec.variables?[name] != nil { return nil }
        let known = ((spec.variables ?? [:]).keys + ["tenant"]).sorted()
        let near = known.map { ($0, editDistance($0, name)) }.min { $0.1 < $1.1 }
        // One wrong letter in three: `{id}` is not a misspelt `{eu}`.
        let isMisspelt = near.map { $0.1 * 3 <= max($0.0.utf8.count, name.utf8.count) } ?? false
        guard isMisspelt || isAddress else { return nil }
        let hint =
            isMisspelt
            ? "did you mean {\(near?.0 ?? "")}?" : "it has \(known.map { "{\($0)}" }.joined(separator: ", "))"
        return "tenant \(tenant) has no variable {\(name)}; \(hint) Braces that are meant for the provider: "
            + "give the tenant variables: {\(name): \"{\(name)}\"}"
    }

    /// Each name of a place once.
    private static func read(_ scenario: ScenarioSpec) -> [VariableUse] {
        var found: [VariableUse] = []
        for (id, service) in scenario.services.sorted(by: { $0.key < $1.key }) {
            for (field, location) in [("data_source", service.dataSource), ("output_source", service.outputSource)] {
                guard let location else { continue }
                add(location.uri, "/spec/services/\(id)/\(field)/uri", isAddress: true, &found)
                add(location.credential ?? "", "/spec/services/\(id)/\(field)/credential", isAddress: true, &found)
            }
            if let parameters = service.parameters { walk(parameters, "/spec/services/\(id)/parameters", &found) }
        }
        return found
    }

    private static func walk(_ value: JSONValue, _ pointer: String, _ found: inout [VariableUse]) {
        switch value {
        case .string(let text): add(text, pointer, isAddress: false, &found)
        case .array(let items):
            for (index, item) in items.enumerated() { walk(item, "\(pointer)/\(index)", &found) }
        case .object(let members):
            for (name, member) in members.sortedByName { walk(member, "\(pointer)/\(name)", &found) }
        default: break
        }
    }

    private static func add(_ text: String, _ pointer: String, isAddress: Bool, _ found: inout [VariableUse]) {
        for name in Set(Braces.names(in: text)).sorted() {
            found.append(VariableUse(name: name, pointer: pointer, isAddress: isAddress))
        }
    }
}
