import OMSModel
import Testing

@testable import ReferenceProvider

/// Parses in chunks of `chunk` bytes, so that every boundary between chunks is met.
private func parse(_ text: String, chunk: Int = 1) throws -> [[String]] {
    var parser = CSVParser()
    var rows: [[String]] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: chunk) {
        try parser.feed(Array(bytes[start..<min(start + chunk, bytes.count)])) { rows.append($0) }
    }
    try parser.finish { rows.append($0) }
    return rows
}

private func records(_ text: String, chunk: Int = 1) throws -> [JSONObject] {
    var parser = JSONRecordParser()
    var found: [JSONObject] = []
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: chunk) {
        try parser.feed(Array(bytes[start..<min(start + chunk, bytes.count)])) { found.append($0) }
    }
    try parser.finish()
    return found
}

@Suite struct CSVParserTests {
    @Test(arguments: [
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2", [["a", "b"], ["1", "2"]]),
        ("a,b\r\n1,2\r", [["a", "b"], ["1", "2"]]),
        ("\"a,\"\"x\"\"\",\"two\r\nlines\"\n", [["a,\"x\"", "two\r\nlines"]]),
        ("a,,\n,,\n", [["a", "", ""], ["", "", ""]]),
        ("\"\",\"\"", [["", ""]]),
        ("\u{FEFF}a\nä€😀\n", [["a"], ["ä€😀"]]),
        ("a\n\nb\n", [["a"], [""], ["b"]]),
        ("a, b \n", [["a", " b "]]),
        ("", []),
    ])
    func rowsAreReadWhereverTheChunksEnd(text: String, rows: [[String]]) throws {
        for chunk in [1, 2, 3, 1000] { #expect(try parse(text, chunk: chunk) == rows) }
    }

    @Test(arguments: [
        ("a\n\"b", 2, "quotes"), ("a\n\"b\"c\n", 2, "closing quote"), ("a\nb\"c\n", 2, "unquoted"),
        ("a\rb\n", 1, "carriage return"),
    ])
    func malformedTextIsRefusedWithItsRow(text: String, row: Int, reason: String) {
        let failure = #expect(throws: CSVParser.Failure.self) { try parse(text) }
        #expect(failure?.row == row)
        #expect(failure?.reason.contains(reason) == true)
    }

    @Test func aRowWithoutEndIsRefusedInsteadOfKept() {
        let text = "\"" + String(repeating: "x", count: CSVParser.maximumRowBytes + 10)
        let failure = #expect(throws: CSVParser.Failure.self) { try parse(text, chunk: 65_536) }
        #expect(failure?.reason.contains("longer") == true)
    }
}

@Suite struct JSONRecordParserTests {
    @Test(arguments: [
        #"[{"a":1},{"a":"}]\"{"}]"#, "{\"a\":1}\n{\"a\":\"}]\\\"{\"}\n", #"  [ {"a":1} , {"a":"}]\"{"} ]  "#,
    ])
    func arraysAndLinesGiveTheSameRecords(text: String) throws {
        for chunk in [1, 4, 1000] { #expect(try records(text, chunk: chunk) == [["a": 1], ["a": "}]\"{"]]) }
    }

    @Test func nestedValuesBelongToTheirRecord() throws {
        #expect(try records(#"{"a":{"b":[1,{"c":2}]}}"#) == [["a": ["b": [1, ["c": 2]]]]])
        #expect(try records("[]") == [])
    }

    @Test(arguments: [
        (#"[{"a":1}"#, "closing ']'"), (#"{"a":1"#, "closing '}'"), ("[1]", "object"), (#"[{"a":1}{"a":2}]"#, "object"),
        (#"[{"a":1},]"#, "object"), (#"[{"a":1}] {"a":2}"#, "follows"), (#"{"a":}"#, "valid"),
    ])
    func malformedTextIsRefused(text: String, reason: String) {
        let failure = #expect(throws: CSVParser.Failure.self) { try records(text) }
        #expect(failure?.reason.contains(reason) == true)
    }
}

@Suite struct SHA256Tests {
    // Python: hashlib.sha256(...).hexdigest()
    @Test func digestsAgreeWithHashlib() {
        #expect(SHA256.hex(of: []) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256.hex(of: Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        var hash = SHA256()
        for _ in 0..<100 { hash.update([UInt8](repeating: UInt8(ascii: "a"), count: 10)) }
        #expect(hash.finish() == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")
    }

    @Test func theHashOfABodyIgnoresItsSpelling() throws {
        func hash(_ text: String) throws -> String { try JSONText.canonicalHash(JSONText.parse(Array(text.utf8))) }
        #expect(try hash(#"{"a":66,"b":[1,2]}"#) == hash(#" { "b" : [1.0, 2], "a" : 66.0 } "#))
        #expect(try hash(#"{"a":66}"#) != hash(#"{"a":"66"}"#))
        #expect(try hash(#"{"a":[1,2]}"#) != hash(#"{"a":[2,1]}"#))
    }
}
