/// Who speaks on the bus. One broker user per role.
package enum Role: String, CaseIterable, Sendable {
    case registry, fleet, gateway
    /// The `oms` command of an operator who may change things.
    case admin
    /// Dashboards, `mosquitto_sub`: reads everything, writes nothing but queries.
    case monitor
}

package enum TopicKind: String, CaseIterable, Sendable {
    case registryPresence, fleetPresence, gatewayPresence
    case gatewayControl, gatewayAck
    case wmControl, wmAck, wmHeartbeat, wmStatus, wmEpoch, wmState, wmJournal, wmCommitted
    case serviceResult
    case jobCommand, jobEvent
    case providerCatalog, providerHealth
    case query, command, response, event
}

/// What is fixed for a kind of topic. The one source for client code, the broker's ACL, docs/reference/topics.md and
/// docs/reference/asyncapi.yaml.
package struct TopicRow: Sendable {
    package let kind: TopicKind
    /// Levels; `{x}` stands for one name.
    package let pattern: String
    /// CloudEvents `type`; its last part is the major version.
    package let type: String
    package let qos: Int
    package let retain: Bool
    /// MQTT message expiry; nil = never.
    package let expirySeconds: Int?
    package let writers: [Role]
    package let readers: [Role]
    package let purpose: String

    private let levels: [Substring]

    fileprivate init(
        _ kind: TopicKind, _ pattern: String, _ type: String, qos: Int, retain: Bool = false, expiry: Int?,
        from writers: [Role], to readers: [Role], _ purpose: String
    ) {
        self.kind = kind
        self.pattern = pattern
        self.type = type
        self.qos = qos
        self.retain = retain
        self.expirySeconds = expiry
        self.writers = writers
        self.readers = readers
        self.purpose = purpose
        levels = pattern.split(separator: "/")
    }

    /// The subscription filter that catches all topics of the kind.
    package var filter: String { levels.map { $0.hasPrefix("{") ? "+" : String($0) }.joined(separator: "/") }

    /// The names of the pattern: `tenant`, `sp`.
    var parameters: [String] { levels.filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) } }

    func filled(_ values: String...) -> String {
        var next = values.makeIterator()
        return levels.map { $0.hasPrefix("{") ? next.next() ?? "" : String($0) }.joined(separator: "/")
    }

    func matches(_ other: [Substring]) -> Bool {
        guard levels.count == other.count else { return false }
        for (mine, theirs) in zip(levels, other) where !mine.hasPrefix("{") && mine != theirs { return false }
        return true
    }

    func values(in other: [Substring]) -> [Substring] {
        zip(levels, other).compactMap { $0.hasPrefix("{") ? $1 : nil }
    }
}

extension TopicKind {
    package var row: TopicRow { TopicTable.byKind[TopicTable.position[self] ?? 0] }

    /// Where the answer comes, and the member of the data that is the same in both.
    var answer: (kind: TopicKind, member: String)? {
        switch self {
        case .gatewayControl: (.gatewayAck, "id")
        case .wmControl: (.wmAck, "id")
        case .wmHeartbeat: (.wmStatus, "beat")
        case .jobCommand: (.jobEvent, "job")
        case .query, .command: (.response, "id")
        default: nil
        }
    }
}

package enum TopicTable {
    private static let everybody: [Role] = Role.allCases

    /// Every topic there is. Commands and facts are QoS 1, heartbeats QoS 0, only state is retained.
    package static let rows: [TopicRow] = [
        TopicRow(
            .registryPresence, "oms/{oms}/presence", "oms.presence.v1", qos: 1, retain: true, expiry: nil,
            from: [.registry], to: everybody, "birth, last will and goodbye of a registry"),
        TopicRow(
            .fleetPresence, "fleet/{fleet}/presence", "oms.presence.v1", qos: 1, retain: true, expiry: nil,
            from: [.fleet], to: everybody, "birth, last will and goodbye of a fleet process"),
        TopicRow(
            .gatewayPresence, "gateway/{gateway}/presence", "oms.presence.v1", qos: 1, retain: true, expiry: nil,
            from: [.gateway], to: everybody, "birth, last will and goodbye of a gateway"),
        TopicRow(
            .gatewayControl, "gateway/{gateway}/control", "oms.gateway.control.v1", qos: 1, expiry: 60,
            from: [.registry], to: [.gateway, .monitor], "attach and detach Service Providers"),
        TopicRow(
            .gatewayAck, "gateway/{gateway}/ack", "oms.gateway.ack.v1", qos: 1, expiry: 300,
            from: [.gateway], to: [.registry, .monitor], "what a gateway did with a control command"),
        TopicRow(
            .wmControl, "tenant/{tenant}/wm/control", "oms.wm.control.v1", qos: 1, expiry: 60,
            from: [.registry], to: [.fleet, .monitor, .admin], "bootstrap, reconfigure, shut down a Work Manager"),
        TopicRow(
            .wmAck, "tenant/{tenant}/wm/ack", "oms.wm.ack.v1", qos: 1, expiry: 300,
            from: [.fleet], to: [.registry, .monitor, .admin], "what the fleet did with a control command"),
        TopicRow(
            .wmHeartbeat, "tenant/{tenant}/wm/heartbeat", "oms.wm.heartbeat.v1", qos: 0, expiry: 30,
            from: [.registry], to: [.fleet, .monitor, .admin],
            "asks for the status; carries the journal's cumulative acknowledgement"),
        TopicRow(
            .wmStatus, "tenant/{tenant}/wm/status", "oms.wm.status.v1", qos: 0, expiry: 30,
            from: [.fleet], to: [.registry, .monitor, .admin], "the answer: running operations, what waits and why"),
        TopicRow(
            .wmEpoch, "tenant/{tenant}/wm/epoch", "oms.wm.epoch.v1", qos: 1, retain: true, expiry: nil,
            from: [.registry], to: everybody, "the fencing authority: the only epoch whose commands count"),
        TopicRow(
            .wmState, "tenant/{tenant}/wm/state", "oms.wm.state.v1", qos: 1, retain: true, expiry: nil,
            from: [.fleet], to: everybody, "state of the tenant's Work Manager"),
        TopicRow(
            .wmJournal, "tenant/{tenant}/wm/journal", "oms.wm.journal.v1", qos: 1, expiry: 3600,
            from: [.fleet], to: [.registry, .monitor], "numbered facts; kept by the sender until committed"),
        TopicRow(
            .wmCommitted, "tenant/{tenant}/wm/committed", "oms.wm.committed.v1", qos: 0, expiry: 30,
            from: [.registry], to: [.fleet, .monitor], "prompt cumulative acknowledgement, after the commit"),
        TopicRow(
            .serviceResult, "tenant/{tenant}/service/{service}/result", "oms.service.result.v1", qos: 1, retain: true,
            expiry: nil, from: [.fleet], to: [.registry, .monitor, .admin], "the latest merged result of a service"),
        TopicRow(
            .jobCommand, "tenant/{tenant}/sp/{sp}/job/command", "oms.job.command.v1", qos: 1, expiry: 300,
            from: [.fleet], to: [.gateway, .monitor, .admin], "submit, stop, ask for a job"),
        TopicRow(
            .jobEvent, "tenant/{tenant}/sp/{sp}/job/event", "oms.job.event.v1", qos: 1, expiry: 3600,
            from: [.gateway], to: [.fleet, .monitor, .admin], "state, progress and outputs of a job"),
        TopicRow(
            .providerCatalog, "sp/{sp}/catalog", "oms.sp.catalog.v1", qos: 1, retain: true, expiry: nil,
            from: [.gateway], to: everybody, "the services of a provider (body of GET /services)"),
        TopicRow(
            .providerHealth, "sp/{sp}/health", "oms.sp.health.v1", qos: 1, retain: true, expiry: nil,
            from: [.gateway], to: everybody, "health of a provider as its gateway sees it"),
        TopicRow(
            .query, "oms/query", "oms.query.v1", qos: 1, expiry: 30,
            from: [.admin, .monitor], to: [.registry], "questions to the active registry"),
        TopicRow(
            .command, "oms/command", "oms.command.v1", qos: 1, expiry: 30,
            from: [.admin], to: [.registry], "changes asked of the active registry"),
        TopicRow(
            .response, "client/{client}/response", "oms.response.v1", qos: 1, expiry: 30,
            from: [.registry], to: [.admin, .monitor], "answers to queries and commands"),
        TopicRow(
            .event, "oms/event", "oms.event.v1", qos: 0, expiry: 60,
            from: [.registry], to: [.admin, .monitor], "what happened, one readable line each"),
    ]

    fileprivate static let byKind = rows
    fileprivate static let position = Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1.kind, $0) })

    static func kind(ofLevels levels: [Substring]) -> TopicKind? { rows.first { $0.matches(levels) }?.kind }

    /// Subscribe to retained state at QoS 0: at QoS 1 a broker silently drops what exceeds its queue.
    package static func subscriptionQoS(_ kind: TopicKind) -> Int { kind.row.retain ? 0 : kind.row.qos }
}
