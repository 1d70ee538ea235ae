import Foundation
import Testing

/// Numbers that come from outside have a range since they were read (`NumberBounds`), but a product of one may leave it.
/// This reads the sources of the cores: a number that is widened and multiplied needs a look before it is allowed here.
struct CheckedArithmeticTests {
    /// Looked at: each is bounded where it is read, or is no number from outside.
    private static let allowed = [
        "Int64(days) * 86_400_000",  // 0 to 36,500 by its option
        "Int64(count - 2) * period", "Int64(kept - 1 - index) * period",  // within the time that has passed
        "UInt64(jitter) * 1000", "Int64(hours) * 3_600", "Int64(minutes) * 60",  // three digits at most
        "Int64(min(max(graceSeconds ?? 0, 0), 3_600)) * 1000", "Int64(min(max(seconds, 0), maxSeconds)) * 1000",
    ]

    static let core = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources/OMSCore")

    static func sources() throws -> [(file: String, line: Int, text: String)] {
        let names = FileManager.default.enumerator(atPath: core.path)?.compactMap { $0 as? String } ?? []
        return try names.filter { $0.hasSuffix(".swift") }.flatMap { name in
            try String(contentsOf: core.appending(path: name), encoding: .utf8)
                .split(separator: "\n", omittingEmptySubsequences: false).enumerated()
                .map { (name, $0.offset + 1, String($0.element)) }
        }
    }

    static func offences(_ text: String) -> Bool {
        var rest = text
        for known in allowed { rest = rest.replacing(known, with: "") }
        // A product of a widened number, and an integer made of a real number, which traps beyond 2^63.
        return rest.contains(#/U?Int(64)?\(.*\) \*/#)
            || rest.contains(#/[^a-zA-Z]Int(64)?\([^)]*(rounded|Double|progress)/#)
    }

    @Test func `products of numbers from outside are looked at`() throws {
        let lines = try Self.sources()
        #expect(lines.count > 5_000)
        for line in lines where Self.offences(line.text) {
            Issue.record(
                "\(line.file):\(line.line): \(line.text.trimmingCharacters(in: .whitespaces)): use NumberBounds.milliseconds, or allow it here"
            )
        }
    }

    @Test func `the rule finds what once ended the gateway`() {
        #expect(Self.offences("min(quiet, Int64(max(2, report.retention)) * 500)"))
        #expect(Self.offences("let bar = Int(progress / 5)"))
        #expect(!Self.offences("NumberBounds.milliseconds(seconds) * 2"))
    }
}
