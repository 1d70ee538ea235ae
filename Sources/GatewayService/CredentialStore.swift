import FoundationEssentials
import OMSBus
import OMSCore

/// Resolves credential names to secrets: one file per name in a folder that only the gateway can read, or the gateway's
/// environment (`alpha-token` is `OMS_CREDENTIAL_ALPHA_TOKEN`). Files are read at each use, so that a rotated secret
/// counts at once. Secrets go into a request header and nowhere else.
struct CredentialStore: Sendable {
    var directory: String?

    func secret(_ name: String) throws -> String {
        // A name is no path.
        guard CredentialName.isGood(name) else {
            throw OptionError("'\(name)' is no credential name: \(CredentialName.rule)")
        }
        let variable = "OMS_CREDENTIAL_" + name.uppercased().replacing("-", with: "_")
        if let value = ProcessInfo.processInfo.environment[variable], !value.isEmpty { return value }
        guard let directory else {
            throw OptionError("credential '\(name)' is wanted, but neither --credentials-dir nor \(variable) is set")
        }
        return try SecretFile.read("\(directory)/\(name)", option: "credential '\(name)'")
    }
}
