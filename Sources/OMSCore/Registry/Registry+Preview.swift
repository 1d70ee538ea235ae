import OMSModel
import OMSProtocol

/// `oms plan`: what documents would change, for whom, and at what price; nothing is done.
extension Registry {
    /// Rows that fit into a message.
    static let maxPreviewRows = 300

    mutating func preview(_ request: ClientRequest, at now: Moment) {
        guard let documents = readDocuments(request) else { return }
        // The registry as it would be; a value, so the real one stays as it is.
        var other = self
        for document in documents {
            switch document {
            case .provider(let id, let spec):
                if other.providers[id] == nil {
                    other.providers[id] = ProviderTrack(spec: spec, version: 0)
                } else {
                    other.providers[id]?.spec = spec
                }
            case .scenario(let id, let spec): other.scenarios[id] = spec
            case .tenant(let id, let spec):
                other.specs[id] = spec
                if other.tenants[id] == nil { other.tenants[id] = TenantTrack() }
            }
        }
        other.overridden = [:]
        let views = other.providerViews(at: now)
        var rows: [PreviewRow] = []
        for tenant in other.specs.keys.sorted() {
            if let row = other.previewRow(tenant, views, at: now) { rows.append(row) }
        }
        var counts: [String: Int] = [:]
        for row in rows { counts[row.effect.rawValue, default: 0] += 1 }
        let expected = documents.map { "\($0.key)" }
        publish(
            .response(request.client),
            .response(
                ClientResponse(
                    id: request.id, status: 200,
                    result: [
                        "tenants": .array(rows.prefix(Self.maxPreviewRows).map(\.json)),
                        "counts": .object(JSONObject(counts.mapValues { .int(Int64($0)) })),
                        "unchanged": .int(Int64(other.specs.count - rows.count)),
                        "stopped_operations": .int(Int64(rows.reduce(0) { $0 + $1.stopped })),
                        "destructive": .bool(rows.contains { $0.effect.isDestructive }),
                        "versions": .object(
                            JSONObject(
                                expected.map { ($0, .int(Int64(versions[$0] ?? 0))) }, uniquingKeysWith: { $1 })),
                    ])))
    }

    struct PreviewRow {
        enum Effect: String {
            /// Its Work Manager goes on and takes the change over.
            case hot
            /// It is drained and replaced.
            case replace
            /// It gets its first one, or one again.
            case start
            /// It ends, and none follows.
            case stop
            /// No scenario can be satisfied: what runs goes on, a new tenant waits.
            case unsatisfied

            var isDestructive: Bool { self == .replace || self == .stop }
        }

        var tenant: TenantID
        var effect: Effect
        var scenario: ScenarioID?
        var text: String
        var stopped = 0

        var json: JSONValue {
            [
                "tenant": .string(tenant.text), "effect": .string(effect.rawValue),
                "scenario": .string(scenario?.text ?? "-"), "changes": .string(text),
                "stopped_operations": .int(Int64(stopped)), "pause_s": .int(Int64(pauseSeconds)),
            ]
        }

        /// A replacement pauses a tenant for a moment, and for as long as its jobs take to stop.
        var pauseSeconds: Int {
            switch effect {
            case .replace: stopped > 0 ? Self.stopSeconds : 1
            case .hot, .start, .stop, .unsatisfied: 0
            }
        }
        /// The grace that a Work Manager gives a job when it stops it.
        static let stopSeconds = 10
    }

    private mutating func previewRow(
        _ tenant: TenantID, _ views: ProviderViews, at now: Moment
    ) -> PreviewRow? {
        guard let spec = specs[tenant], let track = tenants[tenant] else { return nil }
        let runs = track.phase != .idle
        switch Planner.plan(
            tenant, spec, scenarios: scenarios(of: tenant), providers: views, previous: track.config, now: now.wall)
        {
        case .unsatisfied(let code, let text):
            if code == "suspended" {
                guard runs else { return nil }
                return PreviewRow(tenant: tenant, effect: .stop, text: text, stopped: stopped(track, by: nil))
            }
            return PreviewRow(tenant: tenant, effect: .unsatisfied, text: text)
        case .plan(var config, let explanation):
            config.generation = track.generation
            let change = PlanChange(from: track.config, to: config)
            guard runs else {
                return PreviewRow(tenant: tenant, effect: .start, scenario: config.scenario, text: explanation)
            }
            if change.isEmpty { return nil }
            return PreviewRow(
                tenant: tenant, effect: change.needsReplacement ? .replace : .hot, scenario: config.scenario,
                text: change.needsReplacement ? "\(change.text) (\(change.replacementReason))" : change.text,
                stopped: change.needsReplacement ? stopped(track, by: config) : 0)
        }
    }

    /// Running operations that a drain would stop, as the last heartbeat had them.
    private func stopped(_ track: TenantTrack, by config: WorkManagerConfig?) -> Int {
        track.running.reduce(0) { sum, entry in
            track.config?.service(entry.key)?.onReplace ?? .stop == .stop ? sum + entry.value : sum
        }
    }
}

extension Document {
    /// `Kind/name`.
    var key: String {
        switch self {
        case .provider(let id, _): "Provider/\(id)"
        case .scenario(let id, _): "Scenario/\(id)"
        case .tenant(let id, _): "Tenant/\(id)"
        }
    }
}
