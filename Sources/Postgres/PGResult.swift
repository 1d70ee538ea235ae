import CLibPQ

/// The rows of one statement, copied out of libpq.
package struct PGResult: Sendable {
    package let columns: [String]
    package let rows: [PGRow]
    /// How many rows a data-changing statement touched; for SELECT the number of rows.
    package let affectedRows: Int

    static let empty = PGResult(columns: [], rows: [], affectedRows: 0)

    private init(columns: [String], rows: [PGRow], affectedRows: Int) {
        self.columns = columns
        self.rows = rows
        self.affectedRows = affectedRows
    }

    init(copying result: OpaquePointer) {
        let width = PQnfields(result)
        let names = (0..<width).map { String(cString: PQfname(result, $0)) }
        let index = PGRow.Index(names)
        columns = names
        rows = (0..<PQntuples(result)).map { row in
            PGRow(
                values: (0..<width).map { column in
                    guard PQgetisnull(result, row, column) == 0 else { return nil }
                    let start = UnsafeRawPointer(PQgetvalue(result, row, column))
                    let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result, row, column)))
                    return String(decoding: bytes, as: UTF8.self)
                }, index: index)
        }
        affectedRows = PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0
    }
}

/// One row: columns by name or position, as text, nil for NULL.
package struct PGRow: Sendable {
    /// Column numbers by name, shared by all rows of a result.
    final class Index: Sendable {
        let numbers: [String: Int]
        init(_ names: [String]) { numbers = Dictionary(zip(names, 0...), uniquingKeysWith: { first, _ in first }) }
    }

    package let values: [String?]
    let index: Index

    package subscript(column: Int) -> String? { values[column] }

    /// A name that the statement does not select is a mistake in our own SQL.
    package subscript(name: String) -> String? {
        guard let column = index.numbers[name] else { preconditionFailure("no column \(name) in the statement") }
        return values[column]
    }

    package func int(_ name: String) -> Int64? { self[name].flatMap { Int64($0) } }
    package func double(_ name: String) -> Double? { self[name].flatMap { Double($0) } }
    package func bool(_ name: String) -> Bool? { self[name].map { $0 == "t" } }

    /// A `bytea` column; nil for NULL, and for text that is not hexadecimal (`bytea_output` other than the default).
    package func bytes(_ name: String) -> [UInt8]? {
        guard let text = self[name]?.utf8, text.starts(with: "\\x".utf8) else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.dropFirst(2) {
            guard let digit = Character(UnicodeScalar(character)).hexDigitValue else { return nil }
            if let first = high {
                bytes.append(first << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        return bytes
    }
}
