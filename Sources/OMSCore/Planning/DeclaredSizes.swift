package import OMSModel
import OMSProtocol

/// What declared documents would make on the bus, judged where they are declared: by `oms apply --dry-run`, by `oms plan`
/// and by the registry, all with these functions. What passes here can be sent.
package enum DeclaredSizes {
    /// Of one apply.
    package static let maxDocuments = 1_000
    package static let maxBytes = 2 << 20
    /// Of one document: it comes in one message, beside the rest of the request.
    package static let maxDocumentBytes = ClientRequest.partBytes

    /// - Returns: the mistakes, with pointers `/documents/3`.
    package static func errors(of values: [JSONValue]) -> [FieldError] {
        guard values.count <= maxDocuments else {
            return [
                FieldError(
                    pointer: "/documents/\(maxDocuments)",
                    detail: "there are \(values.count) documents, at most \(maxDocuments) are applied together; "
                        + "apply them in several steps")
            ]
        }
        var total = 0
        for (index, value) in values.enumerated() {
            let bytes = MessageSize.bytes(value)
            total += bytes
            if bytes > maxDocumentBytes {
                return [
                    FieldError(
                        pointer: "/documents/\(index)",
                        detail: "the document is \(bytes) bytes as JSON, at most \(maxDocumentBytes); " + remedy)
                ]
            }
            if total > maxBytes {
                return [
                    FieldError(
                        pointer: "/documents/\(index)",
                        detail: "up to here the documents are \(total) bytes as JSON, at most \(maxBytes) are applied "
                            + "together; apply them in several steps")
                ]
            }
        }
        return []
    }

    private static let remedy = "move large parameters into a file and name it as data_source, or split the scenario"

    /// What else is known where the documents are judged.
    package struct Surroundings: Sendable {
        package var scenarios: [ScenarioID: ScenarioSpec]
        package var tenants: [TenantID: TenantSpec]
        package var catalogs: [ProviderID: [ServiceDescription]]
        /// Of a message.
        package var messageLimit: Int

        package init(
            scenarios: [ScenarioID: ScenarioSpec] = [:], tenants: [TenantID: TenantSpec] = [:],
            catalogs: [ProviderID: [ServiceDescription]] = [:], messageLimit: Int = EnvelopeCodec.maxBytes
        ) {
            self.scenarios = scenarios
            self.tenants = tenants
            self.catalogs = catalogs
            self.messageLimit = messageLimit
        }
    }

    /// Judges the configurations that these documents make: a Work Manager is told its own in one message.
    package static func errors(of documents: [Document], _ around: Surroundings) -> [FieldError] {
        var (scenarios, tenants) = (around.scenarios, around.tenants)
        for document in documents {
            switch document {
            case .scenario(let id, let spec): scenarios[id] = spec
            case .tenant(let id, let spec): tenants[id] = spec
            case .provider: break
            }
        }
        var errors: [FieldError] = []
        for (index, document) in documents.enumerated() {
            switch document {
            case .provider: break
            case .scenario(let id, let spec):
                if let text = excess(longestName, TenantSpec(scenarios: [id]), id, spec, around) {
                    errors.append(FieldError(pointer: "/documents/\(index)/spec/services", detail: text))
                    continue
                }
                for tenant in special(tenants, using: id) {
                    guard let own = tenants[tenant], let text = excess(tenant, own, id, spec, around) else { continue }
                    errors.append(
                        FieldError(
                            pointer: "/documents/\(index)/spec/services",
                            detail: "with the values of tenant \(tenant): \(text)"))
                    break
                }
            case .tenant(let tenant, let spec):
                for (position, id) in spec.scenarios.enumerated() {
                    guard let scenario = scenarios[id], let text = excess(tenant, spec, id, scenario, around) else {
                        continue
                    }
                    errors.append(
                        FieldError(
                            pointer: "/documents/\(index)/spec/scenarios/\(position)",
                            detail: "with scenario \(id): \(text)"))
                }
            }
        }
        return errors
    }

    /// `{tenant}` in a text becomes at most this long.
    private static let longestName: TenantID =
        TenantID(String(repeating: "t", count: 63)) ?? "tenant"

    /// Tenants that make something longer of a scenario, those with the longest values first; not all of thousands, for
    /// what is not judged here is told as the tenant's reason when it happens.
    private static func special(_ tenants: [TenantID: TenantSpec], using id: ScenarioID) -> [TenantID] {
        let own = tenants.compactMap { tenant, spec -> (bytes: Int, tenant: TenantID)? in
            guard spec.scenarios.contains(id) else { return nil }
            var bytes = 0
            for (_, value) in spec.variables ?? [:] { bytes += MessageSize.bytes(value) }
            for (_, value) in spec.services ?? [:] { bytes += value.encodedBytes }
            return bytes > 0 ? (bytes, tenant) : nil
        }
        return own.sorted { ($1.bytes, $0.tenant) < ($0.bytes, $1.tenant) }.prefix(20).map(\.tenant)
    }

    /// What is too much about the configuration of a tenant in one scenario; nil: it fits.
    private static func excess(
        _ tenant: TenantID, _ spec: TenantSpec, _ id: ScenarioID, _ scenario: ScenarioSpec, _ around: Surroundings
    ) -> String? {
        var scenario = scenario
        if let overrides = spec.services, !overrides.isEmpty {
            scenario = EffectiveService.scenario(scenario, overrides: overrides, at: "", FieldErrors())
        }
        let limit = WMControl.configurationLimit(scenario.services.count, limit: around.messageLimit)
        // Nearly all are far below it, and measuring costs.
        let rough = scenario.services.reduce(0) { $0 + roughBytes($1.value) }
        if rough < limit / 8, spec.variables == nil { return nil }
        var alone = spec
        alone.scenarios = [id]
        alone.suspended = nil
        alone.services = nil
        guard
            case .plan(let config, _) = Planner.plan(
                tenant, alone, scenarios: [id: scenario], providers: views(for: scenario, around.catalogs),
                now: Timestamp(milliseconds: 0))
        else { return nil }
        let bytes = MessageSize.bytes(config)
        guard bytes > limit else { return nil }
        let largest = config.services.map { (id: $0.id, bytes: MessageSize.bytes($0)) }
            .sorted { ($1.bytes, $0.id) < ($0.bytes, $1.id) }.prefix(3)
            .map { "\($0.id) \($0.bytes)" }.joined(separator: ", ")
        return
            "its Work Manager is told \(config.services.count) services in one message, \(bytes) bytes, "
            + (limit > 0 ? "at most \(limit) " : "and so many leave no room for what they hold ")
            + (around.messageLimit < EnvelopeCodec.maxBytes
                ? "(the broker takes \(around.messageLimit); see its max_packet_size) " : "")
            + "(the largest: \(largest)); \(remedy)"
    }

    /// Beside its parameters and locations a service takes some hundred bytes, and some for each provider.
    private static func roughBytes(_ service: ServiceSpec) -> Int {
        let locations = [service.dataSource, service.outputSource].compactMap { $0 }
            .reduce(0) { $0 + MessageSize.bytes($1.uri) }
        return 1_500 + 150 * (service.providers?.only?.count ?? 20) + locations
            + (service.parameters?.encodedBytes ?? 0)
    }

    /// The known providers, all of them well, and as many more as the scenario needs.
    private static func views(
        for scenario: ScenarioSpec, _ catalogs: [ProviderID: [ServiceDescription]]
    ) -> ProviderViews {
        func made(_ type: ServiceType) -> ServiceDescription {
            ServiceDescription(
                id: ServiceID(type.text) ?? "service", type: type, version: "1", available: true)
        }
        var offers = catalogs.mapValues { services in
            services.filter(\.available).map {
                ServiceDescription(id: $0.id, type: $0.type, version: "1", available: true)
            }
        }
        for (_, service) in scenario.services {
            let policy = service.providers ?? ProviderPolicy(use: .one)
            let needed = max(policy.atLeast ?? 1, policy.count ?? 1, 1)
            if let only = policy.only {
                for provider in only where offers[provider]?.contains(where: { $0.type == service.type }) != true {
                    offers[provider, default: []].append(made(service.type))
                }
                continue
            }
            var number = 0
            while offers.values.count(where: { $0.contains { $0.type == service.type } }) < min(needed, 100) {
                number += 1
                guard let provider = ProviderID("provider-\(number)") else { break }
                if offers[provider]?.contains(where: { $0.type == service.type }) == true { continue }
                offers[provider, default: []].append(made(service.type))
            }
        }
        return ProviderViews(offers.mapValues { ProviderView(services: $0, isUsable: true) })
    }
}
