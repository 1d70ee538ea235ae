/// The states of a job as OMS sees it. A provider only knows `queued` to `stopped`
/// (docs/reference/sp-interface section 4); `mayBecome` has every arrow.
package enum JobState: String, Codable, Sendable, CaseIterable {
    /// The Work Manager made it; nothing was sent.
    case pending
    /// The gateway has it; the provider has not answered yet.
    case submitting
    case queued
    case running
    case stopping
    /// The outcome, or the provider, cannot be observed now. A resolver is always at work.
    case unknown
    case succeeded
    case failed
    case stopped
    /// The provider refused it; nothing ran.
    case rejected
    /// The deadline passed and the provider provably never had it.
    case expired
    /// The provider denies a job that it once had.
    case lost

    package var isTerminal: Bool {
        switch self {
        case .pending, .submitting, .queued, .running, .stopping, .unknown: false
        case .succeeded, .failed, .stopped, .rejected, .expired, .lost: true
        }
    }

    /// A state that a provider may report.
    package var isProviderState: Bool {
        switch self {
        case .queued, .running, .stopping, .succeeded, .failed, .stopped: true
        case .pending, .submitting, .unknown, .rejected, .expired, .lost: false
        }
    }

    /// Order of progress; a provider's report must never fall in it. `unknown` has no rank of its own.
    package var rank: Int {
        switch self {
        case .pending: 0
        case .submitting, .unknown: 1
        case .queued: 2
        case .running: 3
        case .stopping: 4
        case .succeeded, .failed, .stopped, .rejected, .expired, .lost: 5
        }
    }

    /// Whether `next` may follow. Terminal states never change; `unknown` may become anything.
    package func mayBecome(_ next: JobState) -> Bool {
        if isTerminal { return false }
        if self == .unknown || next == .unknown { return next != .pending }
        return next.rank >= rank
    }
}
