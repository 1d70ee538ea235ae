import Foundation
import Glibc
import OMSDev
import OMSRuntime
import Postgres
import Testing

/// Two PostgreSQL servers with streaming replication, and a registry that knows both of them.
@Suite("Fail-over to a streaming replica", .serialized, .timeLimit(.minutes(4)))
struct StreamingReplicaTests {
    private let tenants = ["tenant-1", "tenant-2"]
    private let replica = "postgres-replica"

    private func flowing(_ body: (SmallWorld, _ replica: Database) async throws -> Void) async throws {
        let ports = try FreePorts.find(2)
        let change: (inout DevOptions) -> Void = { options in
            options.postgresPort = ports[0]
            options.extraArguments["oms-registry"] = [
                "--pg-host", "127.0.0.1,127.0.0.1", "--pg-port", "\(ports[0]),\(ports[1])",
            ]
        }
        try await SmallWorld.with(providers: 2, change) { world in
            try await world.environment.apply(SmallWorld.flow(tenants, world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 12")
            let configuration = try await startReplica(world, port: ports[1])
            try await world.database.wait(
                until: "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'", seconds: 30)
            let replica = try await Database.openPatiently(configuration)
            try await body(world, replica)
            await replica.close()
        }
    }

    private func startReplica(_ world: SmallWorld, port: Int) async throws -> PostgresConfiguration {
        let environment = world.environment
        let data = environment.folder.file("postgres/replica")
        var configuration = environment.postgresConfiguration()
        let words = configuration.parameters
        let copied = try await run(
            environment.postgresProgram("pg_basebackup"),
            [
                "-D", data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-h", "127.0.0.1", "-p",
                words["port"] ?? "", "-U", words["user"] ?? "",
            ],
            environment: ["PGPASSWORD": words["password"] ?? ""])
        #expect(copied.status == 0, "\(copied.errors)")
        let owned = try await run(
            "/bin/chown", ["-R", "--reference=\(environment.folder.file("postgres/data"))", data])
        #expect(owned.status == 0 && chmod(data, 0o700) == 0, "\(owned.errors)")
        var server = environment.postgresSpec()
        server.name = replica
        server.folder = data
        server.logFile = environment.folder.log(replica)
        server.arguments = server.arguments.map {
            $0 == environment.folder.file("postgres/data") ? data : $0.hasPrefix("port=") ? "port=\(port)" : $0
        }
        try await environment.supervisor.start(server)
        configuration.parameters["port"] = "\(port)"
        return configuration
    }

    private func set(_ setting: String, in database: Database) async throws {
        try await database.connection.execute(script: "ALTER SYSTEM \(setting)")
        try await database.connection.execute(script: "SELECT pg_reload_conf()")
    }

    /// As whoever manages the fail-over does it: the old primary is fenced off before the replica is promoted.
    private func failOver(_ world: SmallWorld, to replica: Database) async throws {
        await world.database.close()
        #expect(await world.environment.kill("postgres", SIGKILL))
        await world.environment.supervisor.stop("postgres")
        #expect(try await replica.number("SELECT pg_promote(true, 30)::int") == 1)
    }

    /// Until something is recorded at the new primary that was not before.
    private func recordedAgain(_ database: Database) async throws -> Int64 {
        let ended = "SELECT count(*) FROM report.job WHERE finished_at IS NOT NULL"
        let began = MonotonicClock.milliseconds
        let before = try await database.number(ended)
        try await database.wait(until: "(\(ended)) > \(before)", seconds: 30)
        return MonotonicClock.milliseconds - began
    }

    private func log(_ world: SmallWorld) -> String {
        DataFolder.read(world.environment.folder.log("oms-registry")) ?? ""
    }

    @Test("a replica that has all: recorded again within 10 s, nothing is lost, and nothing is said to be")
    func whole() async throws {
        try await flowing { world, replica in
            // What asynchronous replication has not sent when the primary dies is the other test's matter.
            try await set("SET synchronous_standby_names = '*'", in: world.database)
            try await world.database.wait(
                until: "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'", seconds: 30)
            let before = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(before + 10)")
            try await failOver(world, to: replica)
            // The setting came with the data, and there is no second server to wait for any more.
            try await set("RESET synchronous_standby_names", in: replica)
            let took = try await recordedAgain(replica)
            #expect(took < 10_000, "recorded again after \(took) ms")
            #expect(!log(world).contains("database.lost"), "nothing was")
            #expect(try await replica.number("SELECT max(epoch) FROM oms.epoch") == 1, "no Work Manager was replaced")
            let counts = try await world.checkStory(after: SmallWorld.flow(tenants, world, isOver: true), replica)
            print("fail-over to a synchronous replica: recorded again after \(took) ms; \(counts)")
        }
    }

    @Test("a replica that lagged: recorded again within 10 s, nothing doubled, what is lost is named (C1)")
    func lagging() async throws {
        try await flowing { world, replica in
            try await set("SET primary_conninfo = ''", in: replica)
            try await replica.wait(until: "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
            let before = try await world.database.number(SmallWorld.succeeding)
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= \(before + 20)")
            let committed = try await world.database.number("SELECT sum(ack_seq) FROM oms.epoch")
            try await failOver(world, to: replica)
            #expect(try await replica.number("SELECT sum(ack_seq) FROM oms.epoch") < committed, "it did not lag")
            let took = try await recordedAgain(replica)
            #expect(took < 10_000, "recorded again after \(took) ms")
            try await replica.wait(
                until: "SELECT count(*) = 2 FROM report.tenant_status WHERE manager_state = 'active' AND epoch > 1")
            let log = log(world)
            #expect(log.contains("database.behind"), "an operator reads of it")
            for tenant in tenants {
                #expect(log.contains("tenant \(tenant): of epoch 1 "), "and what of \(tenant) is lost")
            }
            #expect(await world.environment.supervisor.restarts(of: "oms-registry") == 0)
            let counts = try await world.checkStory(
                after: SmallWorld.flow(tenants, world, isOver: true), replica, forgotten: [])
            print("fail-over to a replica that lagged: recorded again \(took) ms after its promotion; \(counts)")
        }
    }
}
