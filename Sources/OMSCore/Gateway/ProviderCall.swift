package import OMSModel

/// One REST call that the gateway's shell is to make.
package struct ProviderCall: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case services(etag: String?)
        case status
        /// The change feed: every job that changed since the watermark, all tenants at once.
        case sweep(since: Timestamp, pageToken: String?, pageSize: Int)
        case job(JobID)
        /// Up to a hundred jobs at once.
        case batch([JobID])
        case submit(JobRequest)
        case stop(JobID, JobAction)

        /// For operators.
        var words: String {
            switch self {
            case .services: "GET /services"
            case .status: "GET /status"
            case .sweep, .batch: "GET /jobs/"
            case .job: "GET /jobs/{id}"
            case .submit: "POST /jobs/"
            case .stop: "POST /jobs/{id}"
            }
        }

        package var isSubmit: Bool { if case .submit = self { true } else { false } }

        /// Changes something at the provider.
        package var acts: Bool {
            switch self {
            case .submit, .stop: true
            case .services, .status, .sweep, .job, .batch: false
            }
        }
    }

    package var id: Int
    package var provider: ProviderID
    /// Of the provider's document.
    package var version: Int
    package var baseURL: String
    package var credential: String?
    package var kind: Kind
    /// On whose behalf, with which epoch (headers `OMS-Tenant`, `OMS-Epoch`).
    package var tenant: TenantID?
    package var epoch: Int?

    /// Milliseconds until the call is given up.
    package var timeout: Int
}

/// What came back, already parsed by `AnswerReader` (or made up by the simulation).
package enum ProviderAnswer: Hashable, Sendable {
    package enum Phase: Hashable, Sendable {
        /// No byte of the request left: it may be repeated freely.
        case notSent
        /// It may have been executed.
        case maybeSent
    }
    package enum Fault: String, Hashable, Sendable {
        case resolve, connect, policy, tls, timeout, reset, tooLarge, malformed, other
        /// The gateway could not write its intent, so it did not send.
        case ledger
    }

    case answered(status: Int, retryAfterSeconds: Int?, etag: String?, body: Body)
    case failed(Phase, Fault, String)

    package enum Body: Hashable, Sendable {
        case services(ServiceList)
        case status(ProviderStatus)
        case jobs(JobList)
        case job(ProviderJob)
        case problem(Problem)
        case empty
        /// A 2xx whose body breaks the contract, and how.
        case malformed(String)
    }
}
