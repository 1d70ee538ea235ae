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
        case .acl: print(AccessControlList.render(), terminator: "")
        case .asyncapi: print(try AsyncAPIDocument.render(), terminator: "")
        case .mosquittoConf: print(BrokerProfile.container.render(), terminator: "")
        case .providerRules: print(VerifyRule.markdown(), terminator: "")
        case .schema: print(JSONText.render(DocumentSchema.value))
        case .topics: print(TopicDocument.render(), terminator: "")
        }
    }
}
