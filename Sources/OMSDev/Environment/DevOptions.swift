/// What a private environment holds.
package struct DevOptions: Sendable {
    package enum Extent: Int, Sendable, Comparable {
        /// PostgreSQL and Mosquitto.
        case servers
        /// And registry, gateway, fleet.
        case services
        /// And the three reference providers.
        case demo

        package static func < (a: Extent, b: Extent) -> Bool { a.rawValue < b.rawValue }
    }

    package var extent = Extent.services
    /// How many processes of each service: `wm-fleet` with the id `fleet-1`, `wm-fleet-2` with the id `fleet-2`, ...
    /// Of several registries one is active, the others stand by.
    package var registries = 1
    package var gateways = 1
    package var fleets = 1
    /// Nil: a fresh folder in /tmp, removed after a clean end.
    package var dataFolder: String?
    /// With `demo`: the folder with `data/` and `oms.yaml`.
    package var exampleFolder: String?
    /// Where our executables are; nil: OMS_BIN_DIR or beside the running program.
    package var binaryFolder: String?
    /// Nil: any free port.
    package var mqttPort: Int?
    package var postgresPort: Int?
    package var heartbeatSeconds = 1
    package var logLevel = "info"
    /// For each server and service to be ready.
    package var startDeadline: Duration = .seconds(30)
    /// More command line arguments by service name, for tests: `["wm-fleet": ["--x", "1"]]`.
    package var extraArguments: [String: [String]] = [:]
    /// More environment variables by service name, for tests.
    package var extraEnvironment: [String: [String: String]] = [:]
    /// Of the services: the longest pause before a restart.
    package var longestRestartDelay: Duration = .seconds(5)
    package var onEvent: @Sendable (DevEvent) -> Void = { _ in }

    package init() {}
}

/// What the operator may like to know meanwhile.
package enum DevEvent: Sendable {
    case starting(String)
    case ready(String)
    case child(SupervisorEvent)
    case note(String)
}
