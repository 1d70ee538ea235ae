import OMSModel
import OMSRuntime
import SQLite

/// The store that harvests write: one SQLite file, tables with the columns of the input and three of our own.
///
/// - `source`: the label of the harvest; a table can hold several, and each is replaced on its own.
/// - `row_key`: identifies the row within its source: the values of the key columns, else the row's hash and its
///   how-manieth occurrence (logs may well hold two equal rows).
/// - `row_hash`: tells whether the row changed.
final class HarvestStore {
    static let ownColumns: Set<String> = ["source", "row_key", "row_hash"]

    struct Outcome: Hashable {
        var inserted = 0
        var updated = 0
        var unchanged = 0
        var removed = 0
    }

    private let database: SQLiteDatabase
    private let control: JobControl
    private let table: String
    private let key: [String]?
    private var columns: [String] = []
    private var keyPositions: [Int] = []
    private var insertText = ""

    /// - Throws: `Problem`, `Interruption`.
    init(path: String, uri: String, table: String, key: [String]?, control: JobControl) throws {
        self.table = table
        self.key = key
        self.control = control
        database = try retryingWhileBusy(control) {
            do {
                return try SQLiteDatabase(path: path, busyTimeoutMilliseconds: 100)
            } catch let error as SQLiteError where !error.isBusy {
                throw Problem(.outputUnwritable, "\(uri): \(error.message)", retryable: true)
            }
        }
        database.interrupt { control.pending != nil }
    }

    /// Prepares the staging table, a temporary one: filling it, however slowly, locks nobody out of the store.
    private func stage(_ columns: [String]) throws {
        self.columns = columns
        keyPositions = try (key ?? []).map { name in
            guard let index = columns.firstIndex(of: name) else {
                throw Problem(
                    .jobFailed, "the key column '\(name)' is not among the columns \(columns.joined(separator: ", "))")
            }
            return index
        }
        let staged = columns.indices.map { ", c\($0) TEXT" }.joined()
        try database.execute(
            "CREATE TEMP TABLE stage (number INTEGER PRIMARY KEY, hash TEXT, key TEXT UNIQUE\(staged))")
        let marks = String(repeating: ", ?", count: columns.count)
        insertText = "INSERT INTO temp.stage VALUES (NULL, ?, ?\(marks))"
        try database.execute("BEGIN")  // of the temporary database only
    }

    /// For an input with a header and no rows: the source then has no rows either.
    func prepareEmpty(columns: [String]) throws { try stage(columns) }

    func add(_ values: [String?], of columns: [String], number: Int) throws {
        if self.columns.isEmpty { try stage(columns) }
        // Length-prefixed, so that no two rows run together; the names, so that other columns are another content.
        var identity: [UInt8] = []
        for (name, value) in zip(columns, values) {
            identity += name.utf8
            identity.append(value == nil ? 0 : 1)
            identity += String(value?.utf8.count ?? 0).utf8
            identity.append(UInt8(ascii: ":"))
            if let value { identity += value.utf8 }
        }
        let hash = String(RowHash.of(identity), radix: 36)
        let keyText =
            key == nil
            ? nil
            : keyPositions.map { position -> String in
                let part = values[position] ?? ""
                return "\(part.utf8.count):\(part)"
            }.joined()
        do {
            try database.run(
                insertText,
                [.text(hash), keyText.map { .text($0) } ?? .null] + values.map { $0.map { .text($0) } ?? .null })
        } catch {
            // Not `catch where`: Swift 6.3.1 crashes on that after a typed throw.
            guard error.isConstraint else { throw error }
            throw Problem(
                .jobFailed,
                "row \(number) has the same key (\(key?.joined(separator: ", ") ?? "")) as an earlier row; "
                    + "choose key columns that identify a row, or leave 'key' out", retryable: false)
        }
    }

    /// Makes the rows of `source` exactly those staged, in one short transaction: a reader sees all or nothing of it.
    func replace(source: String) throws -> Outcome {
        try database.execute(
            """
            UPDATE temp.stage SET key = hash || '-' || occurrence FROM (
              SELECT number AS n, row_number() OVER (PARTITION BY hash ORDER BY number) AS occurrence FROM temp.stage
            ) WHERE n = number AND key IS NULL;
            COMMIT
            """)
        return try retryingWhileBusy(control) {
            try database.transaction { try swap(source) }
        }
    }

    private func swap(_ source: String) throws -> Outcome {
        let target = quoted(table)
        let own = "source TEXT NOT NULL, row_key TEXT NOT NULL, row_hash TEXT NOT NULL"
        let declared = columns.map { ", \(quoted($0)) TEXT" }.joined()
        try database.execute(
            "CREATE TABLE IF NOT EXISTS main.\(target) (\(own)\(declared), PRIMARY KEY (source, row_key)) WITHOUT ROWID"
        )
        let present = try database.query("SELECT lower(name) FROM pragma_table_info(?)", [.text(table)]) {
            $0.text(0) ?? ""
        }
        guard Self.ownColumns.isSubset(of: present) else {
            throw Problem(
                .outputUnwritable, "table '\(table)' exists and was not made by a harvest; choose another name")
        }
        for column in columns where !present.contains(column.lowercased()) {
            try database.execute("ALTER TABLE main.\(target) ADD COLUMN \(quoted(column)) TEXT")
        }
        let label = SQLiteValue.text(source)
        func count(_ sql: String) throws -> Int { try database.query(sql, [label]) { Int($0.int(0)) }.first ?? 0 }
        var outcome = Outcome()
        let joined = "temp.stage s JOIN main.\(target) m ON m.source = ?1 AND m.row_key = s.key"
        outcome.updated = try count("SELECT count(*) FROM \(joined) WHERE m.row_hash <> s.hash")
        outcome.unchanged = try count("SELECT count(*) FROM \(joined) WHERE m.row_hash = s.hash")
        outcome.inserted = try count("SELECT count(*) - (SELECT count(*) FROM \(joined)) FROM temp.stage")
        outcome.removed = try database.run(
            "DELETE FROM main.\(target) WHERE source = ?1 AND row_key NOT IN (SELECT key FROM temp.stage)", [label])
        let names = columns.map { ", \(quoted($0))" }.joined()
        let staged = columns.indices.map { ", s.c\($0)" }.joined()
        try database.run(
            """
            INSERT OR REPLACE INTO main.\(target) (source, row_key, row_hash\(names))
            SELECT ?1, s.key, s.hash\(staged) FROM temp.stage s
            WHERE NOT EXISTS (SELECT 1 FROM main.\(target) m
                              WHERE m.source = ?1 AND m.row_key = s.key AND m.row_hash = s.hash)
            """, [label])
        return outcome
    }
}

/// FNV-1a with 128 bits. Two different rows with one hash cost nothing: the second counts as another occurrence of the
/// first, so it is kept (without `key`), or its change is overlooked with a chance of 2^-128 (with `key`).
enum RowHash {
    static func of(_ bytes: [UInt8]) -> UInt128 {
        var hash: UInt128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D
        let prime: UInt128 = 1 << 88 | 0x13B
        for byte in bytes { hash = (hash ^ UInt128(truncatingIfNeeded: byte)) &* prime }
        return hash
    }
}

func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }

/// Repeats `body` while another connection holds the lock; the job's control ends the wait, and so does its timeout.
func retryingWhileBusy<Value>(_ control: JobControl, _ body: () throws -> Value) throws -> Value {
    var pause = 10
    while true {
        try control.check()
        do {
            return try body()
        } catch let error as SQLiteError where error.isBusy {
            try control.pause(milliseconds: pause)
            pause = min(500, pause * 2)
        }
    }
}
