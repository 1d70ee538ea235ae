import FoundationEssentials
import Glibc
import OMSModel
package import OMSProtocol
import OMSRuntime
package import Postgres

/// For users and tests: where things are, who one is there, and what runs.
extension DevEnvironment {
    package func bus(_ role: Role) -> BusEndpoint {
        BusEndpoint(
            host: "127.0.0.1", port: mqttPort, user: role.rawValue, password: mosquitto.passwords[role]?.value ?? "")
    }

    package func passwordFile(_ role: Role) -> String { folder.file("secrets/mqtt-\(role.rawValue)") }

    /// As the owner of all, for tests; services get the same through their command lines.
    package func postgresConfiguration(applicationName: String = "oms-dev") -> PostgresConfiguration {
        postgres.configuration(
            port: postgresPort, password: postgres.password, user: PostgresServer.owner, applicationName)
    }

    /// A program of the same PostgreSQL, such as `pg_dump`.
    package func postgresProgram(_ name: String) -> String { postgres.binaries + "/" + name }

    package func reporterConfiguration(applicationName: String = "oms-dev") -> PostgresConfiguration {
        postgres.configuration(
            port: postgresPort, password: postgres.reporterPassword, user: PostgresServer.reporter, applicationName)
    }

    /// `["ALPHA_URL": "http://127.0.0.1:4711", ...]`, for the example's documents.
    package var providerAddresses: [String: String] {
        let known = ports.withLock { $0.providers }
        return Dictionary(
            uniqueKeysWithValues: ReferenceProvider.all.compactMap { provider in
                known[provider.name].map { (provider.addressVariable, "http://127.0.0.1:\($0)") }
            })
    }

    /// To start it again after a stop.
    package func postgresSpec() -> ChildSpec { postgres.child(port: postgresPort) }

    package func pid(of child: String) async -> Int32? { await supervisor.pid(of: child) }

    @discardableResult
    package func kill(_ child: String, _ signal: Int32) async -> Bool { await supervisor.kill(child, signal) }

    /// Writes `oms-dev.json` (no passwords) and `env`, which makes the `oms` commands work when sourced.
    package func describe(_ state: String) async throws {
        var children: JSONObject = [:]
        for child in await supervisor.running {
            children[child.name] = ["pid": .int(Int64(child.pid)), "log": .string(folder.log(child.name))]
        }
        let description: JSONValue = [
            "state": .string(state), "pid": .int(Int64(getpid())), "data": .string(folder.path),
            "mqtt": [
                "host": "127.0.0.1", "port": .int(Int64(mqttPort)),
                "users": .array(Role.allCases.map { .string($0.rawValue) }),
                "password_files": .object(
                    JSONObject(uniqueKeysWithValues: Role.allCases.map { ($0.rawValue, .string(passwordFile($0))) })),
            ],
            "postgres": [
                "host": "127.0.0.1", "port": .int(Int64(postgresPort)), "database": .string(PostgresServer.database),
                "users": [.string(PostgresServer.owner), .string(PostgresServer.reporter)],
                "password_file": .string(postgres.password.file),
                "reporter_passfile": .string(folder.file("secrets/pgpass")),
            ],
            "providers": .object(JSONObject(providerAddresses.mapValues { .string($0) })),
            "children": .object(children),
        ]
        try folder.write(description.text(pretty: true) + "\n", to: "oms-dev.json", mode: 0o644)
        let variables = [
            ("OMS_MQTT_HOST", "127.0.0.1"), ("OMS_MQTT_PORT", "\(mqttPort)"), ("OMS_MQTT_USER", Role.admin.rawValue),
            ("OMS_MQTT_PASSWORD_FILE", passwordFile(.admin)),
        ]
        let lines = (variables + providerAddresses.sorted { $0.key < $1.key }).map { "export \($0.0)='\($0.1)'\n" }
        // `oms` itself need not be installed.
        let path = "export PATH='\(Executables.ownFolder(options.binaryFolder))':\"$PATH\"\n"
        try folder.write(lines.joined() + path, to: "env", mode: 0o644)
    }
}
