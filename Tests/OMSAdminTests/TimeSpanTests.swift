import OMSAdmin
import Testing

@Suite("Spans of time on the command line") struct TimeSpanTests {
    @Test func unitsAreUnderstoodAndNothingElseIs() {
        for (text, milliseconds) in [("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("168h", 604_800_000)] {
            #expect(TimeSpan(argument: text)?.milliseconds == Int64(milliseconds), "\(text)")
        }
        for text in [
            "", "5", "s", "0s", "-1s", "1.5s", "5 s", "5S", "169h", "9223372036854775807h", "99999999999999999999s",
        ] {
            #expect(TimeSpan(argument: text) == nil, "\(text)")
        }
    }
}
