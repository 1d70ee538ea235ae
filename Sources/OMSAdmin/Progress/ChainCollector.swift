package import OMSModel
package import OMSProtocol

/// Waits until each tenant has succeeded results of all its services that belong together.
///
/// A service with `after` carries the latest due time of what it waited for. So results of one chain share it, while
/// those of the next round, which may already have replaced a retained result, have a later one.
package struct ChainCollector: Sendable {
    package private(set) var expected: [TenantID: [ServiceID: [ServiceID]]] = [:]
    private var results: [TenantID: [ServiceID: [ServiceResult]]] = [:]
    private static let kept = 50

    /// - Parameter documents: The tenants with the scenarios that they prefer.
    package init(_ documents: [Document]) {
        var scenarios: [ScenarioID: ScenarioSpec] = [:]
        for case .scenario(let id, let spec) in documents { scenarios[id] = spec }
        for case .tenant(let id, let spec) in documents {
            guard let scenario = spec.scenarios.compactMap({ scenarios[$0] }).first else { continue }
            expected[id] = scenario.services.mapValues { $0.after ?? [] }
        }
    }

    package mutating func take(_ tenant: TenantID, _ result: ServiceResult) {
        guard expected[tenant]?[result.service] != nil else { return }
        var known = results[tenant]?[result.service] ?? []
        known.removeAll { $0.run == result.run }
        known.append(result)
        results[tenant, default: [:]][result.service] = Array(known.suffix(Self.kept))
    }

    /// The first failed run, if any.
    package var failure: (tenant: TenantID, result: ServiceResult)? {
        for (tenant, services) in results.sorted(by: { $0.key < $1.key }) {
            for (_, list) in services.sorted(by: { $0.key < $1.key }) {
                if let failed = list.first(where: { $0.state == .failed }) { return (tenant, failed) }
            }
        }
        return nil
    }

    package var isComplete: Bool { expected.keys.allSatisfy { chain(of: $0) != nil } }

    /// Succeeded results of all services that belong together; nil while some are missing.
    package func chain(of tenant: TenantID) -> [ServiceID: ServiceResult]? {
        guard let services = expected[tenant] else { return nil }
        let upstreams = Set(services.values.joined())
        var chain: [ServiceID: ServiceResult] = [:]
        // From each end of the graph back to its beginnings.
        for end in services.keys.sorted() where !upstreams.contains(end) {
            let candidates = succeeded(tenant, end).sorted { $0.due > $1.due }
            guard let found = candidates.lazy.compactMap({ self.trace(tenant, $0, services) }).first else { return nil }
            chain.merge(found) { first, _ in first }
        }
        return chain
    }

    package func missing(of tenant: TenantID) -> [ServiceID] {
        (expected[tenant] ?? [:]).keys.sorted().filter { succeeded(tenant, $0).isEmpty }
    }

    private func succeeded(_ tenant: TenantID, _ service: ServiceID) -> [ServiceResult] {
        (results[tenant]?[service] ?? []).filter { $0.state == .succeeded }
    }

    private func trace(
        _ tenant: TenantID, _ result: ServiceResult, _ services: [ServiceID: [ServiceID]]
    ) -> [ServiceID: ServiceResult]? {
        var chain = [result.service: result]
        let upstreams = services[result.service] ?? []
        var latest: Timestamp?
        for upstream in upstreams {
            let candidates = succeeded(tenant, upstream).filter { $0.due <= result.due }
            guard let newest = candidates.max(by: { $0.due < $1.due }), let found = trace(tenant, newest, services)
            else {
                return nil
            }
            latest = max(latest ?? newest.due, newest.due)
            chain.merge(found) { first, _ in first }
        }
        return upstreams.isEmpty || latest == result.due ? chain : nil
    }
}
