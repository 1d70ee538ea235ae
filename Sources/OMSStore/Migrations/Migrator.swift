import Postgres

/// A numbered change of the schema. Once released, a migration never changes: a new one follows it.
struct Migration: Sendable {
    let number: Int
    let name: String
    let sql: String
}

enum Migrator {
    static let migrations = [
        migration0001Core, migration0002Report, migration0003Catalogs, migration0004Operations, migration0005Why,
        migration0006Rollouts,
        migration0010Schedules, migration0011Revisions, migration0012Terms,
        migration0013Retention, migration0014Refusals, migration0020Places,
    ]

    /// Chosen at random once; the same key in every release, so that two registries never migrate at the same time.
    private static let lockKey = 6_021_023_077

    /// Applies what is missing, each in its own transaction, one registry at a time.
    /// - Returns: names of the applied migrations.
    static func migrate(_ database: isolated PostgresConnection) throws -> [String] {
        var applied: [String] = []
        for migration in migrations {
            try database.transaction(deadline: .seconds(120)) { database in
                try database.query("SELECT pg_advisory_xact_lock($1)", [.int(lockKey)], deadline: .seconds(120))
                try database.execute(
                    script: """
                        CREATE SCHEMA IF NOT EXISTS oms;
                        CREATE TABLE IF NOT EXISTS oms.migration (
                          number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
                        """)
                let known = try database.query(
                    "SELECT name FROM oms.migration WHERE number = $1", [.int(migration.number)])
                guard known.rows.isEmpty else { return }
                try database.execute(script: migration.sql, deadline: .seconds(120))
                try database.query(
                    "INSERT INTO oms.migration (number, name) VALUES ($1, $2)",
                    [.int(migration.number), .text(migration.name)])
                applied.append(migration.name)
            }
        }
        return applied
    }
}
