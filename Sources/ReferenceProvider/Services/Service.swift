import OMSModel

/// A service of this provider: what `GET /services` says about it, what it refuses, and the work itself.
protocol Service: Sendable {
    var description: ServiceDescription { get }

    /// Reads everything of the configuration that can be judged without touching the data; problems go to `reader`.
    func check(_ config: ServiceConfig, _ reader: inout ConfigReader)

    /// Does the work on the job's own thread, looking at `job.control` all the time.
    ///
    /// - Throws: `Problem` when the job failed, `Interruption` when the control said so.
    func run(_ job: JobContext) throws -> JobResult
}

struct JobResult {
    var outputs: JSONObject
    var message: String?
}

extension Service {
    /// What is wrong with the request, as pointers into its body; empty when it is accepted.
    func errors(in request: JobRequest) -> [FieldError] {
        var reader = ConfigReader()
        let config = effectiveConfig(of: request)
        if let input = request.input, input != .null {
            reader.refuse("/input", "this service takes no input; leave it out")
        }
        let most = description.limits?.maxTimeoutSeconds ?? Int.max
        if let timeout = request.config.timeoutSeconds, !(1...most).contains(timeout) {
            reader.refuse("/config/timeout_s", "must be 1 to \(most) seconds")
        }
        check(config, &reader)
        return reader.errors
    }

    /// The request's configuration; members that it leaves out come from the service's defaults.
    func effectiveConfig(of request: JobRequest) -> ServiceConfig {
        var config = request.config
        config.timeoutSeconds = config.timeoutSeconds ?? description.defaults?.timeoutSeconds
        return config
    }

    func timeoutSeconds(for request: JobRequest) -> Int {
        guard let seconds = effectiveConfig(of: request).timeoutSeconds else {
            preconditionFailure("every service of this module has a default timeout_s")
        }
        return seconds
    }
}

/// The services that this instance offers, in the order of their ids.
struct ServiceCatalogue: Sendable {
    let services: [any Service]
    let list: ServiceList

    init(_ services: [any Service]) {
        self.services = services.sorted { $0.description.id < $1.description.id }
        list = ServiceList(services: self.services.map(\.description))
    }

    subscript(id: ServiceID) -> (any Service)? { services.first { $0.description.id == id } }
}
