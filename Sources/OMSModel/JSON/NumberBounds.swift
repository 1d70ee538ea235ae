/// The range of every integer and figure that crosses a border, by the name of its member: the one table. What is read is
/// within it, so that no arithmetic on it can overflow: seconds become milliseconds, epochs and revisions get a successor.
///
/// On the bus and in rows, a number out of its range makes the message unreadable, with the member and the range named;
/// of a provider it becomes the nearest one of the range.
package enum NumberBounds {
    /// Figures without a range of their own: what every reader of JSON keeps exactly.
    package static let all: ClosedRange<Int64> = -(1 << 53)...1 << 53
    package static let figure: ClosedRange<Int64> = 0...1 << 53
    /// A century: longer than anything runs or waits.
    package static let seconds: ClosedRange<Int64> = 0...3_153_600_000
    /// A year: how long a provider may promise to keep something. 0 promises nothing.
    package static let retention: ClosedRange<Int64> = 0...31_536_000
    /// A Work Manager replaced every second for 68 years.
    package static let epoch: ClosedRange<Int64> = 0...(1 << 31) - 1

    package static let table: [String: ClosedRange<Int64>] = [
        // epochs; `list` and `begun` are those of a seal
        "epoch": epoch, "list": epoch, "begun": epoch,
        "retention_s": retention, "result_retention_s": retention,
        "every_s": 1...seconds.upperBound,  // a period, by which is divided
        // what grows by one
        "generation": figure, "version": figure, "revision": figure, "sp_revision": figure, "attempt": figure,
        "beat": figure, "seq": figure, "ack_seq": figure, "first_seq": figure, "last_seq": figure, "boot": figure,
        // counts
        "count": figure, "remaining": figure, "listed": figure, "more": figure, "k": figure, "top": figure,
        "queue_limit": figure, "max_attempts": figure, "max_provider_faults": figure, "max_running": figure,
        "max_queued": figure, "max_submits_per_s": figure, "queued": figure, "running": figure,
        "executed_today": figure, "succeeded_today": figure, "failed_today": figure, "stopped_today": figure,
        "latency_ms": figure,
    ]

    /// Per cent.
    package static let progress: ClosedRange<Double> = 0...100

    package static func integers(of member: String) -> ClosedRange<Int64> {
        if let range = table[member] { return range }
        return member.hasSuffix("_s") ? seconds : all
    }

    /// Of a number of seconds; one that comes from elsewhere than a reader is put into the range first.
    package static func milliseconds(_ seconds: Int) -> Int64 {
        min(max(Int64(seconds), Self.seconds.lowerBound), Self.seconds.upperBound) * 1000
    }

    package static func numbers(of member: String) -> ClosedRange<Double>? { member == "progress" ? progress : nil }
}
