package import OMSModel

/// Reads declared documents (`kind`, `name`, `spec`) strictly: every error names the field and the remedy.
package enum DocumentReader {
    /// - Returns: the document, or what is wrong with it; pointers begin at the document (`/spec/base_url`).
    package static func read(_ value: JSONValue) -> (document: Document?, errors: [FieldError]) {
        let errors = FieldErrors()
        guard var reader = FieldReader(value, at: "", errors) else { return (nil, errors.list) }
        let kind = reader.string("kind", required: true)
        let nameText = reader.string("name", required: true)
        let spec = reader.value("spec")
        reader.finish()
        guard let kind, let nameText else { return (nil, errors.list) }
        guard let spec else {
            errors.add("/spec", "is missing")
            return (nil, errors.list)
        }
        var document: Document?
        switch kind {
        case "Provider":
            if let name: ProviderID = reader.check(nameText, at: "/name"), let spec = provider(spec, errors) {
                document = .provider(name, spec)
            }
        case "Scenario":
            if let name: ScenarioID = reader.check(nameText, at: "/name"), let spec = scenario(spec, errors) {
                document = .scenario(name, spec)
            }
        case "Tenant":
            if let name: TenantID = reader.check(nameText, at: "/name"), let spec = tenant(spec, errors) {
                document = .tenant(name, spec)
            }
        default: errors.add("/kind", "'\(kind)' is none of 'Provider', 'Scenario', 'Tenant'")
        }
        return (errors.list.isEmpty ? document : nil, errors.list)
    }

    private static func provider(_ value: JSONValue, _ errors: FieldErrors) -> ProviderSpec? {
        guard var reader = FieldReader(value, at: "/spec", errors) else { return nil }
        let baseURL = reader.string("base_url", required: true)
        if let fault = baseURL.flatMap(BaseAddress.fault) { reader.fail("base_url", fault) }
        let credential = reader.credential()
        let spec = ProviderSpec(
            baseURL: baseURL.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 } ?? "",
            credential: credential,
            pollSeconds: reader.int("poll_s", in: 1...3600),
            maxRunning: reader.int("max_running", in: 1...10_000),
            maxSubmitsPerSecond: reader.int("max_submits_per_s", in: 1...1_000),
            description: reader.string("description"), maintenance: maintenance(&reader, errors))
        reader.finish()
        return spec
    }

    private static func maintenance(_ reader: inout FieldReader, _ errors: FieldErrors) -> [MaintenanceWindow]? {
        guard let value = reader.value("maintenance") else { return nil }
        guard let items = value.arrayValue, items.count <= 100 else {
            reader.fail("maintenance", "must be a list of at most 100 windows {from, until, reason}")
            return nil
        }
        return items.enumerated().compactMap { index, item in
            let pointer = "\(reader.pointer)/maintenance/\(index)"
            guard var window = FieldReader(item, at: pointer, errors) else { return nil }
            let (from, until) = (window.time("from"), window.time("until"))
            let reason = window.string("reason")
            window.finish()
            guard let from, let until else { return nil }
            if until <= from { errors.add("\(pointer)/until", "must be later than from") }
            return MaintenanceWindow(from: from, until: until, reason: reason)
        }
    }

    private static func tenant(_ value: JSONValue, _ errors: FieldErrors) -> TenantSpec? {
        guard var reader = FieldReader(value, at: "/spec", errors) else { return nil }
        let scenarios: [ScenarioID]? = reader.names("scenarios", required: true)
        if scenarios?.isEmpty == true { reader.fail("scenarios", "must name at least one scenario") }
        var variables: [String: String]?
        if let members = reader.children("variables") {
            variables = [:]
            for (key, value, pointer) in members {
                if let text = value.stringValue {
                    variables?[key] = text
                } else {
                    errors.add(pointer, "must be a text")
                }
                if key == "tenant" { errors.add(pointer, "is always the tenant's name; choose another variable") }
            }
        }
        let spec = TenantSpec(
            description: reader.string("description"), scenarios: scenarios ?? [], variables: variables,
            suspended: reader.bool("suspended"),
            replaceAfterSeconds: reader.int("replace_after_s", in: 1...86_400),
            proof: reader.choice("proof", ReplacementProof.self), services: overrides(&reader, errors),
            labels: texts("labels", &reader, errors))
        reader.finish()
        return spec
    }

    /// Whether the fields fit is judged together with the scenario (`EffectiveService`).
    private static func overrides(_ reader: inout FieldReader, _ errors: FieldErrors) -> [ServiceID: JSONValue]? {
        guard let members = reader.children("services") else { return nil }
        var found: [ServiceID: JSONValue] = [:]
        for (key, value, pointer) in members {
            guard let id: ServiceID = reader.check(key, at: pointer) else { continue }
            if value.objectValue == nil {
                errors.add(pointer, "must be a mapping of the fields that differ from the scenario")
            } else {
                found[id] = value
            }
        }
        return found
    }

    private static func texts(
        _ key: String, _ reader: inout FieldReader, _ errors: FieldErrors
    ) -> [String: String]? {
        guard let members = reader.children(key) else { return nil }
        var found: [String: String] = [:]
        for (key, value, pointer) in members {
            if let text = value.stringValue { found[key] = text } else { errors.add(pointer, "must be a text") }
        }
        return found
    }

    private static func scenario(_ value: JSONValue, _ errors: FieldErrors) -> ScenarioSpec? {
        guard var reader = FieldReader(value, at: "/spec", errors) else { return nil }
        let description = reader.string("description")
        var services: [ServiceID: ServiceSpec] = [:]
        let members = reader.children("services")
        if members?.isEmpty ?? true { reader.fail("services", "must hold at least one service") }
        for (key, value, pointer) in members ?? [] {
            guard let id: ServiceID = reader.check(key, at: pointer) else { continue }
            services[id] = ServiceReader.service(value, at: pointer, errors)
        }
        reader.finish()
        ServiceReader.checkDependencies(services, at: "/spec/services", errors)
        return ScenarioSpec(description: description, services: services)
    }
}
