import FoundationEssentials
import Glibc
import OMSModel
package import OMSProtocol
package import OMSRuntime
package import Postgres

/// A whole OMS of one's own: private servers, services, example providers. Used by `oms dev` and by integration tests.
///
/// `with` is the way in: it stops everything at its end, however that comes, and keeps the logs of a failed run.
package final class DevEnvironment: Sendable {
    package let options: DevOptions
    package let folder: DataFolder
    package let supervisor: ProcessSupervisor
    /// Of the supervisor; also for a `SignalWatcher`.
    package let loop: EventLoop
    let postgres: PostgresServer
    let mosquitto: MosquittoServer
    private let ports: Locked<Ports>

    private struct Ports: Sendable {
        var postgres = 0
        var mqtt = 0
        var providers: [String: Int] = [:]
    }

    package var postgresPort: Int { ports.withLock { $0.postgres } }
    package var mqttPort: Int { ports.withLock { $0.mqtt } }

    /// Starts an environment, runs `body` in it, and stops it.
    ///
    /// - Throws: `DevError`, or what `body` throws. Then a temporary data folder stays for a look at its logs.
    package static func with<Value: Sendable>(
        _ options: DevOptions, _ body: (DevEnvironment) async throws -> Value
    ) async throws -> Value {
        let environment = try DevEnvironment(options)
        do {
            try await environment.start()
            let value = try await body(environment)
            await environment.stop()
            environment.release(keep: !environment.folder.isTemporary)
            return value
        } catch {
            await environment.stop()
            let isCancelled = error is CancellationError
            environment.release(keep: !(environment.folder.isTemporary && isCancelled))
            if !isCancelled && environment.folder.isTemporary {
                options.onEvent(.note("logs are kept in \(environment.folder.path)/logs"))
            }
            throw error
        }
    }

    private init(_ options: DevOptions) throws {
        self.options = options
        if let port = options.mqttPort { try FreePorts.check(port, option: "--mqtt-port") }
        if let port = options.postgresPort { try FreePorts.check(port, option: "--pg-port") }
        folder = try DataFolder(options.dataFolder)
        do {
            postgres = try PostgresServer(folder: folder)
            mosquitto = try MosquittoServer(folder: folder)
            if options.extent >= .services {
                for program in ["oms-registry", "sp-gateway", "wm-fleet"] {
                    _ = try Executables.own(program, in: options.binaryFolder)
                }
            }
            if options.extent >= .demo {
                _ = try Executables.own("reference-sp", in: options.binaryFolder)
                let example = try Self.example(options)
                guard access(example + "/data", R_OK) == 0 else {
                    throw DevError(
                        "the example folder \(example) has no readable folder 'data'; name another with --example")
                }
            }
        } catch {
            folder.unlock()
            if folder.isTemporary { folder.remove() }
            throw error
        }
        ports = Locked(Ports())
        loop = EventLoop(name: "supervisor")
        let onEvent = options.onEvent
        supervisor = ProcessSupervisor(loop: loop) { onEvent(.child($0)) }
    }

    private static func example(_ options: DevOptions) throws(DevError) -> String {
        guard let folder = options.exampleFolder else {
            throw DevError(
                "no example folder was given; name it with --example, for instance --example examples/open-bandit")
        }
        return DataFolder.absolute(folder)
    }

    // MARK: Starting

    private func start() async throws {
        try await startPostgres()
        try await startMosquitto()
        try await describe("servers ready")
        if options.extent >= .services { try await startServices() }
        if options.extent >= .demo { try await startProviders() }
        try await describe("ready")
    }

    private func startPostgres() async throws {
        options.onEvent(.starting(PostgresServer.childName))
        try await postgres.prepare(supervisor)
        try await retryingPorts(given: options.postgresPort, of: PostgresServer.childName) { port in
            ports.withLock { $0.postgres = port }
            try await supervisor.start(postgres.child(port: port))
            try await postgres.setUp(self)
        }
        options.onEvent(.ready(PostgresServer.childName))
    }

    private func startMosquitto() async throws {
        options.onEvent(.starting(MosquittoServer.childName))
        try await retryingPorts(given: options.mqttPort, of: MosquittoServer.childName) { port in
            ports.withLock { $0.mqtt = port }
            try await mosquitto.prepare(supervisor, port: port)
            try await supervisor.start(mosquitto.child())
            try await waitUntil(MosquittoServer.childName, "answers") { [self] in
                try? await BusConnection.open(bus(.monitor), kinds: [], deadline: .seconds(2))
            }.close()
        }
        options.onEvent(.ready(MosquittoServer.childName))
    }

    /// A port that was free a moment ago may be taken by now: then another one.
    private func retryingPorts(given: Int?, of child: String, _ start: (Int) async throws -> Void) async throws {
        for attempt in 1... {
            let port = try given ?? FreePorts.find(1)[0]
            do {
                return try await start(port)
            } catch let error as DevError {
                let log = DataFolder.read(folder.log(child)) ?? ""
                guard given == nil, attempt < 5, log.contains("in use") else { throw error }
                await supervisor.stop(child)
                unlink(folder.log(child))
            }
        }
    }

    private func startServices() async throws {
        try await startAndWait(registry(), kind: .registryPresence)
        try await startAndWait(gateway(), kind: .gatewayPresence)
        try await startAndWait(fleet(), kind: .fleetPresence)
        try await postgres.grantReporting(self)
    }

    private func startProviders() async throws {
        let example = try Self.example(options)
        let free = try FreePorts.find(ReferenceProvider.all.count)
        for (provider, port) in zip(ReferenceProvider.all, free) {
            ports.withLock { $0.providers[provider.name] = port }
            options.onEvent(.starting(provider.childName))
            try await supervisor.start(try reference(provider, port: port, example: example))
        }
        for (provider, port) in zip(ReferenceProvider.all, free) {
            _ = try await waitUntil(provider.childName, "listens") { await Self.answers(port) ? true : nil }
            options.onEvent(.ready(provider.childName))
        }
    }

    /// Starts a service and waits for its birth message.
    package func startAndWait(_ spec: ChildSpec, kind: TopicKind) async throws {
        options.onEvent(.starting(spec.name))
        let watch = try await BusConnection.open(bus(.monitor), kinds: [kind], persistent: true)
        try await supervisor.start(spec)
        let isOnline = Locked(false)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await case .message(let message, _) in watch.events {
                        if case .presence(let presence) = message.payload, presence.state == .online {
                            isOnline.withLock { $0 = true }
                            return
                        }
                    }
                    throw CancellationError()
                }
                group.addTask { [self] in
                    // Only for its failures: a child that dies again and again, and the deadline.
                    _ = try await waitUntil(spec.name, "is online on the bus") { isOnline.withLock { $0 } ? true : nil }
                }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            await watch.close()
            throw error
        }
        await watch.close()
        options.onEvent(.ready(spec.name))
    }

    /// Tries until the child is as it should be, it has died three times, or the deadline passes.
    func waitUntil<Value: Sendable>(
        _ child: String, _ goal: String, _ attempt: () async throws -> Value?
    ) async throws -> Value {
        let value = try await Attempts.until(deadline: options.startDeadline) { () async throws -> Value? in
            if let value = try await attempt() { return value }
            let deaths = await supervisor.deaths(of: child)
            if deaths.count >= 3, let last = deaths.last {
                throw failure("\(child) died \(deaths.count) times while starting (\(last))", child)
            }
            return nil
        }
        guard let value else {
            throw failure(
                "\(child) was started but not ready within \(options.startDeadline) (it never \(goal))", child)
        }
        return value
    }

    private func failure(_ what: String, _ child: String) -> DevError {
        let log = folder.log(child)
        return DevError("\(what); its last words: \(DataFolder.lastLine(of: log) ?? "none"); all of them: \(log)")
    }

    private static func answers(_ port: Int) async -> Bool {
        await withCheckedContinuation { continuation in
            HelperThread.run(name: "probe") {
                let address = try? TCPProbe.firstReachableAddress(host: "127.0.0.1", port: port, timeout: .seconds(1))
                continuation.resume(returning: address != nil)
            }
        }
    }

    // MARK: Stopping

    private func stop() async {
        await supervisor.stopAll()
        let loop = loop
        await withCheckedContinuation { continuation in
            HelperThread.run(name: "supervisor-end") {
                loop.shutdown()
                continuation.resume()
            }
        }
    }

    private func release(keep: Bool) {
        folder.unlock()
        if !keep { folder.remove() }
    }

    // MARK: For users and tests

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

    package func pid(of child: String) async -> Int32? { await supervisor.pid(of: child) }

    @discardableResult
    package func kill(_ child: String, _ signal: Int32) async -> Bool { await supervisor.kill(child, signal) }

    /// Writes `oms-dev.json` (no passwords) and `env`, which makes the `oms` commands work when sourced.
    package func describe(_ state: String) async throws {
        var children: [String: JSONValue] = [:]
        for child in await supervisor.running {
            children[child.name] = ["pid": .int(Int64(child.pid)), "log": .string(folder.log(child.name))]
        }
        let description: JSONValue = [
            "state": .string(state), "pid": .int(Int64(getpid())), "data": .string(folder.path),
            "mqtt": [
                "host": "127.0.0.1", "port": .int(Int64(mqttPort)),
                "users": .array(Role.allCases.map { .string($0.rawValue) }),
                "password_files": .object(
                    Dictionary(uniqueKeysWithValues: Role.allCases.map { ($0.rawValue, .string(passwordFile($0))) })),
            ],
            "postgres": [
                "host": "127.0.0.1", "port": .int(Int64(postgresPort)), "database": .string(PostgresServer.database),
                "users": [.string(PostgresServer.owner), .string(PostgresServer.reporter)],
                "password_file": .string(postgres.password.file),
                "reporter_passfile": .string(folder.file("secrets/pgpass")),
            ],
            "providers": .object(providerAddresses.mapValues { .string($0) }),
            "children": .object(children),
        ]
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try folder.write(
            String(decoding: try encoder.encode(description), as: UTF8.self) + "\n", to: "oms-dev.json", mode: 0o644)
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
