import ArgumentParser
import OMSDev
import OMSModel

/// `oms provider release NAME`: the verb about one provider.
struct ReleaseCommand: AsyncParsableCommand {
    enum Verb: String, ExpressibleByArgument, CaseIterable { case release }

    static let configuration = CommandConfiguration(
        commandName: "provider",
        abstract: "Calls a provider again that is quarantined.",
        discussion: """
            A provider is quarantined when gateways died while they read its answers ('oms why'). release says that the \
            cause is gone, of provider or gateway: it is called again at once, and its deaths are forgotten. If it is not \
            gone, the gateway dies twice more and the provider is quarantined again; others are served all the time.
            """)

    @Argument(help: "release.")
    var verb: Verb
    @Argument(help: "The provider's name, as 'oms get providers' shows it.")
    var name: String
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if ProviderID(name) == nil { throw ValidationError("'\(name)' is no provider's name; see 'oms get providers'") }
    }

    func run() async throws {
        let params: JSONObject = ["provider": .string(name)]
        _ = try await OperatorClient.with(connection.endpoint()) { try await $0.command("provider.release", params) }
        Terminal.print("provider/\(name) is called again; 'oms get providers' shows how that goes")
    }
}
