import OMSRuntime

/// The command lines of our services.
extension DevEnvironment {
    package static let registryName = "oms-registry"
    package static let gatewayName = "sp-gateway"
    package static let fleetName = "wm-fleet"

    private func service(_ program: String, name: String, stage: Int, _ arguments: [String]) throws(DevError)
        -> ChildSpec
    {
        var child = ChildSpec(
            name: name, executable: try Executables.own(program, in: options.binaryFolder),
            arguments: arguments + (options.extraArguments[name] ?? []), logFile: folder.log(name))
        child.environment.merge(options.extraEnvironment[name] ?? [:]) { $1 }
        child.stage = stage
        child.longestRestartDelay = options.longestRestartDelay
        child.folder = folder.path
        return child
    }

    /// Names and ids of the processes of one service.
    package static func instances(_ program: String, _ count: Int) -> [(name: String, id: String)] {
        let short = program.split(separator: "-").last ?? ""
        return (1...max(1, count)).map { ($0 == 1 ? program : "\(program)-\($0)", "\(short)-\($0)") }
    }

    private func busArguments(_ role: String, of name: String) -> [String] {
        let port = ports.withLock { $0.detours[name]?.mqtt ?? $0.mqtt }
        return [
            "--mqtt-host", "127.0.0.1", "--mqtt-port", "\(port)", "--mqtt-user", role,
            "--mqtt-password-file", folder.file("secrets/mqtt-\(role)"),
        ]
    }

    /// - Parameter name: Of the child; also the id in the system unless it is the default.
    package func registry(name: String = registryName, id: String = "registry-1") throws(DevError) -> ChildSpec {
        let port = ports.withLock { $0.detours[name]?.postgres ?? $0.postgres }
        return try service(
            "oms-registry", name: name, stage: 2,
            ["--id", id] + busArguments("registry", of: name) + [
                "--pg-host", "127.0.0.1", "--pg-port", "\(port)", "--pg-database", PostgresServer.database,
                "--pg-user", PostgresServer.owner, "--pg-password-file", postgres.password.file,
                "--heartbeat-seconds", "\(options.heartbeatSeconds)", "--state-dir", folder.file("registry-\(id)"),
                "--log-level", options.logLevel,
            ])
    }

    package func gateway(name: String = gatewayName, id: String = "gateway-1") throws(DevError) -> ChildSpec {
        try service(
            "sp-gateway", name: name, stage: 3,
            ["--id", id] + busArguments("gateway", of: name) + [
                "--allow-private", "127.0.0.0/8", "--credentials-dir", folder.file("credentials"),
                "--ledger-dir", folder.file("ledger-\(id)"),
                "--log-level", options.logLevel,
            ])
    }

    package func fleet(name: String = fleetName, id: String = "fleet-1") throws(DevError) -> ChildSpec {
        try service(
            "wm-fleet", name: name, stage: 4,
            ["--id", id] + busArguments("fleet", of: name) + [
                "--state-dir", folder.file("fleet-\(id)"), "--log-level", options.logLevel,
            ])
    }

    func reference(_ provider: ReferenceProvider, port: Int, example: String) throws(DevError) -> ChildSpec {
        try service(
            "reference-sp", name: provider.childName, stage: 2,
            [
                "--port", "\(port)", "--name", provider.name, "--data-root", example + "/data",
                "--store-root", folder.file("store"), "--state", folder.file("sp-\(provider.name).sqlite"),
                "--services", provider.services,
            ] + (provider.recommendMethod.map { ["--recommend-method", $0] } ?? []))
    }
}

extension DevEnvironment {
    /// Starts one of the example's providers again, at the port that it had.
    package func startProvider(_ name: String, port: Int) async throws {
        guard let provider = ReferenceProvider.all.first(where: { $0.name == name }) else {
            throw DevError("the example has no provider '\(name)'")
        }
        try await supervisor.start(try reference(provider, port: port, example: try Self.example(options)))
    }
}
