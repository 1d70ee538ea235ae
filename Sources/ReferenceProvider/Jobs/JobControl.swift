import OMSModel
import OMSRuntime

/// Why a job is to end before its work is done.
enum Interruption: Error, Hashable, Sendable {
    /// Somebody asked for it; the text says who or why.
    case stop(String)
    case timeout(seconds: Int)
    /// The provider ends; the job stays `running` in the store and is run again by the next start.
    case shutdown
}

/// The way to interrupt a running job: the engine sets it, the job's loops look at it.
final class JobControl: Sendable {
    private struct State {
        var interruption: Interruption?
        /// Something that the job waits for has happened.
        var isSignalled = false
    }

    private let state = Monitor(State())
    private let timeoutSeconds: Int
    private let deadline: Int64

    init(timeoutSeconds: Int) {
        self.timeoutSeconds = timeoutSeconds
        deadline = MonotonicClock.milliseconds + Int64(timeoutSeconds) * 1000
    }

    /// The first interruption wins.
    func interrupt(_ reason: Interruption) {
        state.change { if $0.interruption == nil { $0.interruption = reason } }
    }

    /// What has interrupted the job, or its timeout, if it has passed.
    var pending: Interruption? {
        if let reason = state.read({ $0.interruption }) { return reason }
        return MonotonicClock.milliseconds >= deadline ? .timeout(seconds: timeoutSeconds) : nil
    }

    /// Call this at least every few hundred milliseconds of work.
    func check() throws(Interruption) {
        if let reason = pending { throw reason }
    }

    /// Waits; an interruption or the timeout ends the wait at once.
    func pause(milliseconds: Int) throws(Interruption) {
        if milliseconds > 0 {
            let end = min(deadline, MonotonicClock.milliseconds + Int64(milliseconds))
            _ = state.wait(until: end) { $0.interruption }
        }
        try check()
    }

    /// Ends the job's `waitForSignal`. Legal from any thread.
    func signal() { state.change { $0.isSignalled = true } }

    /// Waits for `signal()`; an interruption or the timeout ends the wait by throwing.
    func waitForSignal() throws(Interruption) {
        let signalled: Bool? = state.wait(until: deadline) { state in
            if state.interruption != nil { return false }
            if !state.isSignalled { return nil }
            state.isSignalled = false
            return true
        }
        if signalled == true { return }
        try check()
    }
}

/// What a running job sees of the provider. Used by the job's own thread only.
final class JobContext {
    let request: JobRequest
    let config: ServiceConfig
    let roots: DataRoots
    let downloads: Downloads
    let control: JobControl
    private let record: (_ progress: Double, _ message: String?) throws -> Void
    private var nextReport: Int64 = 0

    /// At most four reports a second and job: each is a commit, and each makes the job new for every poller.
    private static let reportIntervalMilliseconds: Int64 = 250

    init(
        request: JobRequest, config: ServiceConfig, roots: DataRoots, downloads: Downloads, control: JobControl,
        record: @escaping (_ progress: Double, _ message: String?) throws -> Void
    ) {
        self.request = request
        self.config = config
        self.roots = roots
        self.downloads = downloads
        self.control = control
        self.record = record
    }

    /// - Parameter fraction: Of the whole work, 0 to 1.
    func report(_ fraction: Double, _ message: @autoclosure () -> String) throws {
        let now = MonotonicClock.milliseconds
        if now < nextReport { return }
        nextReport = now + Self.reportIntervalMilliseconds
        let percent = (min(1, max(0, fraction)) * 1000).rounded() / 10
        try record(min(percent, 99.9), message())
    }
}
