import Curl
import OMSModel
import OMSRuntime

/// Inputs over http and https, by libcurl. A download is held in memory, so it has a size limit.
final class Downloads: Sendable {
    static let maximumBytes = 64 << 20
    private static let timeoutMilliseconds = 300_000

    private let pool: HTTPPool

    /// - Parameter allowedPrivate: Private addresses that may be contacted. By default none is: a tenant's URI must not
    ///   make this provider read what only its own network can reach.
    init(allowedPrivate: [CIDR]) {
        var configuration = HTTPPoolConfiguration()
        configuration.addressPolicy = AddressPolicy(allowedPrivate: allowedPrivate)
        configuration.maxConnectionsPerHost = 8
        configuration.maxPending = 64
        pool = HTTPPool(configuration)
    }

    /// The body at `uri`. Redirects are not followed.
    ///
    /// - Throws: `Problem` `input-unavailable`, `Interruption`.
    func fetch(_ uri: String, _ control: JobControl) throws -> [UInt8] {
        var request = Curl.HTTPRequest(url: uri)
        request.maxBodyBytes = Self.maximumBytes
        request.timeoutMilliseconds = Self.timeoutMilliseconds
        let arrived = Locked<HTTPOutcome?>(nil)
        let transfer = pool.start(request) { outcome in
            arrived.withLock { $0 = outcome }
            control.signal()
        }
        do {
            try control.waitForSignal()
        } catch {
            pool.cancel(transfer)
            throw error
        }
        switch arrived.withLock({ $0 }) {
        case .answered(let response) where response.status == 200: return response.body
        case .answered(let response):
            throw Problem(
                .inputUnavailable, "\(uri) answers with status \(response.status)", retryable: response.status >= 500)
        case .failed(let failure):
            throw Problem(.inputUnavailable, "\(uri): \(Self.words(failure))", retryable: failure.kind != .policy)
        case nil: preconditionFailure("the signal comes after the outcome")
        }
    }

    func shutdown() { pool.shutdown() }

    private static func words(_ failure: HTTPFailure) -> String {
        switch failure.kind {
        case .policy: "its address is private; the operator can allow it with --allow-private"
        case .tooLarge: "it is larger than \(maximumBytes) bytes; put it into the data root instead"
        case .resolve, .connect, .tls, .timeout, .reset, .malformed, .cancelled, .other: failure.message
        }
    }
}
