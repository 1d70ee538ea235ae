// swift-tools-version: 6.2
// One package. Modules and the one direction in which they may import each other: docs/internals/architecture.md.
import PackageDescription

/// Warnings are errors in CI only, so that a newer compiler does not stop a newcomer's first build.
let strict: [SwiftSetting] =
    Context.environment["CI"] == "true" ? [.treatAllWarnings(as: .error)] : []

/// `swift test` alone builds and runs what needs no server, in seconds. The scripts set OMS_TESTS=all for the rest, which
/// starts brokers, databases and whole systems and takes minutes (CONTRIBUTING.md).
let withServers = Context.environment["OMS_TESTS"] == "all"

let swiftSettings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),  // SE-0335
        .enableUpcomingFeature("MemberImportVisibility"),  // SE-0444
        .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409
    ] + strict

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "oms",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "oms-registry", targets: ["oms-registry"]),
        .executable(name: "wm-fleet", targets: ["wm-fleet"]),
        .executable(name: "sp-gateway", targets: ["sp-gateway"]),
        .executable(name: "oms", targets: ["oms"]),
        .executable(name: "reference-sp", targets: ["reference-sp"]),
        .executable(name: "oms-simulate", targets: ["oms-simulate"]),
        .library(name: "OMSRuntime", targets: ["OMSRuntime"]),  // for Tests/Sanitizer
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // C libraries of the system
        .systemLibrary(name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev"])]),
        .systemLibrary(name: "CLibCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CSystem"),  // eventfd, fork+exec with a parent-death signal

        // Values and pure decisions: no I/O, no clock, no randomness
        .target(name: "OMSModel"),
        .target(name: "OMSProtocol", dependencies: ["OMSModel"]),
        .target(name: "OMSCore", dependencies: ["OMSModel", "OMSProtocol"]),

        // Threads and C libraries
        .target(name: "OMSRuntime", dependencies: ["CSystem", logging]),
        .target(name: "Mosquitto", dependencies: ["CMosquitto", "OMSRuntime"]),
        .target(name: "Curl", dependencies: ["CLibCurl", "OMSRuntime"]),
        .target(name: "Postgres", dependencies: ["CLibPQ", "OMSRuntime"]),
        .target(name: "SQLite", dependencies: ["CSQLite"]),

        // Shells around the cores
        .target(
            name: "OMSStore", dependencies: ["OMSModel", "OMSProtocol", "OMSCore", "OMSRuntime", "Postgres", logging]),
        .target(
            name: "OMSBus",
            dependencies: ["OMSModel", "OMSProtocol", "OMSRuntime", "Mosquitto", argumentParser, logging]),
        .target(
            name: "RegistryService",
            dependencies: [
                "OMSModel", "OMSProtocol", "OMSRuntime", "OMSBus", "OMSCore", "OMSStore", "Postgres", argumentParser,
                logging,
            ]
        ),
        .target(
            name: "FleetService",
            dependencies: ["OMSModel", "OMSProtocol", "OMSRuntime", "OMSBus", "OMSCore", argumentParser, logging]
        ),
        .target(
            name: "GatewayService",
            dependencies: [
                "OMSModel", "OMSProtocol", "OMSRuntime", "OMSBus", "OMSCore", "Curl", "SQLite", argumentParser, logging,
            ]
        ),
        .target(
            name: "ReferenceProvider",
            dependencies: ["OMSModel", "SQLite", "CZlib", "Curl", "OMSRuntime", logging]
        ),

        // Operator's tools
        .target(name: "ProviderVerifier", dependencies: ["OMSModel", "OMSRuntime", "Curl"]),
        .target(
            name: "OMSDev", dependencies: ["OMSModel", "OMSProtocol", "OMSRuntime", "Mosquitto", "Postgres", "CSystem"]),
        .target(
            name: "OMSAdmin",
            dependencies: [
                "OMSModel", "OMSProtocol", "OMSCore", "OMSRuntime", "OMSDev", "ProviderVerifier", "Curl",
                argumentParser,
                .product(name: "Yams", package: "Yams"),
            ]
        ),

        // The cores in a simulated world (docs/internals/simulation.md)
        .target(name: "OMSSimulation", dependencies: ["OMSModel", "OMSProtocol", "OMSCore"]),
        .executableTarget(name: "oms-simulate", dependencies: ["OMSSimulation", argumentParser]),

        .executableTarget(name: "oms-registry", dependencies: ["RegistryService", argumentParser]),
        .executableTarget(name: "wm-fleet", dependencies: ["FleetService", argumentParser]),
        .executableTarget(name: "sp-gateway", dependencies: ["GatewayService", argumentParser]),
        .executableTarget(name: "oms", dependencies: ["OMSAdmin", "OMSRuntime", argumentParser]),
        .executableTarget(
            name: "reference-sp",
            dependencies: ["ReferenceProvider", "OMSModel", "OMSRuntime", argumentParser, logging]),

        // A Service Provider with scripted faults, for tests only
        .target(
            name: "HostileProvider", dependencies: ["OMSModel", "OMSRuntime"], path: "Tests/HostileProvider"),

        .testTarget(name: "OMSModelTests", dependencies: ["OMSModel"]),
        .testTarget(name: "OMSProtocolTests", dependencies: ["OMSModel", "OMSProtocol"], exclude: ["Golden"]),
        .testTarget(
            name: "OMSCoreTests", dependencies: ["OMSModel", "OMSProtocol", "OMSCore", "OMSSimulation"],
            exclude: ["Cron"]),
        .testTarget(
            name: "SimulationTests", dependencies: ["OMSSimulation", "oms-simulate"], exclude: ["failed-seeds.txt"]),
        .testTarget(name: "OMSAdminTests", dependencies: ["OMSAdmin", "OMSCore", "OMSDev", "OMSModel", "OMSProtocol"]),
    ]
)

if withServers {
    package.targets += [
        .testTarget(
            name: "ProviderVerifierTests",
            dependencies: [
                "ProviderVerifier", "HostileProvider", "reference-sp", "oms", "OMSModel", "OMSRuntime", "Curl",
            ]),
        .testTarget(
            name: "GatewayServiceTests",
            dependencies: [
                "GatewayService", "HostileProvider", "OMSModel", "OMSProtocol", "OMSBus", "OMSCore", "OMSRuntime",
                "Curl",
                logging,
            ]),
        .testTarget(
            name: "InteropTests",
            dependencies: [
                "OMSModel", "OMSProtocol", "OMSBus", "OMSRuntime", "Mosquitto", "Curl", "Postgres", "SQLite", logging,
            ]),
        .testTarget(
            name: "ReferenceProviderTests",
            dependencies: ["ReferenceProvider", "reference-sp", "OMSModel", "OMSRuntime", "SQLite", logging]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "CSystem", "OMSModel", "OMSProtocol", "OMSCore", "OMSRuntime", "Mosquitto", "Postgres", "OMSDev",
                "HostileProvider",
            ],
            exclude: ["independent.py"]),
    ]
}

// Only scripts/fuzz builds it: with libFuzzer, sanitizers, and a look into the modules (-enable-testing).
if Context.environment["OMS_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "oms-fuzz",
            dependencies: ["OMSModel", "OMSProtocol", "OMSCore", "OMSSimulation", "GatewayService", "OMSAdmin"],
            path: "Tests/Fuzz/Sources"))
}

for target in package.targets {
    switch target.type {
    case .regular, .executable, .test: if target.name != "CSystem" { target.swiftSettings = swiftSettings }
    default: break  // system libraries take no settings
    }
}
