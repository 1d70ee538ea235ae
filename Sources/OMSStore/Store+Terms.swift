import Postgres

/// One registry is active. The lock says who may write now, the term says whether somebody else might have written since
/// this one read everything, and the mark says whether all is still there that was written since.
extension Store {
    /// What a registry that has read everything knows of its place in the database's history.
    struct Term: Equatable {
        var number: Int64
        /// The mark of the last transaction that is known to be committed. One whose outcome is not known may have left a
        /// higher one.
        var mark: Int64 = 0
    }

    /// - Returns: the term that begins with reading everything.
    static func beginTerm(_ database: isolated PostgresConnection, of registry: String) throws -> Term {
        let row = try database.query(
            """
            INSERT INTO oms.active_registry AS a (term, registry, since) VALUES (1, $1, now())
            ON CONFLICT (one) DO UPDATE SET term = a.term + 1, registry = EXCLUDED.registry, since = now()
            RETURNING term, mark
            """, [.text(registry)]
        ).rows.first
        guard let number = row?.int("term"), let mark = row?.int("mark") else {
            throw StoreError(description: "no term")
        }
        return Term(number: number, mark: mark)
    }

    /// - Throws: `StandbyError` if what was read may be old, or if what was written is not there any more.
    static func check(_ database: isolated PostgresConnection, _ term: Term) throws {
        let row = try database.query("SELECT term, mark FROM oms.active_registry").rows.first
        try judge(term, number: row?.int("term"), mark: row?.int("mark"))
    }

    static func judge(_ term: Term, number: Int64?, mark: Int64?) throws {
        guard let number, let mark else { throw StandbyError.behind("it knows of no registry at all") }
        // A later term begins with what is there: whether something is gone, its reader finds out.
        if number > term.number { throw StandbyError.outdated }
        guard number == term.number, mark >= term.mark else {
            throw StandbyError.behind(
                "it is at transaction \(mark) of term \(number), and was at \(term.mark) of term \(term.number)")
        }
    }

    /// Makes the mark of one more transaction a part of it.
    static func advance(_ database: isolated PostgresConnection, _ term: Term) throws -> Int64 {
        let row = try database.query(
            "UPDATE oms.active_registry SET mark = mark + 1 WHERE term = $1 AND mark >= $2 RETURNING mark",
            [.int(term.number), .int(term.mark)]
        ).rows.first
        if let mark = row?.int("mark") { return mark }
        try check(database, term)
        throw StoreError(description: "the mark of the active registry cannot be moved")
    }
}
