import OMSModel
import OMSProtocol

/// Judges documents against each other and against what the providers say of their services, before anything is stored.
extension Registry {
    func unfitting(_ documents: [Document]) -> [FieldError] {
        var known = scenarios
        for document in documents { if case .scenario(let id, let spec) = document { known[id] = spec } }
        var errors: [FieldError] = []
        // For all documents together: while they are judged nobody else is served.
        var work = 4 * SchemaCheck.maxWork
        for (index, document) in documents.enumerated() {
            let found: [FieldError]
            switch document {
            case .provider: found = []
            case .scenario(_, let spec):
                found = spec.services.sorted { $0.key < $1.key }
                    .flatMap { parameterErrors($0.value, at: "/spec/services/\($0.key)/parameters", &work) }
            case .tenant(_, let spec): found = overrideErrors(spec, known, &work)
            }
            errors += found.map { FieldError(pointer: "/documents/\(index)\($0.pointer)", detail: $0.detail) }
        }
        return errors
    }

    /// A tenant's own values: the service must be there, and the result must be a right one.
    private func overrideErrors(
        _ spec: TenantSpec, _ known: [ScenarioID: ScenarioSpec], _ work: inout Int
    ) -> [FieldError] {
        guard let overrides = spec.services, !overrides.isEmpty else { return [] }
        let errors = FieldErrors()
        let named = Set(spec.scenarios.flatMap { known[$0].map { Array($0.services.keys) } ?? [] })
        for id in overrides.keys.sorted() where !named.contains(id) {
            errors.add(
                "/spec/services/\(id)",
                "no scenario of this tenant has the service '\(id)'; they have: "
                    + named.sorted().map(\.text).joined(separator: ", "))
        }
        let made = Self.override(known, spec, errors)
        var list = errors.list
        for id in spec.scenarios {
            for (service, value) in (made[id]?.services ?? [:]).sorted(by: { $0.key < $1.key })
            where overrides[service]?["parameters"] != nil {
                list += parameterErrors(value, at: "/spec/services/\(service)/parameters", &work)
            }
        }
        // Two scenarios may complain of one field.
        var seen = Set<FieldError>()
        return list.filter { seen.insert($0).inserted }
    }

    /// Parameters must suit at least one provider that offers the type; if none, the first one's complaints are shown.
    /// A type that nobody offers yet is judged when somebody does.
    private func parameterErrors(_ service: ServiceSpec, at pointer: String, _ work: inout Int) -> [FieldError] {
        let able = (service.providers?.only ?? providers.keys.sorted()).compactMap { id in
            providers[id]?.catalog?.services.first { $0.type == service.type }.map { (id, $0) }
        }
        var first: [FieldError]?
        for (id, description) in able {
            guard let schema = description.parametersSchema else { return [] }
            // The provider has the last word in any case.
            guard work > 0 else { return [] }
            let errors = SchemaCheck.errors(service.parameters ?? [:], schema, at: pointer, work: &work)
            if errors.isEmpty { return [] }
            if first == nil {
                first = errors.map {
                    FieldError(pointer: $0.pointer, detail: "\($0.detail) (provider \(id), service \(description.id))")
                }
            }
        }
        return first ?? []
    }
}
