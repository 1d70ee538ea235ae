/// Arithmetic on what came from outside: the nearest number that the type has, instead of the end of the process.
extension FixedWidthInteger {
    package func plus(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    package func minus(_ other: Self) -> Self {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    package func times(_ other: Self) -> Self {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }
}

/// Spans of time in milliseconds of the monotonic clock.
package enum Span {
    /// Longer than anything that is waited for.
    package static let maxSeconds = 31_536_000

    /// 0 to a year, whatever was said.
    package static func seconds(_ seconds: Int) -> Int64 { Int64(min(max(seconds, 0), maxSeconds)) * 1000 }
}
