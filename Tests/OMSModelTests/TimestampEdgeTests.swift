import OMSModel
import Testing

@Suite("Times at the ends of RFC 3339")
struct TimestampEdgeTests {
    @Test(
        "a time outside of the four-digit years is no time",
        arguments: [
            "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        ])
    func outside(text: String) { #expect(Timestamp(text) == nil) }

    @Test("steps beyond the ends are written as the ends")
    func steps() throws {
        let first = try #require(Timestamp("0000-01-01T00:00:00Z"))
        #expect(first.advanced(bySeconds: -2).description == "0000-01-01T00:00:00.000Z")
        let last = try #require(Timestamp("9999-12-31T23:59:59.999Z"))
        #expect(last.advanced(bySeconds: 2).description == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: .max).description == "9999-12-31T23:59:59.999Z")
    }
}
