import OMSModel
import SQLite

/// One shown item: a row of a harvested log.
struct Impression {
    var source: String
    var item: String
    var click: Bool
    /// With which probability the policy showed this item; nil unless asked for.
    var propensity: Double?
}

/// Reads the impressions of a harvested table, row by row: tables may be larger than memory.
struct LogReader {
    private let database: SQLiteDatabase
    private let uri: String
    private let table: String

    /// - Throws: `Problem` `input-unavailable`, when there is no such store or table yet.
    init(_ job: JobContext, table: String) throws {
        guard let location = job.config.dataSource else { throw Problem(.invalidConfig, "data_source is required") }
        uri = location.uri
        self.table = table
        let path = try job.roots.storeToRead(location.uri)
        let uri = self.uri
        database = try retryingWhileBusy(job.control) {
            do {
                return try SQLiteDatabase(path: path, readOnly: true, busyTimeoutMilliseconds: 100)
            } catch let error as SQLiteError where !error.isBusy {
                throw Problem(.inputUnavailable, "\(uri): \(error.message)", retryable: true)
            }
        }
        let control = job.control
        database.interrupt { control.pending != nil }
    }

    /// Calls `take` for each row of `sources` that matches `segment`, at the job's pace.
    ///
    /// - Returns: How many rows there were.
    @discardableResult
    func read(
        _ job: JobContext, sources: [String], segment: [String: String], withPropensity: Bool, pace: Pace,
        _ take: (Impression) -> Void
    ) throws -> Int {
        try named {
            let present = Set(
                try database.query("SELECT name FROM pragma_table_info(?)", [.text(table)]) { $0.text(0) ?? "" })
            if present.isEmpty {
                throw Problem(
                    .inputUnavailable, "\(uri) has no table '\(table)'; harvest into it first", retryable: true)
            }
            let needed =
                ["source", "item_id", "click"] + (withPropensity ? ["propensity_score"] : []) + segment.keys.sorted()
            if let missing = needed.first(where: { !present.contains($0) }) {
                throw Problem(.inputUnavailable, "table '\(table)' of \(uri) has no column '\(missing)'")
            }
            let columns = segment.keys.sorted()
            let marks = sources.map { _ in "?" }.joined(separator: ", ")
            let filter = columns.map { " AND \(quoted($0)) = ?" }.joined()
            let from = "FROM \(quoted(table)) WHERE source IN (\(marks))\(filter)"
            let values = (sources + columns.map { segment[$0] ?? "" }).map { SQLiteValue.text($0) }
            let total = try database.query("SELECT count(*) \(from)", values) { Int($0.int(0)) }.first ?? 0
            let propensity = withPropensity ? "propensity_score" : "NULL"
            let statement = try database.statement("SELECT source, item_id, click, \(propensity) \(from)")
            defer { statement.reset() }
            try statement.bind(values)
            var rows = 0
            while try statement.step() {
                rows += 1
                take(try impression(statement, withPropensity: withPropensity))
                if rows % Pace.rows == 0 {
                    try job.control.pause(milliseconds: pace.milliseconds)
                    try job.report(Double(rows) / Double(max(total, rows)), "\(rows) of \(total) rows read")
                }
            }
            return rows
        }
    }

    private func impression(_ row: SQLiteStatement, withPropensity: Bool) throws -> Impression {
        let (click, item) = (row.text(2), row.text(1))
        guard let item, click == "0" || click == "1" else {
            throw Problem(
                .jobFailed,
                "table '\(table)' of \(uri): click is '\(click ?? "NULL")' and item_id '\(item ?? "NULL")'; "
                    + "click must be 0 or 1, item_id must not be empty")
        }
        var impression = Impression(source: row.text(0) ?? "", item: item, click: click == "1")
        if withPropensity {
            guard let score = row.text(3).flatMap(Double.init), score > 0, score <= 1 else {
                throw Problem(
                    .jobFailed,
                    "table '\(table)' of \(uri): propensity_score is '\(row.text(3) ?? "NULL")'; "
                        + "it must be a probability greater than 0")
            }
            impression.propensity = score
        }
        return impression
    }

    private func named<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as SQLiteError {
            throw Problem(.inputUnavailable, "\(uri): \(error.message)", retryable: true)
        }
    }
}
