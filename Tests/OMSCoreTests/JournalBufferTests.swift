import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The journal buffer")
struct JournalBufferTests {
    private func entry(_ number: Int) -> JournalEntry {
        JournalEntry(tick: TickRecord(service: "s", due: at(Int64(number)).wall, outcome: .fired, time: at(0).wall))
    }

    private func filled(_ count: Int) -> JournalBuffer {
        var buffer = JournalBuffer()
        for number in 1...count { buffer.append(entry(number), at: at(0)) }
        return buffer
    }

    @Test("numbers from 1 and sends batches of at most 200")
    func batches() {
        var buffer = filled(450)
        let batches = buffer.takeBatches(at: at(0))
        #expect(batches.map(\.firstSeq).first == 1)
        #expect(batches.map(\.entries.count).reduce(0, +) == 450)
        #expect(batches.allSatisfy { $0.entries.count <= Journal.maxEntries })
        #expect(buffer.takeBatches(at: at(100)).isEmpty, "once is enough while the answer may come")
    }

    @Test("goes back to the acknowledged number when it does not move, one batch at a time")
    func resends() {
        var buffer = filled(450)
        _ = buffer.takeBatches(at: at(0))
        buffer.acknowledge(150, at: at(1_000))
        #expect(buffer.takeBatches(at: at(3_999)).isEmpty)
        #expect(buffer.takeBatches(at: at(4_000)).map(\.firstSeq) == [151])
        #expect(buffer.unacknowledged == 300)
    }

    @Test("ignores acknowledgements out of its range")
    func strayAcknowledgements() {
        var buffer = filled(10)
        buffer.acknowledge(11, at: at(0))
        buffer.acknowledge(0, at: at(0))
        #expect(buffer.unacknowledged == 10)
        buffer.acknowledge(10, at: at(0))
        buffer.acknowledge(4, at: at(0))
        #expect(buffer.unacknowledged == 0)
        #expect(buffer.lastSeq == 10)
    }

    @Test("keeps a window, and all of it flows through it")
    func window() {
        var buffer = filled(5_000)
        var received = 0
        var now: Int64 = 0
        while buffer.unacknowledged > 0 {
            for batch in buffer.takeBatches(at: at(now)) {
                #expect(batch.firstSeq == received + 1)
                received += batch.entries.count
            }
            #expect(received - (5_000 - buffer.unacknowledged) <= JournalBuffer.window + Journal.maxEntries)
            buffer.acknowledge(received, at: at(now))
            now += 1
        }
        #expect(received == 5_000)
    }

    @Test("large entries make small batches")
    func large() {
        var buffer = JournalBuffer()
        let outputs: JSONObject = ["x": .string(String(repeating: "y", count: 30_000))]
        for number in 1...10 {
            let job = JobRecord(
                id: JobID(time: at(0).wall, of: "\(number)"), run: RunID(time: at(0).wall, of: "r"), service: "s",
                type: "t",
                provider: "p", attempt: 1, state: .succeeded, revision: 1, time: at(0).wall, created: at(0).wall,
                deadline: at(0).wall, outputs: outputs)
            buffer.append(JournalEntry(job: job), at: at(0))
        }
        #expect(buffer.takeBatches(at: at(0)).allSatisfy { $0.entries.count <= 4 })
    }

    @Test("a full one holds new ticks back; they fire when the registry is back")
    func full() {
        var (manager, _) = Fixture.manager(Fixture.config(Fixture.plan("harvest", every: 10)))
        while !manager.journal.isFull { manager.journal.append(entry(1), at: at(0)) }
        let held = manager.receive(.wake, at: at(10_000))
        #expect(
            held.commands.filter { $0.command.command == .submit && $0.command.job.time == at(10_000).wall }.isEmpty)
        let ack = manager.journal.lastSeq
        let free = manager.receive(.committed(Committed(epoch: 1, ackSeq: ack)), at: at(11_000))
        #expect(free.entries.compactMap(\.tick).map(\.due) == [at(10_000).wall])
    }
}
