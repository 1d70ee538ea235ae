package import ArgumentParser
import Logging
package import OMSBus
import OMSCore
import OMSModel
import OMSRuntime
import Postgres

/// `oms-registry`: the desired state and its enforcement.
///
/// ## Configuration keys
/// - `--pg-host`, `--pg-port`, `--pg-database`, `--pg-user`: the PostgreSQL database (15 or newer). Hosts and ports may be
///   lists, separated by commas; the first server that takes writes is used
/// - `--pg-password-file`: first line is the password
/// - `--pg-session-seconds` (3 to 3600, default 15): after so long a silence PostgreSQL ends the session, and with it the
///   lock of the active registry
/// - `--state-dir`: folder of this registry alone; with it a message that ended the process twice is set aside
/// - `--retention-days` (2 to 36500, default 90; 0: for ever): how long history is kept
/// - `--heartbeat-seconds` (1 to 60, default 5): how often each Work Manager is asked for its status
/// - `--unwell-seconds` (default 30), `--fail-back-seconds` (default 15): hysteresis of planning on a provider
package struct RegistryCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "oms-registry",
        abstract: "Keeps the desired state in PostgreSQL and makes Work Managers and gateways follow it.")

    @Option(help: "Name of this registry.")
    package var id = "registry-1"
    @OptionGroup
    package var bus: BusOptions
    @Option(help: "Host of PostgreSQL, or several, separated by commas: the first that takes writes is used.")
    package var pgHost = "127.0.0.1"
    @Option(help: "Port of PostgreSQL: one for all hosts, or one for each, separated by commas.")
    package var pgPort = "5432"
    @Option(help: "Database.")
    package var pgDatabase = "oms"
    @Option(help: "User; must be allowed to create schemas and roles in the database.")
    package var pgUser = "oms"
    @Option(help: "File whose first line is the password.")
    package var pgPasswordFile: String?
    @Option(
        help:
            "Seconds of silence after which PostgreSQL ends this registry's session, so that another takes over (3 to 3600)."
    )
    package var pgSessionSeconds = 15
    @Option(help: "Folder of this registry alone: its lock, and what it was handling when it died.")
    package var stateDir: String?
    @Option(help: .hidden)
    package var crashOn: String?
    @Option(help: "Days that history is kept in PostgreSQL (2 to 36500; 0: for ever).")
    package var retentionDays = Retention.defaultDays
    @Option(help: .hidden)
    package var retentionLookSeconds: Int?
    @Option(help: "Seconds between heartbeats (1 to 60).")
    package var heartbeatSeconds = 5
    @Option(help: "Seconds that a provider may be unwell before plans leave it (0 to 3600).")
    package var unwellSeconds = 30
    @Option(help: "Seconds that a provider must be well again before plans come back to it (0 to 3600).")
    package var failBackSeconds = 15
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    package var logLevel = "info"

    package init() {}

    package func run() async throws {
        do {
            ProcessSetup.prepare()  // before the first file is written
            guard let node = NodeID(id) else { throw OptionError("--id '\(id)' is no name; \(nameRule)") }
            guard (1...60).contains(heartbeatSeconds) else {
                throw OptionError("--heartbeat-seconds must be from 1 to 60, not \(heartbeatSeconds)")
            }
            guard (3...3_600).contains(pgSessionSeconds) else {
                throw OptionError("--pg-session-seconds must be from 3 to 3600, not \(pgSessionSeconds)")
            }
            guard retentionDays == 0 || (Retention.leastDays...36_500).contains(retentionDays) else {
                throw OptionError(
                    "--retention-days must be from \(Retention.leastDays) to 36500, or 0 to keep everything, not "
                        + "\(retentionDays)")
            }
            for (option, value) in [("--unwell-seconds", unwellSeconds), ("--fail-back-seconds", failBackSeconds)]
            where !(0...3_600).contains(value) {
                throw OptionError("\(option) must be from 0 to 3600, not \(value)")
            }
            let patience = ProviderPatience(
                unwellMilliseconds: Int64(unwellSeconds) * 1000, failBackMilliseconds: Int64(failBackSeconds) * 1000)
            let level = try logLevel.logLevel()
            let (bus, interval, session, database) = (bus, heartbeatSeconds, pgSessionSeconds, try database())
            let (retention, stateDir, crashOn) = (retention, stateDir, crashOn)
            let lock = try stateDir.map { try FolderLock(folder: $0, option: "--state-dir") }
            try await ServiceHost.run("oms-registry", logLevel: level) { loop, logger in
                let now = ServiceHost.now
                let core = Registry(
                    id: node, boot: now.wall.milliseconds, release: ServiceHost.release, heartbeatSeconds: interval,
                    patience: patience, sessionSeconds: session, retention: retention, at: now)
                let poison = try stateDir.map { try PoisonFile(folder: $0, at: now.wall) }
                if let suspect = poison?.suspect {
                    logger.error(
                        "the process before died while it handled this message",
                        metadata: [LoggingKeys.topic: "\(suspect)"])
                }
                let shell = RegistryShell(loop: loop, core: core, poison: poison, crashOn: crashOn, logger: logger)
                try await shell.start(bus, database: database)
                return {
                    await shell.stop()
                    withExtendedLifetime(lock) {}
                }
            }
        } catch {
            ServiceHost.fail("oms-registry", error)
        }
    }

    private var retention: Retention {
        var retention = Retention.days(retentionDays)
        // For tests, which cannot wait for hours.
        if let retentionLookSeconds {
            retention.firstMilliseconds = Int64(retentionLookSeconds) * 1000
            retention.everyMilliseconds = retention.firstMilliseconds
            retention.retryMilliseconds = retention.firstMilliseconds
        }
        return retention
    }

    private func database() throws -> PostgresConfiguration {
        let hosts = pgHost.split(separator: ",", omittingEmptySubsequences: false)
        let ports = pgPort.split(separator: ",", omittingEmptySubsequences: false)
        if hosts.count > 1, let empty = hosts.firstIndex(where: { $0.isEmpty }) {
            throw OptionError("--pg-host '\(pgHost)': host \(empty + 1) is empty; write it like HOST1,HOST2")
        }
        for port in ports where !(1...65_535).contains(Int(port) ?? 0) {
            throw OptionError("--pg-port '\(pgPort)': '\(port)' is no port; it is a number from 1 to 65535")
        }
        guard ports.count == 1 || ports.count == hosts.count else {
            throw OptionError(
                "--pg-port names \(ports.count) ports for \(hosts.count) host(s); give one for all, or one for each")
        }
        var parameters = ["host": pgHost, "port": pgPort, "dbname": pgDatabase, "user": pgUser]
        if let pgPasswordFile {
            parameters["password"] = try SecretFile.read(pgPasswordFile, option: "--pg-password-file")
        }
        var configuration = PostgresConfiguration(parameters: parameters, applicationName: "oms-registry \(id)")
        configuration.endSilentSessions(afterSeconds: pgSessionSeconds)
        return configuration
    }
}
