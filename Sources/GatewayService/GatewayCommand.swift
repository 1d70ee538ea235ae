package import ArgumentParser
import Curl
import Logging
package import OMSBus
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime

/// `sp-gateway`: the one door to the Service Providers.
///
/// ## Configuration keys
/// - `--allow-private` (repeatable): CIDR blocks of private addresses that providers may have; none by default
/// - `--credentials-dir`: folder with one file per credential name
/// - `--ledger-dir`: folder of the ledger; it belongs to this gateway alone and must survive restarts
package struct GatewayCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "sp-gateway", abstract: "Turns job commands on MQTT into REST calls to Service Providers.")

    @Option(help: "Name of this gateway; unique among the gateways on the broker.")
    package var id = "gateway-1"
    @OptionGroup
    package var bus: BusOptions
    @Option(help: "Private address block that providers may have, such as 10.0.0.0/8; repeatable.")
    package var allowPrivate: [String] = []
    @Option(help: "Folder with one file per credential name.")
    package var credentialsDir: String?
    @Option(help: "Folder for what must survive a restart; one gateway at a time.")
    package var ledgerDir: String
    @Option(help: .hidden)
    package var crashPoint: String?
    @Option(help: .hidden)
    package var crashOn: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    package var logLevel = "info"

    package init() {}

    /// Connections are no shared resource that one slow provider could use up: the core has at most 16 calls to a provider
    /// under way (`GatewayTiming.maxCallsPerProvider`), so none waits for a connection while its time runs, and the total is
    /// beyond what the providers of one gateway need. Several providers may be behind one host name.
    static var poolLimits: HTTPPoolConfiguration {
        var limits = HTTPPoolConfiguration()
        limits.maxConnectionsPerHost = 64 * GatewayTiming.maxCallsPerProvider
        limits.maxConnections = 4_096
        return limits
    }

    package func run() async throws {
        do {
            ProcessSetup.prepare()
            ProcessSetup.keepFilesPrivate()  // before the first file is written
            guard let node = NodeID(id) else { throw OptionError("--id '\(id)' is no name; \(nameRule)") }
            let level = try logLevel.logLevel()
            let blocks = try allowPrivate.map { text in
                guard let block = CIDR(text) else {
                    throw OptionError("--allow-private '\(text)' is no address block such as 10.0.0.0/8")
                }
                return block
            }
            let crash = try crashPoint.map { try CrashPoint($0) }
            let opened = try Ledger.open(folder: ledgerDir) { try BlackBox.open(folder: $0, slots: 2) }
            let (ledger, contents, box) = (opened.ledger, opened.contents, opened.box)
            let crashOn = crashOn.flatMap { ProviderID($0) }
            let ledgerDir = ledgerDir
            let (bus, credentials) = (bus, CredentialStore(directory: credentialsDir))
            try await ServiceHost.run("sp-gateway", logLevel: level) { loop, logger in
                let now = ServiceHost.now
                var random = SystemRandomNumberGenerator()
                let core = Gateway(
                    id: node, boot: try Incarnation.next(in: ledgerDir, now: now.wall.milliseconds),
                    release: ServiceHost.release, seed: random.next(),
                    ledger: contents, at: now)
                var limits = Self.poolLimits
                limits.addressPolicy = AddressPolicy(allowedPrivate: blocks, requiresTLSOutside: true)
                let pool = HTTPPool(limits)
                let shell = GatewayShell(
                    loop: loop, core: core, pool: pool, credentials: credentials, ledger: ledger, box: box,
                    crashPoint: crash, crashOn: crashOn, logger: logger)
                for suspect in contents.suspects {
                    logger.error(
                        "an earlier process died while it read this provider's answers",
                        metadata: [
                            LoggingKeys.provider: "\(suspect.provider)", LoggingKeys.count: "\(suspect.deaths)",
                        ])
                }
                if !contents.open.isEmpty {
                    logger.notice(
                        "jobs of an earlier process are looked after",
                        metadata: [LoggingKeys.count: "\(contents.open.count)"])
                }
                try await shell.start(bus)
                return { await shell.stop() }
            }
        } catch {
            ServiceHost.fail("sp-gateway", error)
        }
    }
}
