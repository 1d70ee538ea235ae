import ArgumentParser
import FoundationEssentials
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract:
            "Runs a whole OMS here: private PostgreSQL and Mosquitto, the services, with --demo also providers.",
        discussion: """
            Everything listens on 127.0.0.1 only and lives in one data folder. Ctrl-C stops it in order; even kill -9 \
            leaves no process behind.
            """)

    @Flag(help: "Also start the three example providers and declare the example's tenants.")
    var demo = false

    @Option(help: "The example's folder, with oms.yaml and data/.")
    var example = "examples/open-bandit"

    @Flag(help: "End as soon as every tenant of the example has a result of each of its services. Implies --demo.")
    var once = false

    @Option(help: "With --once: write the results to this file.")
    var json: String?

    @Option(
        name: .customLong("data"),
        help: "Keep everything in this folder and use it again; default: a fresh one in /tmp.")
    var dataFolder: String?

    @Option(help: "With --once: give up after so many seconds.")
    var timeout = 90

    @Option(help: "Port of the broker; default: a free one.")
    var mqttPort: Int?

    @Option(help: "Port of PostgreSQL; default: a free one.")
    var pgPort: Int?

    @Option(help: "Seconds between two heartbeats.")
    var heartbeatSeconds = 1

    @Option(help: "Level of the services' logs.")
    var logLevel = "info"

    @Flag(help: .hidden) var serversOnly = false
    @Flag(help: .hidden) var servicesOnly = false

    func validate() throws {
        if timeout < 1 { throw ValidationError("--timeout must be at least 1 second, not \(timeout)") }
        if json != nil && !once { throw ValidationError("--json belongs to --once") }
        if (demo || once) && (serversOnly || servicesOnly) { throw ValidationError("--demo needs the services") }
    }

    func run() async throws {
        let console = Console()
        var documents: DeclaredDocuments?
        var options = DevOptions()
        options.dataFolder = dataFolder
        options.mqttPort = mqttPort
        options.postgresPort = pgPort
        options.heartbeatSeconds = heartbeatSeconds
        options.logLevel = logLevel
        options.extent = serversOnly ? .servers : demo || once ? .demo : .services
        if options.extent == .demo {
            options.exampleFolder = example
            // Checked before anything is started; the addresses are not known yet.
            let placeholders = Set(ReferenceProvider.all.map(\.addressVariable))
            documents = try DeclaredDocuments(paths: [exampleFile]) {
                placeholders.contains($0) ? "http://127.0.0.1:1" : Executables.environment($0)
            }
        }
        let (childChanges, feed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        options.onEvent = { event in
            if let line = DevText.line(event) { console.line(line) }
            if case .child = event { feed.yield() }
        }
        let session = DevSession(
            console: console, documents: documents, exampleFile: exampleFile,
            once: once ? .seconds(timeout) : nil, json: json, childChanges: childChanges)
        let settled = options
        _ = try await StopSignals.run(onStop: {
            console.endBlock()
            console.line("stopping")
        }) {
            try await DevEnvironment.with(settled) { try await session.run($0) }
        }
        console.endBlock()
    }

    private var exampleFile: String { DataFolder.absolute(example) + "/oms.yaml" }
}
