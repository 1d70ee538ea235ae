import ArgumentParser
import Foundation
import Logging
import OMSRuntime
import ReferenceProvider

/// The command line of the reference Service Provider; the provider itself is the module `ReferenceProvider`.
@main
struct ReferenceSP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference-sp",
        abstract: "A Service Provider with three real services: harvest, recommend, optimise.",
        discussion:
            "Prints 'listening http://HOST:PORT' once it serves. SIGTERM ends it: running jobs get --grace seconds, "
            + "what is left then runs again at the next start.")

    @Option(help: "Port to listen on; 0 takes any free one.")
    var port = 18081

    @Option(help: "Address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "Name of this provider.")
    var name: String

    @Option(help: "Directory that file: URIs are rooted at.")
    var dataRoot: String

    @Option(help: "Directory that sqlite: URIs are rooted at.")
    var storeRoot: String

    @Option(help: "SQLite file for this provider's own jobs; made when missing.")
    var state: String

    @Option(help: "Services to offer, separated by commas.")
    var services = ReferenceProvider.serviceIDs.joined(separator: ",")

    @Option(
        help:
            "How recommend scores items by default: \(ReferenceProvider.recommendMethods.joined(separator: ", "))."
    )
    var recommendMethod = "empirical-bayes"

    @Option(help: "Jobs that run at once.")
    var maxRunning = 4

    @Option(help: "Jobs that may wait; more are refused with 429.")
    var maxQueued = 200

    @Option(help: "Seconds that ended jobs are kept.")
    var retention = 86_400

    @Option(help: "File whose first line callers must send as bearer token; without it anybody may call.")
    var tokenFile: String?

    @Option(help: "Private address range that http(s) inputs may come from, such as 10.0.0.0/8; may be repeated.")
    var allowPrivate: [String] = []

    @Option(help: "Seconds that running jobs get to end after SIGTERM.")
    var grace = 10

    func validate() throws {
        guard (0...3600).contains(grace) else { throw ValidationError("--grace must be 0 to 3600 seconds.") }
    }

    func run() throws {
        ProcessSetup.prepare()
        Logs.bootstrap(service: "reference-sp", level: .info)
        var log = Logger(label: "reference-sp")
        log[metadataKey: "provider"] = "\(name)"
        var options = ReferenceProviderOptions(name: name, dataRoot: dataRoot, storeRoot: storeRoot, stateFile: state)
        options.host = host
        options.port = port
        options.services = services.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        options.recommendMethod = recommendMethod
        options.maxRunning = maxRunning
        options.maxQueued = maxQueued
        options.retentionSeconds = retention
        options.tokenFile = tokenFile
        options.allowedPrivate = allowPrivate

        // Blocked before any thread exists, so that every thread inherits it and sigwait below gets the signal.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        let provider: ReferenceProvider
        do {
            provider = try ReferenceProvider(options, log: log)
        } catch let error as ReferenceProviderError {
            FileHandle.standardError.write(Data("reference-sp: \(error)\n".utf8))
            throw ExitCode(1)
        }
        // One write: whoever started this process waits for the whole line.
        let address = host.contains(":") ? "[\(host)]" : host
        FileHandle.standardOutput.write(Data("listening http://\(address):\(provider.port)\n".utf8))

        var signal: Int32 = 0
        sigwait(&signals, &signal)
        provider.stop(graceMilliseconds: grace * 1000)
    }
}
