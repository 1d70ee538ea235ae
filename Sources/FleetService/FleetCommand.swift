package import ArgumentParser
import Logging
package import OMSBus
import OMSCore
import OMSModel
import OMSRuntime

/// `wm-fleet`: hosts Work Managers.
package struct FleetCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "wm-fleet", abstract: "Hosts the Work Managers of tenants.")

    @Option(help: "Name of this fleet; unique among the fleets on the broker.")
    package var id = "fleet-1"
    @OptionGroup
    package var bus: BusOptions
    @Option(
        help: "Folder of this fleet alone: its lock, its incarnation, and whom it looked after when it died.")
    package var stateDir: String?
    @Option(help: .hidden)
    package var crashOn: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    package var logLevel = "info"

    package init() {}

    package func run() async throws {
        do {
            ProcessSetup.prepare()
            ProcessSetup.keepFilesPrivate()  // before the first file is written
            guard let node = NodeID(id) else { throw OptionError("--id '\(id)' is no name; \(nameRule)") }
            let level = try logLevel.logLevel()
            let bus = bus
            let (stateDir, crashOn) = (stateDir, crashOn.flatMap { TenantID($0) })
            let lock = try stateDir.map { try FolderLock(folder: $0, option: "--state-dir") }
            // Whose Work Manager the process before was looking after when it died: the registry must know which tenant to pause.
            let box = try stateDir.map { try BlackBox.open(folder: $0) }
            let suspect = box?.notes.first.flatMap { TenantID($0.text) }
            try await ServiceHost.run("wm-fleet", logLevel: level) { loop, logger in
                let now = ServiceHost.now
                let boot = try stateDir.map { try Incarnation.next(in: $0, now: now.wall.milliseconds) }
                let core = Fleet(
                    id: node, boot: boot ?? now.wall.milliseconds, release: ServiceHost.release, suspect: suspect,
                    at: now)
                if stateDir == nil {
                    logger.warning("no --state-dir: a second process with this id would not be noticed here")
                }
                if let suspect {
                    logger.error(
                        "the process before died while it looked after this tenant's Work Manager",
                        metadata: [LoggingKeys.tenant: "\(suspect)"])
                }
                logger.notice("time zones", metadata: [LoggingKeys.version: "\(ZoneDatabase.version)"])
                let shell = FleetShell(loop: loop, core: core, box: box?.box, crashOn: crashOn, logger: logger)
                try await shell.start(bus)
                return {
                    await shell.stop()
                    withExtendedLifetime(lock) {}
                }
            }
        } catch {
            ServiceHost.fail("wm-fleet", error)
        }
    }
}
