import ArgumentParser

/// A span of time as an operator writes it: `90s`, `5m`, `1h`, `500ms`. Always with its unit: a bare number would be
/// seconds to one and minutes to the other.
package struct TimeSpan: Sendable, Equatable, ExpressibleByArgument, CustomStringConvertible {
    package var milliseconds: Int64
    package let description: String

    /// A week; nobody waits longer, and what is longer is a typing error.
    private static let longest: Int64 = 7 * 86_400_000

    package init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let units: [Substring: Int64] = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000]
        guard let number = Int64(digits), let unit = units[argument.dropFirst(digits.count)], number > 0,
            number <= Self.longest / unit
        else { return nil }
        milliseconds = number * unit
        description = argument
    }

    package var duration: Duration { .milliseconds(milliseconds) }
}
