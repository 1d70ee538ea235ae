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
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    package var logLevel = "info"

    package init() {}

    package func run() async throws {
        do {
            guard let node = NodeID(id) else { throw OptionError("--id '\(id)' is no name; \(nameRule)") }
            let level = try logLevel.logLevel()
            let bus = bus
            try await ServiceHost.run("wm-fleet", logLevel: level) { loop, logger in
                let now = ServiceHost.now
                let core = Fleet(id: node, boot: now.wall.milliseconds, release: ServiceHost.release, at: now)
                let shell = FleetShell(loop: loop, core: core, logger: logger)
                try await shell.start(bus)
                return { await shell.stop() }
            }
        } catch {
            ServiceHost.fail("wm-fleet", error)
        }
    }
}
