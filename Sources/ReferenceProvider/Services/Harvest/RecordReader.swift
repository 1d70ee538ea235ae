import OMSModel

/// A format of the input.
enum InputFormat: String, CaseIterable, Sendable {
    case csv, json

    /// By the media type, else by the file's name; nil when neither says.
    init?(of location: DataLocation) {
        switch location.type?.lowercased().prefix(while: { $0 != ";" }) {
        case "text/csv": self = .csv
        case "application/json", "application/x-ndjson", "application/jsonl": self = .json
        case .some: return nil
        case nil:
            var name = location.uri.lowercased().prefix { $0 != "?" }
            if name.hasSuffix(".gz") { name.removeLast(3) }
            if name.hasSuffix(".csv") {
                self = .csv
            } else if [".json", ".jsonl", ".ndjson"].contains(where: name.hasSuffix) {
                self = .json
            } else {
                return nil
            }
        }
    }
}

/// The rows of an input with named columns, in one shape for all formats. A value is nil where a JSON record has `null`
/// or lacks the member.
struct RecordReader {
    static let maximumColumns = 200

    private let uri: String
    private let wanted: [String]?
    private var csv: CSVParser?
    private var json = JSONRecordParser()
    /// The columns that are kept, in order; known after the first row.
    private(set) var columns: [String] = []
    /// For CSV: where each kept column stands in a row.
    private var positions: [Int] = []
    private var width = 0
    private(set) var rows = 0

    init(format: InputFormat, columns: [String]?, uri: String) {
        self.uri = uri
        wanted = columns
        csv = format == .csv ? CSVParser() : nil
    }

    mutating func feed(_ bytes: [UInt8], _ emit: (_ columns: [String], _ values: [String?]) throws -> Void) throws {
        try Self.naming(uri) {
            if var parser = csv {
                csv = nil  // so that the parser is not copied while it is changed
                try parser.feed(bytes) { try takeRow($0, emit) }
                csv = parser
            } else {
                var parser = json
                json = JSONRecordParser()
                try parser.feed(bytes) { try takeRecord($0, emit) }
                json = parser
            }
        }
    }

    mutating func finish(_ emit: (_ columns: [String], _ values: [String?]) throws -> Void) throws {
        try Self.naming(uri) {
            if var parser = csv { try parser.finish { try takeRow($0, emit) } } else { try json.finish() }
        }
        if columns.isEmpty { throw Problem(.inputUnavailable, "\(uri) is empty: not even a header") }
    }

    private mutating func takeRow(_ row: [String], _ emit: ([String], [String?]) throws -> Void) throws {
        guard width > 0 else {
            width = row.count
            try choose(from: row)
            positions = columns.map { column in row.firstIndex(of: column) ?? 0 }
            return
        }
        // An empty line is no row, unless a row of one empty field is possible.
        if row == [""], width > 1 { return }
        rows += 1
        guard row.count == width else {
            throw CSVParser.Failure(row: rows + 1, reason: "has \(row.count) fields, the header has \(width)")
        }
        try emit(columns, positions.map { row[$0] })
    }

    private mutating func takeRecord(
        _ record: JSONObject, _ emit: ([String], [String?]) throws -> Void
    ) throws {
        if columns.isEmpty { try choose(from: record.keys.sorted()) }
        rows += 1
        if wanted == nil, let unknown = record.keys.sorted().first(where: { !columns.contains($0) }) {
            throw CSVParser.Failure(
                row: rows,
                reason: "has member '\(unknown)', which the first record lacks; name the wanted members in 'columns'")
        }
        try emit(columns, try columns.map { try Self.text(record[$0] ?? .null) })
    }

    private mutating func choose(from names: [String]) throws {
        if names.count > Self.maximumColumns {
            throw Problem(.jobFailed, "\(uri) has \(names.count) columns; at most \(Self.maximumColumns) are taken")
        }
        if let bad = names.first(where: { !TextRule.label.accepts($0) }) {
            throw Problem(.jobFailed, "\(uri): the column name '\(bad)' must be \(TextRule.label.words)")
        }
        // SQLite does not tell upper from lower case in column names.
        if Set(names.map { $0.lowercased() }).count != names.count {
            throw Problem(.jobFailed, "\(uri) names a column twice (upper and lower case do not differ)")
        }
        if let missing = wanted?.first(where: { !names.contains($0) }) {
            throw Problem(
                .jobFailed,
                "\(uri) has no column '\(missing)' (in JSON: the first record); it has "
                    + names.joined(separator: ", "))
        }
        columns = wanted ?? names
        if let taken = columns.first(where: { HarvestStore.ownColumns.contains($0.lowercased()) }) {
            throw Problem(
                .jobFailed,
                "\(uri): the store needs the column name '\(taken)' itself; leave it out by naming 'columns'")
        }
    }

    /// Adds the URI to what the parsers say.
    private static func naming(_ uri: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let failure as CSVParser.Failure {
            throw Problem(.jobFailed, "\(uri): row \(failure.row) \(failure.reason)", retryable: false)
        }
    }

    private static func text(_ value: JSONValue) throws -> String? {
        switch value {
        case .null: nil
        case .bool(let flag): flag ? "true" : "false"
        case .string(let text): text
        case .int, .double, .number, .array, .object: try JSONText.string(value)
        }
    }
}
