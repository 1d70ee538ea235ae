import Postgres

/// One registry is active. The lock says who may write now, and the term says whether somebody else might have written
/// since this one read everything.
extension Store {
    /// - Returns: the number of the term that begins with reading everything.
    static func beginTerm(_ database: isolated PostgresConnection, of registry: String) throws -> Int64 {
        let row = try database.query(
            """
            INSERT INTO oms.active_registry AS a (term, registry, since) VALUES (1, $1, now())
            ON CONFLICT (one) DO UPDATE SET term = a.term + 1, registry = EXCLUDED.registry, since = now()
            RETURNING term
            """, [.text(registry)]
        ).rows.first
        guard let term = row?.int("term") else { throw StoreError(description: "no term") }
        return term
    }

    static func holds(_ term: Int64, _ database: isolated PostgresConnection) throws -> Bool {
        try database.query("SELECT term FROM oms.active_registry").rows.first?.int("term") == term
    }
}
