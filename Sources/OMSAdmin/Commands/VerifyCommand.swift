import ArgumentParser
import Curl
import Foundation
import OMSDev
import OMSModel
import ProviderVerifier

/// Everything about Service Providers that needs no registry.
struct ProviderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sp", abstract: "Tools for those who write a Service Provider.", subcommands: [VerifyCommand.self])
}

/// `oms sp verify`: probes a Service Provider and names each rule of the contract that it breaks.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Probes a Service Provider and names each rule of the contract that it breaks.",
        discussion: """
            It submits real jobs, of tenants whose names begin with 'oms-verify-', and stops what it left running. \
            Which jobs: with --config, or as the member 'examples' of a service's parameters_schema says: the first for \
            a short job, the last for a long one, which stops, timeouts and paging are tried with.
            Exit status: 0 it conforms, 1 it does not, 2 it could not be found out.
            """)

    @Argument(help: "Where the provider's interface begins, such as https://sp.example.org/oms.")
    var url: String

    @Flag(help: "Print the report as JSON, with every exchange that showed a fault.")
    var json = false

    @Option(help: "File whose first line is the provider's bearer token.")
    var tokenFile: String?

    @Option(help: "The service to submit jobs of; the first one that takes a job otherwise.")
    var service: String?

    @Option(help: "YAML or JSON file with the configuration of a short job and, as a second document, of a long one.")
    var config: String?

    @Option(help: "Private address block that the provider may be in, besides loopback; repeatable.")
    var allowPrivate: [String] = []

    @Option(help: "A shell command that restarts the provider; with it the rules about restarts are probed as well.")
    var restartCommand: String?

    @Option(help: "Seconds to wait for an answer.")
    var timeout = 10

    @Option(help: "Record the report in the registry, as evidence for the registered provider of this name.")
    var record: String?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if !(1...300).contains(timeout) { throw ValidationError("--timeout must be from 1 to 300, not \(timeout)") }
        if !url.hasPrefix("http://") && !url.hasPrefix("https://") {
            throw ValidationError("'\(url)' is no http or https URL")
        }
    }

    func run() async throws {
        let report: VerifyReport
        do {
            report = await Verification(try options()).run()
        } catch {
            Terminal.printError("oms sp verify: \(error)")
            throw ExitCode(2)
        }
        if json { Terminal.print(json: report.json) } else { Terminal.print(TerminalText(lines: report.text)) }
        if let record {
            _ = try await OperatorClient.with(try connection.endpoint()) { client in
                try await client.command(
                    "verification", ["provider": .string(record), "report": Self.recorded(report)])
            }
        }
        if report.exitCode != 0 { throw ExitCode(report.exitCode) }
    }

    /// The report as one message can carry it: the exchanges of the rules that did not pass.
    private static func recorded(_ report: VerifyReport) -> JSONValue {
        guard case .object(var members) = report.json else { return report.json }
        members["rules"] = .array(
            (members["rules"]?.arrayValue ?? []).map { rule in
                guard case .object(var rule) = rule, rule["outcome"] == "pass" else { return rule }
                rule["exchanges"] = nil
                return .object(rule)
            })
        return .object(members)
    }

    private func options() throws -> VerifyOptions {
        var options = VerifyOptions(baseURL: url)
        options.service = service
        options.restartCommand = restartCommand
        options.timeoutMilliseconds = timeout * 1000
        // Whoever runs this chooses the address; loopback is where authors try their providers.
        options.addressPolicy.allowedPrivate = try (["127.0.0.0/8", "::1"] + allowPrivate).map { text in
            guard let block = CIDR(text) else {
                throw DevError("--allow-private '\(text)' is no address block such as 10.0.0.0/8")
            }
            return block
        }
        if let tokenFile {
            guard let data = FileManager.default.contents(atPath: tokenFile),
                let line = String(decoding: data, as: UTF8.self).split(separator: "\n").first
            else { throw DevError("cannot read a token from \(tokenFile); its first line must be the token") }
            options.token = String(line)
        }
        if let config {
            options.configs = try YAMLFile(contentsOf: config, variables: { Executables.environment($0) }).documents
                .map(
                    \.value)
        }
        return options
    }
}
