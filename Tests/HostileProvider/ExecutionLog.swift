package import OMSModel

/// One line of the provider's own history, in the order in which it happened.
package struct ProviderAct: Sendable {
    package enum Kind: Sendable, Hashable {
        /// A request that changes something, and the status of its answer.
        case submit(Int), stop(Int)
        case began
        case ended(JobState)
    }

    package var kind: Kind
    package var tenant: String
    package var job: String
    /// What the request's `OMS-Epoch` said.
    package var epoch: Int64?
    /// Wall clock, milliseconds since 1970.
    package var time: Int64
    /// Of a submit: the labels that it carried.
    package var run: String?
}

/// What really happened at the provider: the judge of the tests.
package struct ExecutionLog: Sendable {
    /// How often work was begun, by job id.
    package private(set) var executions: [String: Int] = [:]
    /// How often a submit of it arrived.
    package private(set) var submits: [String: Int] = [:]
    package private(set) var stops: [String: Int] = [:]
    package private(set) var requests: [(route: Route, request: ReceivedRequest)] = []
    package private(set) var acts: [ProviderAct] = []
    /// A long run must not be a test of this log's memory.
    private static let maxRequests = 100_000

    mutating func began(_ job: String) { executions[job, default: 0] += 1 }
    mutating func submitted(_ job: String) { submits[job, default: 0] += 1 }
    mutating func stopped(_ job: String) { stops[job, default: 0] += 1 }

    mutating func note(_ act: ProviderAct) {
        if acts.count < 10 * Self.maxRequests { acts.append(act) }
    }

    mutating func received(_ request: ReceivedRequest, _ route: Route) {
        if requests.count < Self.maxRequests { requests.append((route, request)) }
    }

    package func count(_ route: Route) -> Int { requests.count { $0.route == route } }
    package func executions(of job: JobID) -> Int { executions[job.description] ?? 0 }
    package func submits(of job: JobID) -> Int { submits[job.description] ?? 0 }
    package func stops(of job: JobID) -> Int { stops[job.description] ?? 0 }
    /// Jobs that were begun more than once: with an honest provider only OMS can be to blame.
    package var doubled: [String] { executions.filter { $0.value > 1 }.keys.sorted() }
}
