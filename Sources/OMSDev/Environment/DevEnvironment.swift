import FoundationEssentials
import Glibc
package import OMSRuntime

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
    let ports: Locked<Ports>

    struct Ports: Sendable {
        var postgres = 0
        var mqtt = 0
        var providers: [String: Int] = [:]
        var detours: [String: Detour] = [:]
    }

    /// Other ports that a service finds the servers at, for tests that put something in between.
    package struct Detour: Sendable {
        package var mqtt: Int?
        package var postgres: Int?

        package init(mqtt: Int? = nil, postgres: Int? = nil) {
            self.mqtt = mqtt
            self.postgres = postgres
        }
    }

    package var postgresPort: Int { ports.withLock { $0.postgres } }
    package var mqttPort: Int { ports.withLock { $0.mqtt } }

    /// Before the service is started.
    package func lead(_ child: String, over detour: Detour) { ports.withLock { $0.detours[child] = detour } }

    /// Starts an environment, runs `body` in it, and stops it.
    ///
    /// - Throws: `DevError`, or what `body` throws. Then a temporary data folder stays for a look at its logs.
    @discardableResult
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

    static func example(_ options: DevOptions) throws(DevError) -> String {
        guard let folder = options.exampleFolder else {
            throw DevError(
                "no example folder was given; name it with --example, for instance --example examples/open-bandit")
        }
        return DataFolder.absolute(folder)
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
}
