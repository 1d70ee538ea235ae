import Foundation
import SQLite
import Testing

@Suite struct SQLiteTests {
    @Test func valuesOfEveryKindComeBackAsTheyWentIn() throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try database.execute("CREATE TABLE t(a, b, c, d, e)")
        let values: [SQLiteValue] = [.int(-1 << 62), .double(0.25), .text("zwölf\u{0}!"), .blob([0, 255]), .null]
        try database.run("INSERT INTO t VALUES(?,?,?,?,?)", values)
        try database.run("INSERT INTO t(c,d) VALUES(?,?)", [.text(""), .blob([])])
        let rows = try database.query("SELECT a,b,c,d,e FROM t ORDER BY rowid") { row in (0..<5).map { row.value($0) } }
        #expect(rows == [values, [.null, .null, .text(""), .blob([]), .null]])
    }

    @Test func aThrowingTransactionLeavesNothing() throws {
        struct Stop: Error {}
        let database = try SQLiteDatabase(path: ":memory:")
        try database.execute("CREATE TABLE t(a PRIMARY KEY)")
        #expect(throws: Stop.self) {
            try database.transaction {
                try database.run("INSERT INTO t VALUES(1)")
                throw Stop()
            }
        }
        try database.transaction { _ = try database.run("INSERT INTO t VALUES(2)") }
        #expect(try database.query("SELECT a FROM t") { $0.int(0) } == [2])
        #expect { try database.run("INSERT INTO t VALUES(2)") } throws: { ($0 as? SQLiteError)?.isConstraint == true }
    }

    @Test func aSecondConnectionSeesCommittedRowsAndReadOnlyRefusesWrites() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "oms-\(UUID().uuidString).db").path
        defer { for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
        let writer = try SQLiteDatabase(path: path, durable: false)
        try writer.execute("CREATE TABLE t(a); INSERT INTO t VALUES('x')")
        let reader = try SQLiteDatabase(path: path, readOnly: true)
        #expect(try reader.query("SELECT a FROM t") { $0.text(0) } == ["x"])
        #expect(throws: SQLiteError.self) { try reader.run("DELETE FROM t") }
    }
}
