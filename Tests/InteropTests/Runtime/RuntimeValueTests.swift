import Glibc
import Logging
import Testing

@testable import OMSRuntime

private struct Highest: RandomNumberGenerator {
    mutating func next() -> UInt64 { .max }
}

@Suite struct RuntimeValueTests {
    @Test func theBackoffDoublesUpToItsCapAndKeepsItsFloor() {
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 5_000, floorMilliseconds: 50)
        var highest = Highest()
        #expect(
            (0..<8).map { _ in backoff.nextMilliseconds(using: &highest) } == [
                100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000,
            ])
        var random = SystemRandomNumberGenerator()
        for _ in 0..<1_000 { #expect((50...5_000).contains(backoff.nextMilliseconds(using: &random))) }
        backoff.reset()
        #expect(backoff.nextMilliseconds(using: &highest) == 100)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"), (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
        (4_107_542_399_000, "2100-02-28T23:59:59.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ])
    func timeStampsFollowTheGregorianCalendar(milliseconds: Int, text: String) {
        #expect(RFC3339.string(milliseconds: Int64(milliseconds)) == text)
    }

    @Test func aLogLineCannotBeForgedByItsValues() {
        let lines = Locked([String]())
        let handler = LogfmtHandler(service: "test", level: .info) { bytes in
            lines.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) }
        }
        var logger = Logger(label: "x") { _ in handler }
        logger[metadataKey: LoggingKeys.tenant] = "a b"
        logger.notice("it \"works\"", metadata: ["error": "x\nlevel=error", "job key": "1", "empty": ""])
        logger.debug("not shown")
        let all = lines.withLock { $0 }
        #expect(all.count == 1)
        #expect(
            all.first?.dropFirst(24) == #"""
                 level=notice service=test msg="it \"works\"" empty="" error="x\nlevel=error" job_key=1 tenant="a b"

                """#)
    }

    @Test("what a terminal obeys is escaped in a log, letters of all languages are not, and no letter is cut in half")
    func terminals() {
        let lines = Locked([String]())
        let handler = LogfmtHandler(service: "test", level: .info) { bytes in
            lines.withLock { $0.append(String(validating: bytes, as: UTF8.self) ?? "not UTF-8") }
        }
        let logger = Logger(label: "x") { _ in handler }
        logger.notice(
            "\u{1B}[2J\r\n\u{9B}1m\u{202E}\u{2028}\u{85}é日",
            metadata: ["long": "x\(String(repeating: "é", count: 3_000))"])
        let all = lines.withLock { $0 }
        #expect(all.first?.contains(#"msg="\x1b[2J\r\n\u{9b}1m\u{202e}\u{2028}\u{85}é日""#) == true, "\(all)")
        #expect(all.first?.contains("éé...\"\n") == true)
    }

    @Test("nothing that moves a cursor or turns the writing reaches a log, and a line fits into a pipe at once")
    func unseen() {
        let lines = Locked([[UInt8]]())
        let handler = LogfmtHandler(service: "test", level: .info) { bytes in lines.withLock { $0.append(bytes) } }
        let logger = Logger(label: "x") { _ in handler }
        logger.notice("a\r\nb", metadata: ["error": "\u{1b}[2J\u{9b}31m \u{202e}txt\u{2028}\u{7}\u{7f}\u{85} é 日"])
        logger.notice(
            "long",
            metadata: [
                "a": "\(String(repeating: "é", count: 5_000))", "b": "\(String(repeating: "\u{1}", count: 5_000))",
            ])
        let all = lines.withLock { $0 }.map { String(decoding: $0, as: UTF8.self) }
        #expect(
            all[0].dropFirst(24)
                == #" level=notice service=test msg="a\r\nb" error="\x1b[2J\u{9b}31m \u{202e}txt\u{2028}\x07\x7f\u{85} é 日""#
                + "\n")
        #expect(all[1].utf8.count <= LogfmtLine.maximumBytes && !all[1].contains("\u{fffd}"))
        #expect(all[1].contains("é...\"") && all[1].hasSuffix("...\"\n"))
    }

    @Test("a log that nobody reads loses lines, says how many, and holds nobody up")
    func stalledReader() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let sink = LogSink(ends[1])
        let line = Array(String(repeating: "x", count: 999).utf8) + [10]
        let start = MonotonicClock.milliseconds
        for _ in 0..<2_000 { sink.write(line) }
        #expect(MonotonicClock.milliseconds - start < 2_000)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let held = read(ends[0], &buffer, buffer.count)
        let lost = 2_000 - held / 1_000
        #expect(held % 1_000 == 0 && lost > 1_000)
        sink.write(line)
        let text = String(decoding: buffer[..<read(ends[0], &buffer, buffer.count)], as: UTF8.self)
        #expect(text.contains("count=\(lost)") && text.hasSuffix("x\n"), "\(text.prefix(200))")
    }

    @Test("one line a minute of each kind, and the next one says how many there were")
    func throttle() {
        var throttle = LogThrottle()
        let firsts = [throttle.admit("a", at: 0), throttle.admit("b", at: 1)]
        #expect(firsts == [1, 1])
        let rest = (1...500).compactMap { throttle.admit("a", at: Int64($0)) }
        #expect(rest.isEmpty)
        let (before, after) = (throttle.admit("a", at: 59_999), throttle.admit("a", at: 60_000))
        #expect(before == nil && after == 502)
        #expect(throttle.total == 504)
        var events = LogThrottle(burst: 3)
        #expect((0..<100).compactMap { events.admit("late", at: Int64($0)) } == [1, 1, 1])
        #expect(events.admit("late", at: 60_000) == 98 && events.admit("late", at: 60_001) == 1)
        // Kinds without end share one.
        let said = (0..<10_000).count { throttle.admit("k\($0)", at: 70_000) != nil }
        #expect(said <= LogThrottle.maxKinds)
        // Those of an hour ago take nobody's place.
        #expect(throttle.admit("new", at: 4_000_000) == 1 && throttle.admit("newer", at: 4_000_001) == 1)
    }
}

@Suite("Incarnations")
struct IncarnationTests {
    @Test("each is greater than all before it, whatever the wall clock says, and survives the process")
    func grows() throws {
        let folder = "/tmp/oms-incarnation-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let lock = try FolderLock(folder: folder, option: "--state-dir")
        defer { for file in ["/incarnation", "/lock", ""] { remove(folder + file) } }
        #expect(try Incarnation.next(in: folder, now: 1_000_000) == 1_000_000)
        #expect(try Incarnation.next(in: folder, now: 400_000) == 1_000_001, "the clock was set back")
        #expect(try Incarnation.next(in: folder, now: 1_000_001) == 1_000_002)
        #expect(try Incarnation.next(in: folder, now: 2_000_000) == 2_000_000)
        #expect(throws: FolderLock.Failure.self) { try FolderLock(folder: folder, option: "--state-dir") }
        withExtendedLifetime(lock) {}
    }

    @Test("a folder that cannot be written is named")
    func refused() {
        #expect(throws: Incarnation.Failure.self) { try Incarnation.next(in: "/nonexistent", now: 1) }
    }
}
