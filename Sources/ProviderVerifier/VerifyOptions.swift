package import Curl
package import OMSModel

/// What to probe and with what.
package struct VerifyOptions: Sendable {
    package var baseURL: String
    package var token: String?
    /// The service to submit jobs of; nil: the first one that takes a job.
    package var service: String?
    /// Configurations of a short and, if there is a second one, of a long job, or objects with `config` and `input`;
    /// empty: as the catalogue's examples say.
    package var configs: [JSONValue] = []
    package var addressPolicy = AddressPolicy()
    package var timeoutMilliseconds = 10_000
    /// A shell command that restarts the provider and returns.
    package var restartCommand: String?

    package init(baseURL: String) { self.baseURL = baseURL }
}
