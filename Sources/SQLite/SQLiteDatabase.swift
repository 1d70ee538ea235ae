import CSQLite

/// An error that SQLite reported.
package struct SQLiteError: Error, CustomStringConvertible {
    package var code: Int32
    package var message: String

    package var isBusy: Bool { code & 0xff == SQLITE_BUSY }
    package var isConstraint: Bool { code & 0xff == SQLITE_CONSTRAINT }
    package var description: String { "sqlite error \(code): \(message)" }
}

/// A value of one column or one parameter.
package enum SQLiteValue: Sendable, Hashable {
    case null
    case int(Int64)
    case double(Double)
    case text(String)
    case blob([UInt8])
}

/// One connection to one database file.
///
/// Not Sendable on purpose: it is opened, used and released by one actor or one thread, so the C handle needs no lock.
package final class SQLiteDatabase {
    private let handle: OpaquePointer
    /// Statements are compiled once per SQL text. Bounded: the texts are literals in the code, never built from input.
    private var prepared: [String: SQLiteStatement] = [:]
    private static let preparedLimit = 256
    private var isInterrupted: (() -> Bool)?

    /// - Parameters:
    ///   - path: File path, or `:memory:`.
    ///   - busyTimeoutMilliseconds: How long a statement waits for another process's lock before SQLITE_BUSY.
    ///   - durable: `synchronous=FULL` (an fsync per commit); otherwise NORMAL, which in WAL mode may lose the last
    ///     commits at a power loss but never corrupts.
    package init(
        path: String, readOnly: Bool = false, busyTimeoutMilliseconds: Int32 = 5_000, durable: Bool = true
    ) throws(SQLiteError) {
        let access = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        var opened: OpaquePointer?
        // NOMUTEX: one owner, so SQLite's own mutex per call would be wasted work.
        let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
        guard code == SQLITE_OK, let opened else {
            let message = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw SQLiteError(code: code, message: "cannot open \(path): \(message)")
        }
        handle = opened
        sqlite3_busy_timeout(handle, busyTimeoutMilliseconds)
        if !readOnly {
            try execute("PRAGMA journal_mode=WAL")
            try execute("PRAGMA synchronous=\(durable ? "FULL" : "NORMAL")")
        }
        try execute("PRAGMA foreign_keys=ON")
    }

    deinit {
        prepared.removeAll()
        sqlite3_close_v2(handle)  // v2: waits for statements that somebody still holds instead of failing
    }

    /// Ends a statement with SQLITE_INTERRUPT as soon as `condition` holds. It is asked on this connection's own thread,
    /// while a statement runs: one that sorts a large table is interruptible like a loop over rows.
    package func interrupt(when condition: @escaping () -> Bool) {
        isInterrupted = condition
        // Unretained: SQLite calls back only from calls on `handle`, which this object owns and closes at its own end.
        sqlite3_progress_handler(
            handle, 10_000,
            { pointer in
                guard let pointer else { return 0 }
                return Unmanaged<SQLiteDatabase>.fromOpaque(pointer).takeUnretainedValue().isInterrupted?() == true
                    ? 1 : 0
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    package var changes: Int { Int(sqlite3_changes64(handle)) }
    package var lastInsertRowID: Int64 { sqlite3_last_insert_rowid(handle) }

    /// Runs one or more statements without parameters.
    package func execute(_ script: String) throws(SQLiteError) {
        let code = sqlite3_exec(handle, script, nil, nil, nil)
        if code != SQLITE_OK { throw error(code) }
    }

    /// Runs one statement to its end and returns how many rows it changed.
    @discardableResult
    package func run(_ sql: String, _ parameters: [SQLiteValue] = []) throws(SQLiteError) -> Int {
        let statement = try statement(sql)
        defer { statement.reset() }
        try statement.bind(parameters)
        while try statement.step() {}
        return changes
    }

    /// All rows of one statement, each converted by `convert` while SQLite still holds it.
    package func query<Row>(
        _ sql: String, _ parameters: [SQLiteValue] = [], _ convert: (SQLiteStatement) throws -> Row
    ) throws -> [Row] {
        let statement = try statement(sql)
        defer { statement.reset() }
        try statement.bind(parameters)
        var rows: [Row] = []
        while try statement.step() { rows.append(try convert(statement)) }
        return rows
    }

    /// The cached statement of this text. Finish with `reset()`; do not step two loops of the same text at once.
    package func statement(_ sql: String) throws(SQLiteError) -> SQLiteStatement {
        if let known = prepared[sql] { return known }
        var compiled: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, nil)
        guard code == SQLITE_OK, let compiled else {
            throw code == SQLITE_OK ? SQLiteError(code: SQLITE_MISUSE, message: "empty statement") : error(code)
        }
        let statement = SQLiteStatement(compiled, database: handle)
        if prepared.count >= Self.preparedLimit { prepared.removeAll() }
        prepared[sql] = statement
        return statement
    }

    /// Runs `body` in a write transaction: committed when it returns, rolled back when it throws.
    ///
    /// IMMEDIATE takes the write lock at once: a deferred transaction that reads first can fail later with a busy error
    /// that no waiting cures.
    package func transaction<Value>(_ body: () throws -> Value) throws -> Value {
        try execute("BEGIN IMMEDIATE")
        do {
            let value = try body()
            try execute("COMMIT")
            return value
        } catch {
            // SQLite has already rolled back after some errors (disk full, I/O): then there is nothing left to do.
            if sqlite3_get_autocommit(handle) == 0 { sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
            throw error
        }
    }

    private func error(_ code: Int32) -> SQLiteError {
        SQLiteError(code: code, message: String(cString: sqlite3_errmsg(handle)))
    }
}
