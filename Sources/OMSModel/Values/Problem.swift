/// A problem detail (RFC 9457), the one error format of OMS: at the REST interface and inside MQTT messages.
package struct Problem: Hashable, Codable, Sendable, Error {
    /// `urn:oms:problem:<slug>`.
    package var type: String
    package var title: String?
    package var status: Int?
    package var detail: String?
    package var instance: String?
    /// Whether the same request may succeed later, unchanged.
    package var retryable: Bool?
    package var errors: [FieldError]?

    package init(
        type: String, title: String? = nil, status: Int? = nil, detail: String? = nil, instance: String? = nil,
        retryable: Bool? = nil, errors: [FieldError]? = nil
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.instance = instance
        self.retryable = retryable
        self.errors = errors
    }

    package init(
        _ slug: ProblemSlug, _ detail: String, status: Int? = nil, retryable: Bool? = nil, errors: [FieldError]? = nil
    ) {
        self.init(
            type: slug.urn, title: slug.title, status: status, detail: detail, retryable: retryable, errors: errors)
    }

    /// The last part of `type`.
    package var slug: String {
        type.hasPrefix(ProblemSlug.prefix) ? String(type.dropFirst(ProblemSlug.prefix.count)) : type
    }
}

/// One wrong field: where (RFC 6901 pointer) and what is wrong, with the remedy.
package struct FieldError: Hashable, Codable, Sendable {
    package var pointer: String
    package var detail: String

    package init(pointer: String, detail: String) {
        self.pointer = pointer
        self.detail = detail
    }
}

/// The catalogue of problems (docs/reference/sp-interface section 5).
package enum ProblemSlug: String, CaseIterable, Sendable {
    // what a Service Provider answers
    case badRequest = "bad-request"
    case noSuchService = "no-such-service"
    case noSuchJob = "no-such-job"
    case idConflict = "id-conflict"
    case invalidConfig = "invalid-config"
    case inputUnavailable = "input-unavailable"
    case outputUnwritable = "output-unwritable"
    case timeout
    case deadline
    case notStoppable = "not-stoppable"
    case stopped
    case resultsNotReady = "results-not-ready"
    case purged
    case busy
    case draining
    case unauthorized
    case version
    case jobFailed = "job-failed"
    case `internal`
    // what OMS itself says
    case providerUnreachable = "sp-unreachable"
    case providerMalformed = "sp-malformed"
    case providerForgot = "sp-forgot"
    case providerFenced = "sp-fenced"
    case illegalTransition = "illegal-transition"
    case staleEpoch = "stale-epoch"
    case submitUnknown = "submit-unknown"
    case queueTimeout = "queue-timeout"
    case startTimeout = "start-timeout"
    case noProgress = "no-progress"
    case notAttached = "sp-not-attached"
    case stopUnconfirmed = "stop-unconfirmed"
    case givenUp = "given-up"
    case quarantined = "sp-quarantined"
    case conflict
    case notFound = "not-found"
    case tooLarge = "too-large"
    case unavailable
    /// Another registry is the active one.
    case standby
    /// PostgreSQL refused a part of a fact: its row has the rest.
    case notStorable = "not-storable"
    /// PostgreSQL refuses everything of a kind, whatever its values are.
    case databaseRefuses = "database-refuses"
    /// The database has lost what it had confirmed.
    case databaseBehind = "database-behind"

    static let prefix = "urn:oms:problem:"
    package var urn: String { Self.prefix + rawValue }

    var title: String {
        switch self {
        case .badRequest: "The request is malformed"
        case .noSuchService: "No such service"
        case .noSuchJob: "No such job"
        case .idConflict: "The job id was used for another request"
        case .invalidConfig: "The configuration is refused"
        case .inputUnavailable: "The input cannot be read"
        case .outputUnwritable: "The output cannot be written"
        case .timeout: "The job ran longer than its timeout"
        case .deadline: "The job did not start by its deadline"
        case .notStoppable: "The job cannot be stopped"
        case .stopped: "The job was stopped"
        case .resultsNotReady: "The results are not ready"
        case .purged: "The job was removed after its retention"
        case .busy: "The provider is full"
        case .draining: "The provider takes no new work"
        case .unauthorized: "The credential is refused"
        case .version: "The interface version is not spoken"
        case .jobFailed: "The job failed"
        case .internal: "Internal error"
        case .providerUnreachable: "The provider cannot be reached"
        case .providerMalformed: "The provider's answer breaks the contract"
        case .providerForgot: "The provider does not know the job any more"
        case .providerFenced: "The provider has seen a newer Work Manager"
        case .illegalTransition: "The provider reported an impossible state"
        case .staleEpoch: "The command is of an older Work Manager"
        case .queueTimeout: "No provider took the job in time"
        case .startTimeout: "The provider did not start the job in time"
        case .noProgress: "The job ran without progress for too long"
        case .submitUnknown: "It is not known whether the provider took the job"
        case .notAttached: "The provider is not attached to this gateway"
        case .stopUnconfirmed: "A job goes on after its stop"
        case .givenUp: "An operator gave the job up"
        case .quarantined: "The provider is not called: a gateway died of its answers"
        case .conflict: "The resource was changed meanwhile"
        case .notFound: "Not found"
        case .tooLarge: "The message is too large"
        case .unavailable: "Not available now"
        case .standby: "Another registry is active"
        case .notStorable: "A part of it could not be stored"
        case .databaseRefuses: "The database refuses it, as it would refuse others"
        case .databaseBehind: "The database knows less than it did"
        }
    }
}
