import Foundation
import OMSModel
import SQLite
import Testing

@testable import ReferenceProvider

private func rows(_ provider: TestProvider, _ sql: String, store: String = "log.db") throws -> [[SQLiteValue]] {
    let database = try SQLiteDatabase(path: provider.storePath + "/" + store, readOnly: true)
    return try database.query(sql) { row in (0..<row.columnCount).map { row.value($0) } }
}

@Suite struct HarvestTests {
    @Test func harvestingTheRealLogsAgainDuplicatesNothing() throws {
        let provider = try TestProvider()
        let first = try provider.run(harvest("men-random.csv.gz"))
        #expect(first.output("rows") == 10_000)
        #expect(first.output("inserted") == 10_000)
        #expect(first.output("bytes") == 133_751)
        // sha256sum men-random.csv.gz
        #expect(first.output("sha256") == "3a0737e5d6e6910c6a0fa3bcf775f69cd72f5b2a830d908ff94aec2971d9953b")
        let again = try provider.run(harvest("men-random.csv.gz"))
        #expect(again.output("inserted") == 0)
        #expect(again.output("unchanged") == 10_000)
        _ = try provider.run(harvest("men-bts.csv.gz", source: "bts"))
        #expect(
            try rows(provider, "SELECT source, count(*), sum(CAST(click AS INTEGER)) FROM log GROUP BY source") == [
                [.text("bts"), .int(10_000), .int(69)], [.text("random"), .int(10_000), .int(46)],
            ])
    }

    @Test func aChangedFileReplacesItsSourceOnly() throws {
        let data = try TestProvider.inputs(["a.csv": "k,v\n1,one\n2,two\n2,two\n", "b.csv": "k,v\n9,nine\n"])
        defer { try? FileManager.default.removeItem(atPath: data) }
        let provider = try TestProvider { $0.dataRoot = data }
        _ = try provider.run(harvest("b.csv", source: "b"))
        let first = try provider.run(harvest("a.csv", source: "a"))
        #expect(first.output("inserted") == 3)  // the repeated row is a row of its own
        try Data("k,v\n2,two\n3,three\n".utf8).write(to: URL(filePath: data + "/a.csv"))
        let second = try provider.run(harvest("a.csv", source: "a"))
        #expect(second.output("inserted") == 1)
        #expect(second.output("unchanged") == 1)
        #expect(second.output("removed") == 2)
        #expect(
            try rows(provider, "SELECT source, k, v FROM log ORDER BY source, k") == [
                [.text("a"), .text("2"), .text("two")], [.text("a"), .text("3"), .text("three")],
                [.text("b"), .text("9"), .text("nine")],
            ])
    }

    @Test func keyColumnsTellAChangeFromANewRow() throws {
        let data = try TestProvider.inputs(["a.csv": "k,v\n1,one\n2,two\n", "twice.csv": "k,v\n1,a\n1,b\n"])
        defer { try? FileManager.default.removeItem(atPath: data) }
        let provider = try TestProvider { $0.dataRoot = data }
        let key: JSONObject = ["key": ["k"]]
        _ = try provider.run(harvest("a.csv", more: key))
        try Data("k,v\n1,ONE\n2,two\n".utf8).write(to: URL(filePath: data + "/a.csv"))
        let second = try provider.run(harvest("a.csv", more: key))
        #expect(second.output("updated") == 1)
        #expect(second.output("unchanged") == 1)
        #expect(try rows(provider, "SELECT v FROM log ORDER BY k") == [[.text("ONE")], [.text("two")]])
        let twice = try provider.run(harvest("twice.csv", more: key))
        #expect(twice.state == .failed)
        #expect(twice.error?.detail?.contains("row 2") == true)
        #expect(try rows(provider, "SELECT count(*) FROM log") == [[.int(2)]])  // the failed harvest changed nothing
    }

    @Test func jsonArraysAndLinesAreImportedWithTheirTypesAsText() throws {
        let data = try TestProvider.inputs([
            "a.json": #"[{"id":1,"name":"x\n\"y\"","ok":true,"more":{"z":[1]}},{"id":2,"name":null}]"#,
            "b.jsonl": "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"extra\":1}\n",
        ])
        defer { try? FileManager.default.removeItem(atPath: data) }
        let provider = try TestProvider { $0.dataRoot = data }
        let job = try provider.run(harvest("a.json"))
        #expect(job.state == .succeeded)
        #expect(
            try rows(provider, "SELECT id, name, ok, more FROM log ORDER BY id") == [
                [.text("1"), .text("x\n\"y\""), .text("true"), .text(#"{"z":[1]}"#)],
                [.text("2"), .null, .null, .null],
            ])
        let stray = try provider.run(harvest("b.jsonl"))
        #expect(stray.state == .failed)
        #expect(stray.error?.detail?.contains("'extra'") == true)
        let chosen = try provider.run(harvest("b.jsonl", table: "chosen", more: ["columns": ["id"]]))
        #expect(chosen.output("rows") == 2)
    }

    @Test func aRowOfAnotherWidthFailsTheJobWithItsNumberAndStoresNothing() throws {
        let data = try TestProvider.inputs(["a.csv": "a,b\n1,2\n3\n"])
        defer { try? FileManager.default.removeItem(atPath: data) }
        let provider = try TestProvider { $0.dataRoot = data }
        let job = try provider.run(harvest("a.csv"))
        #expect(job.state == .failed)
        #expect(job.error?.slug == "job-failed")
        #expect(job.error?.detail == "file:///a.csv: row 3 has 1 fields, the header has 2")
        #expect(try rows(provider, "SELECT count(*) FROM sqlite_master") == [[.int(0)]])
    }

    @Test func missingInputsAndDamagedGzipAreInputUnavailable() throws {
        let data = try TestProvider.inputs(["cut.csv.gz": ""])
        defer { try? FileManager.default.removeItem(atPath: data) }
        let whole = try Data(contentsOf: URL(filePath: TestProvider.exampleData + "/men-random.csv.gz"))
        try whole.prefix(50_000).write(to: URL(filePath: data + "/cut.csv.gz"))
        let provider = try TestProvider { $0.dataRoot = data }
        let missing = try provider.run(harvest("nothing.csv"))
        #expect(missing.error?.slug == "input-unavailable")
        #expect(missing.error?.detail?.contains("file:///nothing.csv") == true)
        let cut = try provider.run(harvest("cut.csv.gz"))
        #expect(cut.error?.slug == "input-unavailable")
        #expect(cut.error?.detail?.contains("cut off") == true)
    }

    @Test func noURILeadsOutOfItsRoot() throws {
        let data = try TestProvider.inputs(["a.csv": "a\n1\n"])
        defer { try? FileManager.default.removeItem(atPath: data) }
        let secret = try TestProvider.inputs(["secret.csv": "a\n1\n"])
        defer { try? FileManager.default.removeItem(atPath: secret) }
        try FileManager.default.createSymbolicLink(
            atPath: data + "/link.csv", withDestinationPath: secret + "/secret.csv")
        let provider = try TestProvider { $0.dataRoot = data }
        try FileManager.default.createSymbolicLink(
            atPath: provider.storePath + "/link.db", withDestinationPath: secret + "/new.db")
        let secretName = URL(filePath: secret).lastPathComponent
        for path in ["../\(secretName)/secret.csv", "%2e%2e/\(secretName)/secret.csv", "link.csv"] {
            let job = try provider.run(harvest(path))
            #expect(job.error?.slug == "input-unavailable", "\(path)")
            #expect(job.error?.detail?.contains("leads out") == true, "\(path)")
        }
        for store in ["../out.db", "link.db", "nowhere/x.db"] {
            let job = try provider.run(harvest("a.csv", store: store))
            #expect(job.error?.slug == "output-unwritable", "\(store)")
        }
        #expect(!FileManager.default.fileExists(atPath: secret + "/new.db"))
    }

    @Test func severalHarvestsIntoOneStoreAtOnceAllSucceed() throws {
        let provider = try TestProvider()
        let requests = (1...8).map { harvest("men-\($0 % 2 == 0 ? "bts" : "random").csv.gz", source: "s\($0)") }
        let client = try provider.client()
        for request in requests { #expect(try client.post("/jobs/", request).status == 201) }
        for request in requests { #expect(try provider.end(of: request.id).state == .succeeded) }
        #expect(try rows(provider, "SELECT count(*), count(DISTINCT source) FROM log") == [[.int(80_000), .int(8)]])
    }
}
