import CLibCurl
import OMSRuntime

/// Names one request of one pool.
package struct HTTPRequestID: Sendable, Hashable {
    let number: UInt64
}

/// HTTP requests over pooled connections, all transferred by one thread that sleeps in `curl_multi_poll`.
///
/// No request is ever sent twice behind the caller's back, no redirect is followed, no proxy of the environment is
/// used, and only addresses that the policy allows are contacted.
package final class HTTPPool: Sendable {
    private struct Admission {
        var isClosed = false
        var pending = 0
        var lastNumber: UInt64 = 0
    }

    private let engine: CurlEngine
    private let thread: PinnedThread
    private let admission = Locked(Admission())
    private let maxPending: Int

    package init(_ configuration: HTTPPoolConfiguration = HTTPPoolConfiguration()) {
        engine = CurlEngine(configuration)
        thread = PinnedThread(name: "http", sleeper: engine)
        maxPending = configuration.maxPending
    }

    package var pending: Int { admission.withLock { $0.pending } }

    /// Starts a request; `completion` is called exactly once, on the pool's thread, or at once when refused.
    @discardableResult
    package func start(
        _ request: HTTPRequest, completion: @escaping @Sendable (HTTPOutcome) -> Void
    ) -> HTTPRequestID {
        enum Verdict { case go, full, closed }
        let (number, verdict) = admission.withLock { admission -> (UInt64, Verdict) in
            admission.lastNumber += 1
            if admission.isClosed { return (admission.lastNumber, .closed) }
            if admission.pending >= maxPending { return (admission.lastNumber, .full) }
            admission.pending += 1
            return (admission.lastNumber, .go)
        }
        switch verdict {
        case .closed:
            completion(.failed(.init(phase: .notSent, kind: .cancelled, message: "pool is closed", curlCode: 0)))
        case .full:
            completion(.failed(.init(phase: .notSent, kind: .other, message: "too many requests pending", curlCode: 0)))
        case .go:
            thread.post { [engine, admission] in
                engine.begin(request, number: number) { outcome in
                    admission.withLock { $0.pending -= 1 }
                    completion(outcome)
                }
            }
        }
        return HTTPRequestID(number: number)
    }

    /// Ends a request with `cancelled`, unless it has ended already. It may have reached the server.
    package func cancel(_ request: HTTPRequestID) {
        thread.post { [engine] in engine.cancel(request.number) }
    }

    /// Its wait is bounded by the request's timeout.
    package func send(_ request: HTTPRequest) async -> HTTPOutcome {
        await withCheckedContinuation { continuation in
            start(request) { continuation.resume(returning: $0) }
        }
    }

    /// Completes everything with `cancelled` and joins the thread. Idempotent; not from a completion.
    package func shutdown() {
        let first = admission.withLock { admission in
            defer { admission.isClosed = true }
            return !admission.isClosed
        }
        guard first else { return }
        thread.post { [engine] in engine.cancelAll() }
        thread.shutdown()
    }
}
