import Foundation
import HostileProvider
import Mosquitto
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres
import Testing

/// A judge that finds nothing must have been able to find something.
@Suite("Soak checker", .serialized, .timeLimit(.minutes(3)))
struct SoakCheckerTests {
    /// What is falsified in the database, and the violation that must be found.
    private static let forgeries: [(sql: String, finding: String)] = [
        ("UPDATE oms.job SET message = 'x' WHERE id = (SELECT id FROM oms.job LIMIT 1)", "changed after its end"),
        (
            "DELETE FROM oms.tick WHERE (tenant, service, due) = (SELECT tenant, service, due FROM oms.tick "
                + "WHERE service = 'stopped' ORDER BY due OFFSET 2 LIMIT 1)", "ticks lost or doubled"
        ),
        (
            "UPDATE oms.job SET state = 'running', finished_at = NULL WHERE id = (SELECT id FROM oms.job LIMIT 1)",
            "jobs without an end"
        ),
        (
            "INSERT INTO oms.job_event SELECT job_id, epoch + 1, revision, 'failed', time FROM oms.job_event "
                + "WHERE state = 'succeeded' LIMIT 1", "two different ends"
        ),
        (
            "DELETE FROM oms.job WHERE id = (SELECT id FROM oms.job ORDER BY id DESC LIMIT 1)",
            "of which PostgreSQL knows nothing"
        ),
        ("DELETE FROM oms.drain_receipt", "ended epochs without a receipt"),
        (
            "INSERT INTO oms.quarantine (tenant, epoch, seq, entry, error, fact) VALUES ('tenant-1', 1, 1, '{}', 'x', 'job/1')",
            "quarantine"
        ),
        (
            "UPDATE oms.job SET state = 'failed' WHERE id = (SELECT id FROM oms.job WHERE state = 'succeeded' LIMIT 1)",
            "its row says failed"
        ),
        (
            "UPDATE oms.operation SET phase = 'draining', ended_at = NULL WHERE id = (SELECT id FROM oms.operation LIMIT 1)",
            "operations without an end"
        ),
    ]

    @Test("each forged fact is found, and an honest history has none")
    func finds() async throws {
        try await SmallWorld.with { world in
            let recorder = await BusRecorder.start(world.environment.bus(.monitor))
            try await world.environment.apply(SmallWorld.flow(["tenant-1"], world))
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 8")
            try await world.environment.insist(["replace", "tenant-1", "--wait"])
            try await world.database.wait(until: "(\(SmallWorld.succeeding)) >= 16")
            let over = SmallWorld.flow(["tenant-1"], world, isOver: true)
            _ = try await world.checkStory(after: over)
            #expect(recorder.found.violations == [])

            for (sql, finding) in Self.forgeries {
                // Each alone, in a transaction that is taken back.
                let connection = world.database.connection
                try await connection.query("BEGIN")
                try await connection.query(sql)
                var checker = SoakChecker(world.database, world.providers)
                try await checker.check()
                try await connection.query("ROLLBACK")
                #expect(checker.violations.contains { $0.contains(finding) }, "\(finding): \(checker.violations)")
            }

            try await checkLog(world)
            try await checkBus(world, recorder)
            await recorder.stop()
        }
    }

    /// A provider that was asked by an epoch that is over, and for a job that nobody knows.
    private func checkLog(_ world: SmallWorld) async throws {
        let job = JobID(time: Timestamp(milliseconds: WallClock.milliseconds), of: "forged").description
        let body: JSONValue = [
            "id": .string(job), "tenant": "tenant-1", "service": "count", "config": ["parameters": ["duration_ms": 0]],
        ]
        world.providers[0].submit(body, epoch: 1)
        var checker = SoakChecker(world.database, world.providers)
        try await checker.check()
        #expect(checker.violations.contains { $0.hasPrefix("tenant-1: epoch 1 acted") }, "\(checker.violations)")
        #expect(!checker.violations.contains { $0.contains("of which PostgreSQL knows nothing") }, "it was refused")
        world.providers[0].submit(body, epoch: 99)
        var second = SoakChecker(world.database, world.providers)
        try await Task.sleep(for: .milliseconds(2 * HostileProvider.beginsWithinMilliseconds))
        try await second.check()
        #expect(second.violations.contains { $0.contains("of which PostgreSQL knows nothing") })
    }

    /// What a broken registry could say: the broker lets it.
    private func checkBus(_ world: SmallWorld, _ recorder: BusRecorder) async throws {
        let endpoint = world.environment.bus(.registry)
        let bus = try await BusConnection.open(endpoint, kinds: [])
        let epoch = WMEpoch(
            epoch: 1, fleet: "fleet-1", generation: 1, since: Timestamp(milliseconds: WallClock.milliseconds))
        // An old epoch, from somebody who calls himself `cli`.
        try await bus.send(Message(.wmEpoch("tenant-1"), .wmEpoch(epoch)), id: "forged")
        let found = try await Attempts.until(deadline: .seconds(10)) {
            recorder.found.violations.count >= 2 ? recorder.found.violations : nil
        }
        #expect(found?.contains { $0.contains("written by cli/") } == true)
        #expect(found?.contains { $0.contains("epoch 1 after 2") } == true)
        await bus.close()
    }
}
