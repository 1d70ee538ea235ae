import OMSCore
import OMSModel
import OMSProtocol
import Postgres

/// `oms.quarantine`: facts of which PostgreSQL refused a part, whole, until somebody decides or they are too old.
extension Store {
    /// Of each tenant; beyond it the oldest goes, whether it is settled or not.
    private static let maxKept = 1_000

    /// The fact is kept whole, and its row gets what is left of it; its number is acknowledged. All in one transaction.
    /// - Parameter reduction: nil: it gets no row.
    /// - Returns: the number up to which the journal is committed now, and what is new.
    static func quarantine(
        _ database: isolated PostgresConnection, _ piece: Piece, _ error: PostgresError, keeping reduction: Reduction?
    ) throws -> (Int, SetAside?) {
        let entry = piece.journal.entries[0]
        let ready = try database.query(
            "SELECT ack_seq FROM oms.epoch WHERE tenant = $1 AND epoch = $2 AND ended_at IS NULL FOR UPDATE",
            [.text(piece.tenant.text), .int(piece.journal.epoch)])
        let acknowledged = ready.rows.first?.int("ack_seq") ?? 0
        guard acknowledged == Int64(piece.last - 1), !ready.rows.isEmpty else { return (Int(acknowledged), nil) }
        let (id, isNew, dropped) = try keep(
            database, piece.tenant, piece.journal.epoch, piece.last, entry.fact, try Rows.json(entry), error,
            hasRow: reduction != nil)
        let note =
            "PostgreSQL refused a part of this (\(words(error))); what it was is kept as quarantine \(id): "
            + "oms quarantine list"
        var stored = piece
        stored.journal.entries = reduction.map { [entry.reduced($0, note: note)] } ?? [JournalEntry()]
        let committed = try commit(database, [stored])[0]
        let kept = SetAside(
            id: id, fact: entry.fact, error: words(error), hasRow: reduction != nil, dropped: dropped)
        return (committed, isNew ? kept : nil)
    }

    /// A job that a gateway named and that cannot have a row.
    static func quarantine(_ database: isolated PostgresConnection, _ job: LeftJob, _ error: PostgresError) throws {
        _ = try keep(
            database, job.tenant, job.epoch, 0, "left/\(job.job)", try Rows.json(job), error, hasRow: false)
    }

    private static func keep(
        _ database: isolated PostgresConnection, _ tenant: TenantID, _ epoch: Int, _ seq: Int, _ fact: String,
        _ entry: PGValue, _ error: PostgresError, hasRow: Bool
    ) throws -> (id: Int64, isNew: Bool, dropped: Int) {
        let row = try database.query(
            """
            INSERT INTO oms.quarantine AS q (tenant, epoch, seq, fact, entry, error, has_row)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (tenant, fact) DO UPDATE SET epoch = EXCLUDED.epoch, seq = EXCLUDED.seq, entry = EXCLUDED.entry,
              error = EXCLUDED.error, has_row = EXCLUDED.has_row, times = q.times + 1, last_at = now(),
              resolution = CASE WHEN q.resolution = 'discarded' THEN q.resolution END,
              resolved_at = CASE WHEN q.resolution = 'discarded' THEN q.resolved_at END
            RETURNING id, times
            """,
            [
                .text(tenant.text), .int(epoch), .int(seq), .text(fact), entry,
                .text(String(error.description.prefix(2_000))), .bool(hasRow),
            ]
        ).rows.first
        guard let id = row?.int("id"), let times = row?.int("times") else {
            throw StoreError(description: "no row of the quarantine")
        }
        guard times == 1 else { return (id, false, 0) }
        let dropped = try database.query(
            """
                DELETE FROM oms.quarantine WHERE id IN (
                  SELECT id FROM oms.quarantine WHERE tenant = $1 ORDER BY (resolution IS NULL) DESC, id DESC OFFSET $2::int)
            """, [.text(tenant.text), .int(maxKept)])
        return (id, true, dropped.affectedRows)
    }

    /// One line, and no more of the values than a line takes.
    private static func words(_ error: PostgresError) -> String {
        let text = error.message.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : String($0) }
        return "\(error.sqlState ?? "?"): \(String(text.joined().prefix(160)))"
    }

    // MARK: - What an operator decides

    func settle(_ id: Int64, _ verdict: QuarantineVerdict, by client: NodeID) throws -> StoreReply {
        do {
            return try inTerm { try Self.settle($0, id, verdict, by: client) }
        } catch let error as PostgresError where error.blame == .data {
            return .failed(
                Problem(
                    .conflict,
                    "quarantine \(id) is refused again (\(Self.words(error))): mend what refuses it, or "
                        + "`oms quarantine discard \(id) --reason ...`", status: 409))
        }
    }

    private static func settle(
        _ database: isolated PostgresConnection, _ id: Int64, _ verdict: QuarantineVerdict, by client: NodeID
    ) throws -> StoreReply {
        let row = try database.query(
            "SELECT tenant, epoch, entry, fact, resolution FROM oms.quarantine WHERE id = $1 FOR UPDATE", [.int(id)]
        ).rows.first
        guard let row, let tenant = row["tenant"].flatMap({ TenantID($0) }), let epoch = row.int("epoch"),
            let text = row["entry"], let fact = row["fact"]
        else {
            return .failed(
                Problem(.notFound, "field id: there is no quarantine \(id); see `oms quarantine list`", status: 404))
        }
        if let resolution = row["resolution"] {
            return .failed(Problem(.conflict, "quarantine \(id) was \(resolution) already", status: 409))
        }
        let (resolution, reason): (String, String?) =
            switch verdict {
            case .retry: ("retried", nil)
            case .discard(let reason): ("discarded", reason)
            }
        if case .retry = verdict {
            if let problem = try putBack(database, tenant, Int(epoch), text, fact) { return .failed(problem) }
        }
        try database.query(
            """
            UPDATE oms.quarantine SET resolution = $2, resolved_at = now(), resolved_by = $3, resolved_reason = $4
            WHERE id = $1
            """, [.int(id), .text(resolution), .text(client.text), .optional(reason)])
        return .settledQuarantined(tenant, fact: fact)
    }

    /// Through the same statements as a journal. What stands in its place goes first: it says of itself that it is a part.
    private static func putBack(
        _ database: isolated PostgresConnection, _ tenant: TenantID, _ epoch: Int, _ text: String, _ fact: String
    ) throws -> Problem? {
        guard !fact.hasPrefix("left/"), let entry = try? Rows.decode(JournalEntry.self, text), entry != JournalEntry()
        else {
            return Problem(
                .conflict,
                "\(fact) is in no form that this release can put back; its words are in report.quarantine. "
                    + "`oms quarantine discard` settles it", status: 409)
        }
        let mark = PGValue.text("urn:oms:problem:not-storable")
        if let job = entry.job {
            try database.query(
                "DELETE FROM oms.job_event WHERE job_id = $1 AND epoch = $2 AND revision = $3 AND error->>'type' = $4",
                [.text("\(job.id)"), .int(epoch), .int(job.revision), mark])
            try database.query(
                """
                UPDATE oms.job SET state = 'unknown', finished_at = NULL, revision = revision - 1
                WHERE id = $1 AND epoch = $2 AND revision = $3 AND error->>'type' = $4
                """, [.text("\(job.id)"), .int(epoch), .int(job.revision), mark])
        }
        if let run = entry.run {
            try database.query(
                """
                UPDATE oms.run SET state = 'running', finished_at = NULL, result = NULL
                WHERE id = $1 AND error->>'type' = $2
                """, [.text("\(run.id)"), mark])
        }
        try apply(
            database, [Piece(tenant: tenant, journal: Journal(epoch: epoch, firstSeq: 1, entries: [entry]))])
        return nil
    }
}
