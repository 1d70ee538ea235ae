// swift-tools-version: 6.2
// Runs the threading tests under the thread sanitizer without building the rest of the system:
//   swift test --package-path Tests/Sanitizer --sanitize=thread
// The tests are those of Tests/InteropTests/Runtime, by a symbolic link.
import PackageDescription

let package = Package(
    name: "sanitizer",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "oms", path: "../.."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .testTarget(
            name: "RuntimeTests",
            dependencies: [
                .product(name: "OMSRuntime", package: "oms"), .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: [
                .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
            ])
    ]
)
