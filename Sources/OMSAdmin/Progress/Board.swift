package import OMSModel
package import OMSProtocol

/// What an onlooker knows of the system: fed with messages, says what changed and how things stand.
package struct Board: Sendable {
    struct Running: Sendable {
        var provider: ProviderID
        var state: JobState
        var progress: Double?
    }

    struct Service: Sendable {
        var last: ServiceResult?
        var running: [JobID: Running] = [:]
    }

    struct Tenant: Sendable {
        var state: WMState?
        var services: [ServiceID: Service] = [:]
        var waiting: [Reason] = []
        /// The registry's latest word on it.
        var note: String?
    }

    private(set) var tenants: [TenantID: Tenant] = [:]
    private(set) var providers: [ProviderID: Health] = [:]
    /// Which service a job is for; the provider's events only name the job. Forgotten when the job has ended.
    private var services: [JobID: ServiceID] = [:]

    package static let kinds: [TopicKind] = [
        .wmState, .wmStatus, .jobCommand, .jobEvent, .serviceResult, .providerHealth, .event,
    ]

    package init() {}

    /// - Returns: One line per thing that happened.
    package mutating func take(_ message: Message) -> [TerminalText] {
        switch (message.topic, message.payload) {
        case (.wmState(let tenant), .wmState(let state)):
            let before = tenants[tenant]?.state
            tenants[tenant, default: Tenant()].state = state
            if let before, before.state == state.state, before.epoch == state.epoch { return [] }
            return ["\(tenant): Work Manager \(state.state.rawValue) on \(state.fleet), epoch \(state.epoch)"]
        case (.wmStatus(let tenant), .wmStatus(let status)):
            take(status, of: tenant)
            return []
        case (.jobCommand(let tenant, let provider), .jobCommand(let command)):
            guard command.command == .submit,
                let service = command.request?.labels?["service"].flatMap({ ServiceID($0) }),
                services[command.job] == nil
            else { return [] }
            services[command.job] = service
            tenants[tenant, default: Tenant()].services[service, default: Service()].running[command.job] =
                Running(provider: provider, state: .submitting)
            return ["\(tenant)/\(service): asked of \(provider)"]
        case (.jobEvent(let tenant, let provider), .jobEvent(let event)): return take(event, of: provider, for: tenant)
        case (.serviceResult(let tenant, let service), .result(let result)):
            let isNew = tenants[tenant]?.services[service]?.last?.run != result.run
            tenants[tenant, default: Tenant()].services[service, default: Service()].last = result
            let parts = result.providers.map { "\($0.provider) \($0.outcome.rawValue)" }.joined(separator: ", ")
            return isNew ? ["\(tenant)/\(service): result \(result.state.rawValue) (\(parts))"] : []
        case (.providerHealth(let provider), .health(let health)):
            let before = providers[provider]?.status
            providers[provider] = health
            if before == health.status { return [] }
            let why: TerminalText = health.error?.detail.map { " (\($0))" } ?? ""
            return ["provider \(provider): \(health.status.rawValue)\(why)"]
        case (.event, .event(let event)) where event.kind.hasPrefix("tenant."):
            if let tenant = event.tenant { tenants[tenant, default: Tenant()].note = event.text }
            return [TerminalText(line: event.text)]
        // What the topics themselves tell comes from them: the registry's word for it may be missing or late.
        case (.event, .event(let event)) where event.kind == "wm.active" || event.kind.hasPrefix("provider."):
            return []
        case (.event, .event(let event)): return [TerminalText(line: event.text)]
        default: return []
        }
    }

    private mutating func take(_ status: WMStatus, of tenant: TenantID) {
        tenants[tenant, default: Tenant()].waiting = status.waiting
        // The whole truth of the moment: what ended unnoticed is gone from it.
        for service in tenants[tenant]?.services.keys.sorted() ?? [] {
            tenants[tenant]?.services[service]?.running = [:]
        }
        for operation in status.active {
            services[operation.job] = operation.service
            tenants[tenant]?.services[operation.service, default: Service()].running[operation.job] =
                Running(provider: operation.provider, state: operation.state, progress: operation.progress)
        }
    }

    private mutating func take(_ event: JobEvent, of provider: ProviderID, for tenant: TenantID) -> [TerminalText] {
        guard let service = services[event.job] else { return [] }
        let before = tenants[tenant]?.services[service]?.running[event.job]
        if event.state.isTerminal {
            tenants[tenant]?.services[service]?.running[event.job] = nil
            services[event.job] = nil
            let reason: TerminalText = event.error.flatMap { $0.detail ?? $0.title }.map { ": \($0)" } ?? ""
            return ["\(tenant)/\(service): \(event.state.rawValue) on \(provider)\(reason)"]
        }
        tenants[tenant, default: Tenant()].services[service, default: Service()].running[event.job] =
            Running(provider: provider, state: event.state, progress: event.progress)
        return before?.state == event.state ? [] : ["\(tenant)/\(service): \(event.state.rawValue) on \(provider)"]
    }

    // MARK: Showing

    /// A compact picture, one line per service.
    package func block() -> [TerminalText] {
        var lines: [TerminalText] = []
        for (id, tenant) in tenants.sorted(by: { $0.key < $1.key }) {
            let manager: TerminalText =
                tenant.state.map { "\($0.state.rawValue), epoch \($0.epoch), \($0.fleet)" } ?? "no Work Manager yet"
            lines.append("\(id)  [\(manager)]")
            let reasons = Dictionary(
                tenant.waiting.map { ($0.subject, $0.text) }, uniquingKeysWith: { first, _ in first })
            for (service, view) in tenant.services.sorted(by: { $0.key < $1.key }) {
                let last: TerminalText =
                    view.last.map { "\($0.state.rawValue) \($0.finished.description.dropFirst(11).prefix(8))" }
                    ?? "no result yet"
                var now = view.running.sorted { $0.key < $1.key }.map { entry -> TerminalText in
                    "\(entry.value.provider) \(Self.percent(entry.value.progress) ?? entry.value.state.rawValue)"
                }.joined(separator: ", ")
                if now.isEmpty { now = TerminalText(line: reasons["service/\(service)"] ?? "") }
                lines.append("  \(TerminalText(line: service.text).padded(18)) \(last.padded(22)) \(now)")
            }
        }
        if !providers.isEmpty {
            let each = providers.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.status.rawValue)" }
            lines.append("providers  \(each.joined(separator: ", "))")
        }
        return lines
    }

    /// Whatever number it is.
    private static func percent(_ progress: Double?) -> String? {
        guard let progress, progress.isFinite else { return nil }
        return "\(Int(min(max(progress, 0), 100))) %"
    }

    /// Why a service has nothing to show, as far as an onlooker can tell.
    func excuse(_ tenant: TenantID, _ service: ServiceID) -> TerminalText {
        guard let view = tenants[tenant], let state = view.state else {
            let note: TerminalText = tenants[tenant]?.note.map { " (\($0))" } ?? ""
            return "its Work Manager has not started\(note)"
        }
        if state.state != .active { return "its Work Manager is \(state.state.rawValue)" }
        if let running = view.services[service]?.running.values.first {
            let how: TerminalText = Self.percent(running.progress).map { " (\($0))" } ?? ""
            return "still \(running.state.rawValue) on \(running.provider)\(how)"
        }
        if let reason = view.waiting.first(where: { $0.subject == "service/\(service)" || $0.subject == "tenant" }) {
            return TerminalText(line: reason.text)
        }
        if let last = view.services[service]?.last { return "its last result is '\(last.state.rawValue)'" }
        return "no reason is known"
    }

    var unhealthyProviders: [TerminalText] {
        providers.filter { $0.value.status != .pass }.sorted { $0.key < $1.key }.map {
            let why: TerminalText = $0.value.error?.detail.map { " (\($0))" } ?? ""
            return "\($0.key) is \($0.value.status.rawValue)\(why)"
        }
    }
}
