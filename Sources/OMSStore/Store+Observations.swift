import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// What was seen last: presences, health, catalogues, statuses.
extension Store {
    static func observe(_ database: isolated PostgresConnection, _ observations: [Observation]) throws {
        try database.transaction { database in
            for observation in observations { try write(database, observation) }
        }
    }

    /// Only this says where a provider is; what gateways say of its health does not.
    static func assign(
        _ database: isolated PostgresConnection, _ provider: ProviderID, _ gateway: NodeID
    ) throws {
        try database.query(
            """
            INSERT INTO oms.provider_status (provider, gateway) VALUES ($1, $2)
            ON CONFLICT (provider) DO UPDATE SET gateway = EXCLUDED.gateway
            """, [.text(provider.text), .text(gateway.text)])
    }

    static func saveVerification(
        _ database: isolated PostgresConnection, _ provider: ProviderID, _ passed: Bool, _ report: JSONValue,
        by client: NodeID
    ) throws {
        try database.query(
            "INSERT INTO oms.verification (provider, verified_by, passed, report) VALUES ($1, $2, $3, $4::jsonb)",
            [.text(provider.text), .text(client.text), .bool(passed), try Rows.json(report)])
    }

    private static func write(_ database: isolated PostgresConnection, _ observation: Observation) throws {
        switch observation {
        case .presence(let role, let node, let presence, let at):
            try database.query(
                """
                INSERT INTO oms.node (role, node, state, boot, since, release, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (role, node) DO UPDATE SET state = EXCLUDED.state, boot = EXCLUDED.boot,
                  since = EXCLUDED.since, release = EXCLUDED.release, seen_at = EXCLUDED.seen_at
                """,
                [
                    .text(role.rawValue), .text(node.text), .text(presence.state.rawValue), .int(presence.boot),
                    .text(presence.since.description), .text(presence.release), .text(at.description),
                ])
        case .health(let provider, let health):
            try database.query(
                """
                INSERT INTO oms.provider_status AS s (provider, gateway, status, circuit, latency_ms, checked_at, report, error, places)
                VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9::jsonb)
                ON CONFLICT (provider) DO UPDATE SET gateway = coalesce(s.gateway, EXCLUDED.gateway), status = EXCLUDED.status,
                  circuit = EXCLUDED.circuit, latency_ms = EXCLUDED.latency_ms, checked_at = EXCLUDED.checked_at,
                  report = coalesce(EXCLUDED.report, s.report), error = EXCLUDED.error,
                  places = EXCLUDED.places
                """,
                [
                    .text(provider.text), .text(health.gateway.text), .text(health.status.rawValue),
                    .text(health.circuit.rawValue), .optional(health.latencyMilliseconds.map(Int64.init)),
                    .text(health.checked.description), try Rows.optionalJSON(health.report),
                    try Rows.optionalJSON(health.error), try Rows.optionalJSON(health.places),
                ])
        case .catalog(let provider, let catalog):
            try database.query(
                """
                INSERT INTO oms.provider_status (provider, gateway, services, catalog_fetched_at, catalog_stale)
                VALUES ($1, $2, $3::jsonb, $4, $5)
                ON CONFLICT (provider) DO UPDATE SET services = EXCLUDED.services,
                  catalog_fetched_at = EXCLUDED.catalog_fetched_at, catalog_stale = EXCLUDED.catalog_stale
                """,
                [
                    .text(provider.text), .text(catalog.gateway.text), try Rows.json(catalog.services),
                    .text(catalog.fetched.description), .bool(catalog.stale),
                ])
            // A version of its own only where something changed.
            try database.query(
                """
                INSERT INTO oms.catalog_version (provider, version, services, seen_at)
                SELECT $1, coalesce(max(version), 0) + 1, $2::jsonb, $3 FROM oms.catalog_version WHERE provider = $1
                HAVING NOT EXISTS (
                  SELECT FROM oms.catalog_version WHERE provider = $1 AND services = $2::jsonb
                    AND version = (SELECT max(version) FROM oms.catalog_version WHERE provider = $1))
                """,
                [.text(provider.text), try Rows.json(catalog.services), .text(catalog.fetched.description)])
        case .status(let tenant, let status, let at):
            try database.query(
                """
                UPDATE oms.manager SET beat = $2, uptime_s = $3, jobs = $4::jsonb, active = $5::jsonb, waiting = $6::jsonb,
                  seen_at = $7 WHERE tenant = $1
                """,
                [
                    .text(tenant.text), .int(status.beat), .int(status.uptimeSeconds), try Rows.json(status.jobs),
                    try Rows.json(status.active), try Rows.json(status.waiting), .text(at.description),
                ])
        case .managerState(let tenant, let state, let at):
            try database.query(
                "UPDATE oms.manager SET state = $2, state_since = $3 WHERE tenant = $1",
                [.text(tenant.text), .text(state), .text(at.description)])
        case .reason(let tenant, let reason):
            guard let reason else {
                try database.query(
                    "DELETE FROM oms.reason WHERE tenant = $1 AND subject = 'tenant'", [.text(tenant.text)])
                return
            }
            try database.query(
                """
                INSERT INTO oms.reason (tenant, subject, code, text, since) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (tenant, subject) DO UPDATE SET code = EXCLUDED.code, text = EXCLUDED.text, since = EXCLUDED.since
                """,
                [
                    .text(tenant.text), .text(reason.subject), .text(reason.code), .text(reason.text),
                    .text(reason.since.description),
                ])
        }
    }
}
