package import ArgumentParser
import Glibc
import OMSModel

/// The operator's command.
package struct OMSCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "oms",
        abstract: "Operates an Operations Management System: tenants, their services and the Service Providers.",
        discussion: """
            The commands speak to the active registry over MQTT. Where the broker is, and who you are to it, is taken \
            from the options or from OMS_MQTT_HOST, OMS_MQTT_PORT, OMS_MQTT_USER and OMS_MQTT_PASSWORD_FILE.
            Begin with 'oms dev --demo --example examples/open-bandit'.
            """,
        subcommands: [
            DevCommand.self, ApplyCommand.self, StatusCommand.self, GetCommand.self, WhyCommand.self, WatchCommand.self,
            ResultCommand.self, NextCommand.self, RunCommand.self, PlanCommand.self, RollbackCommand.self,
            ExplainCommand.self, RolloutCommand.self, ReplaceCommand.self, SuspendCommand.self, ResumeCommand.self,
            OffboardCommand.self,
            OperationCommand.self, JobVerbCommand.self, FleetDrainCommand.self, ReleaseCommand.self,
            ProviderCommand.self,
            QuarantineCommand.self,
            ContractCommand.self,
        ])

    package init() {}

    /// The last words of the program; as `exit(withError:)`, but an error's text goes the way of all text.
    package static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        let words = TerminalText(lines: fullMessage(for: error))
        if code == .success { Terminal.print(words) } else if !words.isEmpty { Terminal.printError(words) }
        Glibc.exit(code.rawValue)
    }
}
