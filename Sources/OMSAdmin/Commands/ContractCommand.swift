import ArgumentParser
import OMSCore
import OMSProtocol
import ProviderVerifier

/// Prints the files that are made from the code; `Scripts` and tests compare them with the committed copies.
struct ContractCommand: ParsableCommand {
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case acl, asyncapi, topics, schema
        case providerRules = "sp-rules"
        case mosquittoConf = "mosquitto-conf"
    }

    static let configuration = CommandConfiguration(
        commandName: "contract",
        abstract: "Prints a file made from the code: acl, asyncapi, mosquitto-conf, topics, schema, sp-rules.",
        shouldDisplay: false)

    @Argument var part: Part

    func run() throws {
        switch part {
        case .acl: Terminal.print(file: AccessControlList.render())
        case .asyncapi: Terminal.print(file: try AsyncAPIDocument.render())
        case .mosquittoConf: Terminal.print(file: BrokerProfile.container.render())
        case .providerRules: Terminal.print(file: VerifyRule.markdown())
        case .schema: Terminal.print(json: DocumentSchema.value)
        case .topics: Terminal.print(file: TopicDocument.render())
        }
    }
}
