import Glibc
import OMSModel
package import OMSProtocol
import OMSRuntime

/// Brings everything up, in order.
extension DevEnvironment {
    func start() async throws {
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
            try await waitUntil(MosquittoServer.childName, "answered") { [self] in
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

    /// Called by the start unless `extent` is less.
    package func startServices() async throws {
        for (name, id) in Self.instances(Self.registryName, options.registries) {
            // The first one is active before the others come.
            let ready: Set<Presence.State> = name == Self.registryName ? [.online] : [.online, .standby]
            try await startAndWait(registry(name: name, id: id), kind: .registryPresence, ready)
        }
        for (name, id) in Self.instances(Self.gatewayName, options.gateways) {
            try await startAndWait(gateway(name: name, id: id), kind: .gatewayPresence)
        }
        for (name, id) in Self.instances(Self.fleetName, options.fleets) {
            try await startAndWait(fleet(name: name, id: id), kind: .fleetPresence)
        }
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
            _ = try await waitUntil(provider.childName, "listened") { await Self.answers(port) ? true : nil }
            options.onEvent(.ready(provider.childName))
        }
    }

    /// Starts a service and waits for its birth message.
    package func startAndWait(
        _ spec: ChildSpec, kind: TopicKind, _ states: Set<Presence.State> = [.online]
    ) async throws {
        options.onEvent(.starting(spec.name))
        let watch = try await BusConnection.open(bus(.monitor), kinds: [kind], persistent: true)
        let id = spec.arguments.drop { $0 != "--id" }.dropFirst().first
        let before = WallClock.milliseconds
        try await supervisor.start(spec)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await case .message(let message, _) in watch.events {
                        // Of this one and of this life: births of others, and of its past, are retained.
                        if case .presence(let presence) = message.payload,
                            states.contains(presence.state),
                            presence.boot >= before, id.map({ message.topic.name.contains("/\($0)/") }) ?? true
                        {
                            return
                        }
                    }
                    throw CancellationError()
                }
                group.addTask { [self] in
                    // Only for its failures: a child that dies again and again, and the deadline.
                    _ = try await waitUntil(spec.name, "said on the bus that it is online") { nil as Bool? }
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
}
