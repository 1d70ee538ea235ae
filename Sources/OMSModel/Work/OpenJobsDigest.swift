/// Says in 16 digits which jobs are open, so that a Work Manager and the registry can tell in every heartbeat whether
/// they mean the same, whatever their number. Order-free: the sum of the ids' hashes (FNV-1a), modulo 2^64.
package struct OpenJobsDigest: Sendable {
    private var sum: UInt64 = 0
    private var count: UInt64 = 0

    package init(_ jobs: some Sequence<JobID>) {
        for job in jobs {
            sum &+= UInt64(truncatingIfNeeded: fnv1a128(job.description.utf8))
            count += 1
        }
    }

    /// `2-00f3a1...`: the number of jobs and the sum.
    package var text: String {
        let digits = String(sum, radix: 16)
        return "\(count)-" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
