import OMSModel
import Testing

struct JSONReaderTests {
    static let limits = JSONLimits(bytes: 1 << 20, depth: 32, nodes: 100_000)

    private func strict(_ text: String) throws -> JSONValue { try JSONReader.read(Array(text.utf8), Self.limits) }
    private func lenient(_ text: String) throws -> JSONValue {
        try JSONReader.readLeniently(Array(text.utf8), Self.limits).value
    }

    private func fault(_ text: String) -> String {
        do {
            return "read: \(try strict(text))"
        } catch {
            return "\(error)"
        }
    }

    @Test func `values of all kinds are read`() throws {
        #expect(
            try strict(#" { "a" : [ 1 , -2.5e1, true,false, null ,"x" ], "b":{} } "#)
                == ["a": [1, -25, true, false, nil, "x"], "b": [:]])
        #expect(try strict(#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#) == "\"\\/\u{8}\u{c}\n\r\té😀")
    }

    @Test(arguments: [
        (#""cut \ud83d""#, "cut \u{FFFD}"), (#""\ude00\ud83d!""#, "\u{FFFD}\u{FFFD}!"),
        (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\u0000""#, "\0"),
    ])
    func `half a pair becomes U+FFFD`(text: String, value: String) throws {
        #expect(try strict(text) == .string(value))
    }

    @Test func `wrong UTF-8 becomes U+FFFD`() throws {
        #expect(try JSONReader.read([0x22, 0xFF, 0x41, 0xC3, 0x22], Self.limits) == "\u{FFFD}A\u{FFFD}")
    }

    @Test func `of doubled members the last wins`() throws {
        #expect(try strict(#"{"a":1,"b":2,"a":3}"#) == ["a": 3, "b": 2])
    }

    @Test func `names and texts are compared by their bytes`() throws {
        let both = try strict(#"{"\u00e9":1,"e\u0301":2}"#)
        #expect(both.objectValue?.count == 2)
        #expect(both["\u{E9}"] == 1)
        #expect(both["e\u{301}"] == 2)
        #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
        #expect(Set<JSONValue>([.string("\u{E9}"), .string("e\u{301}")]).count == 2)
        #expect(try JSONReader.read(both.bytes, .own) == both)
    }

    // MARK: - Numbers

    @Test(arguments: ["12345678901234567890", "12345678901234567891", "-9223372036854775809", "1e400", "-1.5e999"])
    func `a number that nothing else holds keeps its digits`(text: String) throws {
        let value = try strict(text)
        #expect(value == .number(try #require({ if case .number(let number) = value { number } else { nil } }())))
        #expect(value.text() == text)
    }

    @Test func `two large ids are two`() throws {
        let ids = Set(try strict("[12345678901234567890,12345678901234567891]").arrayValue ?? [])
        #expect(ids.count == 2)
    }

    @Test(arguments: [
        ("66.0", "66", JSONValue.int(66)), ("1e3", "1000", .int(1000)), ("-0", "0", .int(0)),
        ("9223372036854775807", "9223372036854775807", .int(.max)),
        ("-9223372036854775808", "-9223372036854775808", .int(.min)),
        ("10000000000000000000", "1e19", .double(1e19)),
        ("0.1", "1e-1", .double(0.1)), ("123456789.123456789", "123456789.123456789", .double(123456789.123456789)),
        ("1234567890123456789.0", "1.234567890123456789e18", .int(1_234_567_890_123_456_789)),
        ("1.2345678901234568e+18", "1234567890123456800", .double(1.2345678901234568e18)),
        ("1e-400", "0", .int(0)), ("1e400", "10e399", .null),
    ])
    func `numbers are equal by value`(a: String, b: String, value: JSONValue) throws {
        let (a, b) = (try strict(a), try strict(b))
        #expect(a == b)
        #expect(a.hashValue == b.hashValue)
        if value != .null { #expect(a == value && a.hashValue == value.hashValue) }
    }

    @Test func `a number as PostgreSQL writes it is the number that it got`() throws {
        let million = "1" + String(repeating: "0", count: 308)
        #expect(try strict(million).text() == "1e+308")
    }

    @Test(arguments: ["1e100000", "1e-100000", "1" + String(repeating: "0", count: 5_000)])
    func `an absurd number does not make the rest unreadable`(text: String) throws {
        let value = try lenient("[\(text),1]")
        #expect(value[1] == 1)
        #expect(value.encodedBytes <= JSONNumber.maxDigits + 10)
    }

    @Test func `what Python writes for infinite numbers is a text`() throws {
        #expect(try lenient("[NaN,Infinity,-Infinity,-1]") == ["NaN", "Infinity", "-Infinity", -1])
        #expect(fault("[NaN]") == "a value is expected, not 'N' (at byte 1)")
    }

    // MARK: - Faults and limits

    @Test(arguments: [
        ("", "it is empty, JSON is expected (at byte 0)"),
        ("[1,]", "a comma with nothing behind it (at byte 3)"),
        (#"{"a":1,}"#, "a comma with nothing behind it (at byte 7)"),
        ("[1", "it ends before the JSON does (at byte 2)"),
        ("{\"a", "the text that begins here does not end (at byte 1)"),
        ("1 2", "more follows behind the end of the JSON (at byte 2)"),
        ("<html>", "a value is expected, not '<' (at byte 0)"),
        ("[01]", "a number does not begin with a zero that another digit follows (at byte 1)"),
        ("[-]", "a digit is expected (at byte 2)"), ("[1.]", "a digit is expected (at byte 3)"),
        ("[1e+]", "a digit is expected (at byte 4)"),
        (#""\u12g4""#, "\\u is followed by four hexadecimal digits (at byte 1)"),
        (#""\x""#, "no such escape in a text (at byte 1)"),
        ("\"a\nb\"", "a control character inside a text; it is written as \\u000a (at byte 2)"),
        ("\u{FEFF}1", "a byte order mark; JSON is written without one (at byte 0)"),
        ("[\0]", "this is UTF-16 or UTF-32; JSON is written in UTF-8 (at byte 0)"),
        ("{1:2}", "the name of a member in double quotes is expected, not '1' (at byte 1)"),
        (#"{"a" 2}"#, "a colon is expected, not '2' (at byte 5)"),
        ("[1 2]", "a comma or ']' is expected, not '2' (at byte 3)"),
        ("tru", "a value is expected, not 't' (at byte 0)"), ("\u{1}", "a value is expected, not byte 0x1 (at byte 0)"),
    ])
    func `a fault says what and where`(text: String, sentence: String) {
        #expect(fault(text) == sentence)
    }

    @Test func `foreign programs may write a byte order mark and control characters`() throws {
        #expect(try lenient("\u{FEFF}\"a\nb\"") == "a\nb")
    }

    @Test func `a list that ends inside an escape ends`() {
        #expect(fault("\"\\") == "the text that begins here does not end (at byte 0)")
        #expect(throws: JSONFault.self) { try lenient(String(repeating: "[", count: 40) + "\"\\") }
    }

    @Test func `what is too deep is refused, or left out alone`() throws {
        let deep = String(repeating: "[", count: 40) + "\"]\\\"]\"" + String(repeating: "]", count: 40)
        #expect(fault(deep) == "nested deeper than 32 levels (at byte 32)")
        var value = try lenient("{\"a\":\(deep),\"b\":1}")
        #expect(value["b"] == 1)
        value = value["a"] ?? nil
        for _ in 0..<31 { value = value[0] ?? nil }
        #expect(value == "(left out: nested deeper than 32 levels)")
    }

    @Test func `too many values or bytes are refused`() {
        #expect(throws: JSONFault(offset: 3, what: "more than 2 values")) {
            try JSONReader.read(Array("[1,2]".utf8), JSONLimits(bytes: 5, depth: 2, nodes: 2))
        }
        #expect(throws: JSONFault(offset: 4, what: "5 bytes, at most 4")) {
            try JSONReader.read(Array("[1,2]".utf8), JSONLimits(bytes: 4, depth: 2, nodes: 9))
        }
    }
}
