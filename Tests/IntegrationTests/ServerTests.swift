import Foundation
import Glibc
import Mosquitto
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// Real servers, no services.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ServerTests {
    private func options(data: String? = nil) -> DevOptions {
        var options = DevOptions()
        options.extent = .servers
        options.dataFolder = data
        return options
    }

    @Test func theBrokerEnforcesTheTopicTable() async throws {
        try await DevEnvironment.with(options()) { environment in
            let control = MQTTMessage(topic: "tenant/x/wm/control", payload: Array("{}".utf8))
            for role in Role.allCases {
                let code = try await publish(control, environment.bus(role), user: role.rawValue)
                #expect(code == (role == .registry ? 0 : 0x87), "\(role)")
            }
            let query = MQTTMessage(topic: "oms/query", payload: Array("{}".utf8))
            #expect(try await publish(query, environment.bus(.monitor), user: "monitor") == 0)
        }
    }

    @Test func strangersAreRefused() async throws {
        try await DevEnvironment.with(options()) { environment in
            let endpoint = environment.bus(.monitor)
            await #expect(throws: (any Error).self) { try await publish(nil, endpoint, user: nil) }
            var wrong = endpoint
            wrong.password = "wrong"
            do {
                _ = try await BusConnection.open(wrong, kinds: [])
                Issue.record("accepted")
            } catch {
                #expect("\(error)".contains("refused the user 'monitor'"))
            }
        }
    }

    /// The registry's disk is the database's: whoever only reads must not be able to fill it.
    @Test func theReporterCannotLiftItsLimits() async throws {
        try await DevEnvironment.with(options()) { environment in
            try await onDatabase(environment.postgresConfiguration()) { connection in
                try await connection.execute(script: "ALTER ROLE reporter SET temp_file_limit = '8MB'")
            }
            try await onDatabase(environment.reporterConfiguration()) { connection in
                let sort = "SELECT g FROM generate_series(1, 2000000) g ORDER BY md5(g::text) OFFSET 1999999"
                let refused = await #expect(throws: PostgresError.self) { try await connection.query(sort) }
                #expect(refused?.sqlState == "53400", "the limit of the role holds")
                // This one it may lift; what it may write then is a matter of rights, and it has none.
                try await connection.execute(script: "SET default_transaction_read_only = off")
                for lift in ["SET temp_file_limit = -1", "ALTER ROLE reporter SET temp_file_limit = -1"] {
                    let refused = await #expect(throws: PostgresError.self) {
                        try await connection.execute(script: lift)
                    }
                    #expect(refused?.sqlState == "42501", "\(lift)")
                }
            }
        }
    }

    @Test func aKeptFolderIsUsedAgainAndBelongsToOneAtATime() async throws {
        let path = "/tmp/oms-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await DevEnvironment.with(options(data: path)) { environment in
            try await onDatabase(environment.postgresConfiguration()) { connection in
                try await connection.execute(script: "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)")
            }
            do {
                _ = try await DevEnvironment.with(options(data: path)) { _ in Issue.record("two on one folder") }
            } catch {
                #expect("\(error)".contains("is in use by another 'oms dev' (process \(getpid()))"))
            }
        }
        try await DevEnvironment.with(options(data: path)) { environment in
            try await onDatabase(environment.postgresConfiguration()) { connection in
                let rows = try await connection.query("SELECT x FROM kept").rows
                #expect(rows.first?[0] == "42")
            }
        }
    }

    @Test func theReporterCannotWrite() async throws {
        try await DevEnvironment.with(options()) { environment in
            try await onDatabase(environment.reporterConfiguration()) { connection in
                do {
                    try await connection.query("CREATE TEMP TABLE t (x int)")
                    Issue.record("created")
                } catch let error as PostgresError {
                    #expect(error.sqlState == "25006")  // read-only transaction, which ends a session of ours
                }
            }
            try await onDatabase(environment.reporterConfiguration()) { connection in
                let rows = try await connection.query("SHOW search_path").rows
                #expect(rows.first?[0] == "report")
            }
        }
    }

    @Test func aKilledServerComesBackOnTheSamePort() async throws {
        try await DevEnvironment.with(options()) { environment in
            let port = environment.mqttPort
            await environment.kill("mosquitto", SIGKILL)
            let bus = try await BusConnection.open(
                environment.bus(.monitor), kinds: [], persistent: true, deadline: .seconds(10))
            await bus.close()
            #expect(environment.mqttPort == port)
            #expect(await environment.supervisor.restarts(of: "mosquitto") == 1)
        }
    }

    // MARK: Helpers

    /// The PUBACK's reason code.
    @discardableResult
    private func publish(_ message: MQTTMessage?, _ endpoint: BusEndpoint, user: String?) async throws -> Int {
        let loop = EventLoop(name: "test")
        let configuration = MQTTConfiguration(
            host: endpoint.host, port: endpoint.port, clientID: "test-\(UInt32.random(in: 0 ... .max))", username: user,
            password: user == nil ? nil : endpoint.password)
        let client = MQTTClient(loop: loop, configuration: configuration) { _ in }
        await client.start()
        defer { HelperThread.run(name: "end") { loop.shutdown() } }
        do {
            try await client.waitUntilConnected(deadline: .seconds(3))
            if let message { try await client.publish(message) }
            await client.disconnect()
            return 0
        } catch let error as MQTTError {
            await client.disconnect()
            if case .refused(let code) = error.code { return code }
            throw error
        }
    }

    private func onDatabase(
        _ configuration: PostgresConfiguration, _ body: (PostgresConnection) async throws -> Void
    ) async throws {
        let thread = PinnedThread(name: "test-postgres")
        let connection = PostgresConnection(thread: thread)
        do {
            try await connection.connect(configuration)
            try await body(connection)
        } catch {
            Issue.record(error)
        }
        await connection.close()
        HelperThread.run(name: "end") { thread.shutdown() }
    }
}

/// What an operator reads when something is missing or broken.
@Suite(.serialized, .timeLimit(.minutes(2))) struct FailureSentenceTests {
    /// A folder with shell scripts in place of our programs.
    private func programs(_ script: String) throws -> DataFolder {
        let folder = try DataFolder(nil)
        for name in ["oms-registry", "sp-gateway", "wm-fleet", "reference-sp"] {
            try folder.write("#!/bin/sh\n\(script)\n", to: name, mode: 0o755)
        }
        return folder
    }

    private func failure(_ change: (inout DevOptions) -> Void) async -> String {
        var options = DevOptions()
        change(&options)
        do {
            try await DevEnvironment.with(options) { _ in Issue.record("it started") }
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func aServiceThatKeepsCrashingIsNamedWithItsLastWords() async throws {
        let folder = try programs("echo 'no such table: moon' >&2; exit 7")
        let data = folder.file("data")
        let sentence = await failure {
            $0.binaryFolder = folder.path
            $0.dataFolder = data
        }
        #expect(
            sentence == "oms-registry died 3 times while starting (exit code 7); its last words: no such table: moon; "
                + "all of them: \(data)/logs/oms-registry.log")
        folder.unlock()
        folder.remove()
    }

    @Test func aMissingProgramIsNamed() async {
        let sentence = await failure { $0.binaryFolder = "/nowhere" }
        #expect(sentence.hasPrefix("the program oms-registry is not in /nowhere; build it with"))
    }

    @Test func aMissingExampleIsNamed() async throws {
        let folder = try programs("exit 0")
        let sentence = await failure {
            $0.binaryFolder = folder.path
            $0.extent = .demo
            $0.exampleFolder = "/nowhere"
        }
        #expect(sentence.hasPrefix("the example folder /nowhere has no readable folder 'data'"))
        folder.unlock()
        folder.remove()
    }

    @Test func aTakenPortIsNamed() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        #expect(isListening)
        let port = Int(UInt16(bigEndian: address.sin_port))
        let sentence = await failure { $0.mqttPort = port }
        #expect(sentence.hasPrefix("port \(port) of 127.0.0.1 is taken"))
    }
}
