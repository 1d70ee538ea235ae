import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// Desired state and configurations.
extension Store {
    static func load(_ database: isolated PostgresConnection) throws -> Snapshot {
        var snapshot = Snapshot()
        let documents = try database.query("SELECT kind, name, version, spec::text AS spec FROM oms.document")
        for row in documents.rows {
            guard let kind = row["kind"], let name = row["name"], let spec = row["spec"],
                let version = row.int("version")
            else { throw StoreError(description: "oms.document has a row without kind, name, version or spec") }
            snapshot.versions["\(kind)/\(name)"] = Int(version)
            switch kind {
            case "Provider":
                guard let id = ProviderID(name) else { throw StoreError(description: "provider '\(name)' is no name") }
                snapshot.providers[id] = (try Rows.decode(ProviderSpec.self, spec), Int(version))
            case "Scenario":
                guard let id = ScenarioID(name) else { throw StoreError(description: "scenario '\(name)' is no name") }
                snapshot.scenarios[id] = try Rows.decode(ScenarioSpec.self, spec)
            case "Tenant":
                guard let id = TenantID(name) else { throw StoreError(description: "tenant '\(name)' is no name") }
                snapshot.tenants[id] = try Rows.decode(TenantSpec.self, spec)
            default: throw StoreError(description: "oms.document holds the unknown kind '\(kind)'")
            }
        }
        snapshot.managers = try managers(database)
        // A registry that begins explains anew: what the one before could not take back would stand for ever.
        try database.query("DELETE FROM oms.reason WHERE subject = 'tenant'")
        snapshot.operations = try openOperations(database)
        snapshot.giveUps = try openGiveUps(database)
        snapshot.nodes = try nodes(database)
        snapshot.rollout = try openRollout(database)
        let attachments = try database.query(
            "SELECT provider, gateway FROM oms.provider_status WHERE gateway IS NOT NULL")
        for row in attachments.rows {
            guard let provider = row["provider"].flatMap({ ProviderID($0) }),
                let gateway = row["gateway"].flatMap({ NodeID($0) })
            else { continue }
            snapshot.attachments[provider] = gateway
        }
        return snapshot
    }

    private static func nodes(_ database: isolated PostgresConnection) throws -> [StoredNode] {
        let result = try database.query(
            "SELECT role, node, state, boot, oms.rfc3339(since) AS since, release, draining FROM oms.node")
        return result.rows.compactMap { row in
            guard let role = row["role"].flatMap({ Role(rawValue: $0) }),
                let node = row["node"].flatMap({ NodeID($0) }),
                let state = row["state"].flatMap({ Presence.State(rawValue: $0) }), let boot = row.int("boot"),
                let since = row["since"].flatMap({ Timestamp($0) }), let release = row["release"]
            else { return nil }
            return StoredNode(
                role: role, node: node,
                presence: Presence(state: state, boot: boot, since: since, release: release, protocols: [1]),
                isDraining: row.bool("draining") == true)
        }
    }

    static func apply(
        _ database: isolated PostgresConnection, _ documents: [Document], expecting expected: [String: Int],
        by client: NodeID
    ) throws -> StoreReply {
        try database.transaction { database in
            for (key, version) in expected.sorted(by: { $0.key < $1.key }) {
                let parts = key.split(separator: "/", maxSplits: 1).map(String.init)
                let found = try database.query(
                    "SELECT version FROM oms.document WHERE kind = $1 AND name = $2 FOR UPDATE",
                    [.text(parts.first ?? ""), .text(parts.last ?? "")])
                let now = Int(found.rows.first?.int("version") ?? 0)
                guard now == version else {
                    return .failed(
                        Problem(
                            .conflict,
                            "\(key) is at version \(now) by now, not \(version): somebody changed it meanwhile; look again "
                                + "with `oms plan`", status: 409))
                }
            }
            let applied = try write(database, documents, by: client.text)
            let tenants = documents.compactMap { if case .tenant(let id, _) = $0 { id.text } else { nil } }
            return .applied(applied, past: tenants.isEmpty ? [:] : try managers(database, of: tenants))
        }
    }

    /// - Parameter tenants: nil: of all.
    private static func managers(
        _ database: isolated PostgresConnection, of tenants: [String]? = nil
    ) throws -> [TenantID: StoredManager] {
        let result = try database.query(
            """
            SELECT m.tenant, m.config::text AS config, coalesce(e.epoch, 0) AS epoch, e.ended_at IS NOT NULL AS ended,
              e.fleet, coalesce(e.boot, 0) AS boot, coalesce(e.ack_seq, 0) AS ack_seq,
              oms.rfc3339(coalesce(e.started_at, now())) AS since
            FROM oms.manager m LEFT JOIN LATERAL (
              SELECT * FROM oms.epoch WHERE tenant = m.tenant ORDER BY epoch DESC LIMIT 1) e ON true
            WHERE $1::json IS NULL OR m.tenant IN (SELECT json_array_elements_text($1::json))
            """, [try tenants.map { try Rows.json($0) } ?? .null])
        var managers: [TenantID: StoredManager] = [:]
        for row in result.rows {
            guard let tenant = row["tenant"].flatMap({ TenantID($0) }),
                let since = row["since"].flatMap({ Timestamp($0) })
            else { throw StoreError(description: "oms.manager has a row without tenant") }
            managers[tenant] = StoredManager(
                epoch: Int(row.int("epoch") ?? 0), isEnded: row.bool("ended") == true, since: since,
                fleet: row["fleet"].flatMap { NodeID($0) },
                boot: row.int("boot") ?? 0, ackSeq: Int(row.int("ack_seq") ?? 0),
                config: try row["config"].map { try Rows.decode(WorkManagerConfig.self, $0) })
        }
        return managers
    }

    static func write(
        _ database: isolated PostgresConnection, _ documents: [Document], by client: String
    ) throws -> [AppliedDocument] {
        try documents.map { document in
            let (kind, name, spec) = try document.parts()
            // 1. Write unless it is there already, word for word.
            let written = try database.query(
                """
                INSERT INTO oms.document AS d (kind, name, version, spec, changed_by)
                    VALUES ($1, $2, (SELECT coalesce(max(version), 0) + 1 FROM oms.document_version
                      WHERE kind = $1 AND name = $2), $3::jsonb, $4)
                ON CONFLICT (kind, name) DO UPDATE
                  SET version = d.version + 1, spec = EXCLUDED.spec, changed_at = now(), changed_by = EXCLUDED.changed_by
                  WHERE d.spec <> EXCLUDED.spec
                RETURNING version
                """, [.text(kind), .text(name), spec, .text(client)])
            guard let version = written.rows.first?.int("version") else {
                return try unchanged(database, kind: kind, name: name)
            }
            // 2. And its history.
            try keepVersion(database, kind, name)
            return AppliedDocument(
                kind: kind, name: name, change: version == 1 ? .created : .changed, version: Int(version))
        }
    }

    static func renew(
        _ database: isolated PostgresConnection, _ provider: ProviderID, from version: Int, by client: NodeID
    ) throws -> StoreReply {
        try database.transaction { database in
            let written = try database.query(
                """
                UPDATE oms.document SET version = version + 1, changed_at = now(), changed_by = $3
                WHERE kind = 'Provider' AND name = $1 AND version = $2 RETURNING version
                """, [.text(provider.text), .int(version), .text(client.text)])
            guard let now = written.rows.first?.int("version") else {
                return .failed(
                    Problem(.conflict, "Provider/\(provider) was changed or removed meanwhile; look again", status: 409)
                )
            }
            try keepVersion(database, "Provider", provider.text)
            return .applied(
                [AppliedDocument(kind: "Provider", name: provider.text, change: .changed, version: Int(now))], past: [:]
            )
        }
    }

    /// Keeps every version, with who made it.
    private static func keepVersion(_ database: isolated PostgresConnection, _ kind: String, _ name: String) throws {
        try database.query(
            """
            INSERT INTO oms.document_version (kind, name, version, spec, changed_by)
            SELECT kind, name, version, spec, changed_by FROM oms.document WHERE kind = $1 AND name = $2
            """, [.text(kind), .text(name)])
    }

    static func unchanged(
        _ database: isolated PostgresConnection, kind: String, name: String
    ) throws -> AppliedDocument {
        let known = try database.query(
            "SELECT version FROM oms.document WHERE kind = $1 AND name = $2", [.text(kind), .text(name)])
        return AppliedDocument(
            kind: kind, name: name, change: .unchanged, version: Int(known.rows.first?.int("version") ?? 0))
    }

    static func savePlan(
        _ database: isolated PostgresConnection, _ tenant: TenantID, _ config: WorkManagerConfig, _ explanation: String
    ) throws {
        let json = try Rows.json(config)
        try database.transaction { database in
            try database.query(
                """
                INSERT INTO oms.manager (tenant, generation, config, explanation) VALUES ($1, $2, $3::jsonb, $4)
                ON CONFLICT (tenant) DO UPDATE
                  SET generation = EXCLUDED.generation, config = EXCLUDED.config, explanation = EXCLUDED.explanation
                """, [.text(tenant.text), .int(config.generation), json, .text(explanation)])
            try database.query(
                """
                INSERT INTO oms.config_version (tenant, generation, config, explanation) VALUES ($1, $2, $3::jsonb, $4)
                ON CONFLICT (tenant, generation) DO NOTHING
                """, [.text(tenant.text), .int(config.generation), json, .text(explanation)])
        }
    }
}

extension Document {
    fileprivate func parts() throws -> (kind: String, name: String, spec: PGValue) {
        switch self {
        case .provider(let id, let spec): ("Provider", id.text, try Rows.json(spec))
        case .scenario(let id, let spec): ("Scenario", id.text, try Rows.json(spec))
        case .tenant(let id, let spec): ("Tenant", id.text, try Rows.json(spec))
        }
    }
}
