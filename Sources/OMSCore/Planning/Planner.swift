package import OMSModel

/// What the planner knows of a provider.
package struct ProviderView: Hashable, Sendable {
    package var services: [ServiceDescription]
    package var isUsable: Bool
    /// Why it is not usable.
    package var why: String?

    package init(services: [ServiceDescription], isUsable: Bool, why: String? = nil) {
        self.services = services
        self.isUsable = isUsable
        self.why = why
    }
}

/// All providers at one moment, arranged for planning many tenants.
package struct ProviderViews: Sendable {
    private let views: [ProviderID: ProviderView]
    /// By name.
    let ids: [ProviderID]
    /// Who can do what now, by name.
    let able: [ServiceType: [ProviderChoice]]
    /// What each offers: of a type the first that is available, else the first. A catalogue may have thousands of services,
    /// and each tenant's plan asks for a few.
    private let offers: [ProviderID: [ServiceType: Offer]]

    struct Offer: Sendable {
        var service: ServiceID
        var isAvailable: Bool
        var isSafeToRunTwice: Bool
    }

    package init(_ views: [ProviderID: ProviderView]) {
        self.views = views
        ids = views.keys.sorted()
        var able: [ServiceType: [ProviderChoice]] = [:]
        var offers: [ProviderID: [ServiceType: Offer]] = [:]
        for id in ids {
            guard let view = views[id] else { continue }
            var own: [ServiceType: Offer] = [:]
            for service in view.services {
                if let known = own[service.type], known.isAvailable || !service.available { continue }
                own[service.type] = Offer(
                    service: service.id, isAvailable: service.available,
                    isSafeToRunTwice: service.safeToRunTwice == true)
                if service.available, view.isUsable {
                    able[service.type, default: []].append(ProviderChoice(provider: id, service: service.id))
                }
            }
            offers[id] = own
        }
        self.able = able
        self.offers = offers
    }

    subscript(id: ProviderID) -> ProviderView? { views[id] }

    func offer(of type: ServiceType, by provider: ProviderID) -> Offer? { offers[provider]?[type] }
}

package enum PlanOutcome: Hashable, Sendable {
    /// `generation` is 0: whoever puts it in force counts.
    case plan(WorkManagerConfig, explanation: String)
    /// No scenario can be satisfied now, and what would change that.
    case unsatisfied(code: String, text: String)
}

/// Chooses a tenant's configuration: a pure function, the same input gives the same plan.
package enum Planner {
    static let defaultTimeoutSeconds = 300
    static let defaultMaxAttempts = 2
    static let deadlineMarginSeconds = 60
    static let defaultFailoverSeconds = 60

    package static func plan(
        _ tenant: TenantID, _ spec: TenantSpec, scenarios: [ScenarioID: ScenarioSpec],
        providers: ProviderViews, previous: WorkManagerConfig? = nil, now: Timestamp
    ) -> PlanOutcome {
        if spec.suspended == true {
            return .unsatisfied(
                code: "suspended", text: "the tenant is suspended; 'oms resume \(tenant)' starts it again")
        }
        var obstacles: [String] = []
        for id in spec.scenarios {
            guard let scenario = scenarios[id] else {
                obstacles.append("scenario \(id) is not registered")
                continue
            }
            switch satisfy(tenant, spec, scenario, providers, previous, now) {
            case .success(let services):
                let config = WorkManagerConfig(tenant: tenant, generation: 0, scenario: id, services: services)
                let why =
                    obstacles.isEmpty
                    ? "the preferred scenario" : "better ones cannot be: " + obstacles.joined(separator: "; ")
                return .plan(config, explanation: bounded("scenario \(id): \(why)"))
            case .failure(let obstacle): obstacles.append("scenario \(id): \(obstacle.text)")
            }
        }
        return .unsatisfied(code: "no-scenario", text: bounded(obstacles.joined(separator: "; ")))
    }

    private struct Obstacle: Error { var text: String }

    private static func satisfy(
        _ tenant: TenantID, _ spec: TenantSpec, _ scenario: ScenarioSpec, _ providers: ProviderViews,
        _ previous: WorkManagerConfig?, _ now: Timestamp
    ) -> Result<[ServicePlan], Obstacle> {
        var variables = spec.variables ?? [:]
        variables["tenant"] = tenant.text
        var plans: [ServicePlan] = []
        for id in scenario.services.keys.sorted() {
            guard let service = scenario.services[id] else { continue }
            let policy = service.providers ?? ProviderPolicy(use: .one)
            let able = choices(service.type, policy, providers, for: "\(tenant)/\(id)")
            let needed = policy.use.asksSeveral ? max(policy.atLeast ?? 1, policy.count ?? 1) : 1
            guard able.count >= needed else {
                return .failure(
                    Obstacle(
                        text: "service \(id) needs \(needed) provider\(needed == 1 ? "" : "s") of type "
                            + "\(service.type), \(able.count) can: " + absence(service.type, policy, providers)))
            }
            let timeout = service.timeoutSeconds ?? defaultTimeoutSeconds
            let attempts = service.maxAttempts ?? defaultMaxAttempts
            let before = previous?.service(id)
            var plan = ServicePlan(
                id: id, type: service.type, frequency: service.frequency.map(spread), after: service.after ?? [],
                anchor: now, timeoutSeconds: timeout,
                deadlineSeconds: service.deadlineSeconds ?? timeout * attempts + deadlineMarginSeconds,
                maxAttempts: attempts, dataSource: service.dataSource?.filled(variables),
                outputSource: service.outputSource?.filled(variables),
                parameters: service.parameters?.filled(variables), providers: able,
                merge: service.merge ?? MergeRule(strategy: .first), onReplace: service.onReplace,
                suspended: service.suspended == true ? true : nil)
            plan.policy = service.providers.map {
                ProviderPolicy(use: $0.use, count: $0.count, weights: $0.weights)
            }
            plan.safeToRunTwice = service.safeToRunTwice ?? (areSafe(able, service.type, providers) ? true : nil)
            plan.timeouts = service.timeouts
            plan.maxProviderFaults = service.maxProviderFaults
            if policy.use == .failover {
                // Somebody must say when a provider has had its chance.
                plan.timeouts = TimeoutRule(
                    queueSeconds: service.timeouts?.queueSeconds ?? defaultFailoverSeconds,
                    startSeconds: service.timeouts?.startSeconds ?? defaultFailoverSeconds,
                    noProgressSeconds: service.timeouts?.noProgressSeconds)
                if service.deadlineSeconds == nil { plan.deadlineSeconds += 2 * defaultFailoverSeconds }
            }
            if policy.use == .sticky, let last = before?.providers.first, isAble(last, service.type, policy, providers)
            {
                plan.providers.removeAll { $0.provider == last.provider }
                plan.providers = [last] + plan.providers
            }
            plan.overlap = service.overlap
            plan.queueLimit = service.queueLimit
            plan.catchUpSeconds = service.catchUpSeconds
            keepSchedule(of: before, in: &plan)
            plans.append(plan)
        }
        return .success(plans)
    }

    private static func isAble(
        _ choice: ProviderChoice, _ type: ServiceType, _ policy: ProviderPolicy, _ providers: ProviderViews
    ) -> Bool {
        policy.only?.contains(choice.provider) ?? true && providers.able[type]?.contains(choice) == true
    }

    /// Every provider of the plan declares that two executions of one request do no harm.
    private static func areSafe(_ able: [ProviderChoice], _ type: ServiceType, _ providers: ProviderViews) -> Bool {
        able.allSatisfy { providers.offer(of: type, by: $0.provider)?.isSafeToRunTwice == true }
    }

    /// The same rhythm keeps its anchor, so that replanning shifts no tick. Another rhythm begins now: what it would
    /// have done yesterday is not made up for.
    private static func keepSchedule(of before: ServicePlan?, in plan: inout ServicePlan) {
        guard let before else { return }
        if let old = before.frequency, plan.frequency.map({ !old.hasRhythm(of: $0) }) ?? true {
            plan.earlier = EarlierSchedule(frequency: old, anchor: before.anchor)
        } else if (before.frequency == nil) == (plan.frequency == nil) {
            plan.anchor = before.anchor
            plan.earlier = before.earlier
        }
    }

    /// Tenants that are applied together do not burden a provider in step, unless the scenario says otherwise. Below a
    /// minute the gateway's queue evens things out.
    private static func spread(_ frequency: Frequency) -> Frequency {
        guard let seconds = frequency.everySeconds, seconds >= 60, frequency.jitterSeconds == nil else {
            return frequency
        }
        var frequency = frequency
        frequency.spread = frequency.spread ?? true
        return frequency
    }

    private static func choices(
        _ type: ServiceType, _ policy: ProviderPolicy, _ providers: ProviderViews, for subject: String
    ) -> [ProviderChoice] {
        guard let only = policy.only else {
            let able = providers.able[type] ?? []
            if policy.use.asksSeveral || able.count < 2 { return able }
            return spread(able, for: subject)
        }
        return only.compactMap { provider in
            guard providers[provider]?.isUsable == true, let offer = providers.offer(of: type, by: provider),
                offer.isAvailable
            else { return nil }
            return ProviderChoice(provider: provider, service: offer.service)
        }
    }

    /// Where one result is wanted and many could give it, a plan names a few: by rendezvous hashing (Thaler and
    /// Ravishankar, IEEE/ACM ToN 6(1), 1998), so that tenants spread over the providers and the loss of one concerns only
    /// those that had it.
    static let maxChoices = 4

    private static func spread(_ able: [ProviderChoice], for subject: String) -> [ProviderChoice] {
        // A plain mix of two hashes: this runs for every tenant and service.
        let own = UInt64(truncatingIfNeeded: fnv1a128(subject.utf8))
        var best: [(weight: UInt64, choice: ProviderChoice)] = []
        for choice in able {
            var generator = SplitMix64(seed: own ^ UInt64(truncatingIfNeeded: fnv1a128(choice.provider.text.utf8)))
            let weight = generator.next()
            if best.count == maxChoices, let last = best.last, weight <= last.weight { continue }
            let index = best.firstIndex { $0.weight < weight } ?? best.count
            best.insert((weight, choice), at: index)
            if best.count > maxChoices { best.removeLast() }
        }
        return best.map(\.choice)
    }

    /// An explanation is read by people and stands in many messages.
    static let maxNamed = 5
    private static let maxExplanation = 1_500

    /// Why nobody, or too few, can do it: each candidate with its obstacle, those that offer the type first.
    private static func absence(
        _ type: ServiceType, _ policy: ProviderPolicy, _ providers: ProviderViews
    ) -> String {
        let candidates = policy.only ?? providers.ids
        if candidates.isEmpty { return "no provider is registered" }
        // What was never seen may well offer it.
        let (near, far) = (
            candidates.filter { providers.offer(of: type, by: $0) != nil || providers[$0]?.services.isEmpty ?? true },
            candidates.filter { providers.offer(of: type, by: $0) == nil && providers[$0]?.services.isEmpty == false }
        )
        let named = (near + far).prefix(maxNamed).map { id -> String in
            guard let view = providers[id] else { return "\(id) is not registered" }
            if !view.isUsable { return "\(id) is not usable (\(view.why ?? "not seen yet"))" }
            guard let offer = providers.offer(of: type, by: id) else { return "\(id) does not offer it" }
            return offer.isAvailable ? "\(id) can" : "\(id) has withdrawn it"
        }
        let more = candidates.count - named.count
        return named.joined(separator: ", ") + (more > 0 ? ", and \(more) more" : "")
    }

    private static func bounded(_ text: String) -> String {
        var text: String? = text
        AnswerLimits.cut(&text, to: maxExplanation)
        return text ?? ""
    }
}

extension DataLocation {
    fileprivate func filled(_ variables: [String: String]) -> DataLocation {
        DataLocation(uri: uri.filled(variables), type: type, credential: credential?.filled(variables))
    }
}

extension JSONValue {
    /// Replaces `{name}` in every text.
    fileprivate func filled(_ variables: [String: String]) -> JSONValue {
        switch self {
        case .string(let text): .string(text.filled(variables))
        case .array(let items): .array(items.map { $0.filled(variables) })
        case .object(let members): .object(members.mapValues { $0.filled(variables) })
        case .null, .bool, .int, .double, .number: self
        }
    }
}

extension String {
    /// `{name}` becomes the variable's value; an unknown name stays as it is.
    fileprivate func filled(_ variables: [String: String]) -> String { Braces.fill(self) { variables[$0] } }
}
