import OMSCore
import OMSModel

@testable import GatewayService

/// What leaves for a provider, and what comes back from the ledger.
enum FuzzRequests {
    static func build(_ call: ProviderCall) throws {
        var call = call
        call.credential = nil
        _ = try RequestBuilder.request(for: call, credentials: CredentialStore(directory: nil))
    }

    /// As `Ledger` reads a row.
    static func request(_ bytes: [UInt8]) -> JobRequest? {
        try? JSON.decode(JobRequest.self, from: bytes)
    }
}
