import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The Work Manager's way out")
struct DrainTests {
    private func plan(_ id: ServiceID, _ action: ReplaceAction?) -> ServicePlan {
        var plan = Fixture.plan(id, every: 3600)
        plan.onReplace = action
        return plan
    }

    private func drained(_ effects: [WorkManager.Effect]) -> Int? {
        for case .drained(let seq) in effects { return seq }
        return nil
    }

    private func committed(_ manager: inout WorkManager, at now: Moment) -> [WorkManager.Effect] {
        manager.receive(.committed(Committed(epoch: 1, ackSeq: manager.journal.lastSeq)), at: now)
    }

    @Test("stops its jobs, fires nothing new, and is done only when the last fact is committed")
    func stops() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(Fixture.plan("harvest", every: 60)))
        let job = try #require(effects.commands.first).command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(10))), at: at(10))
        effects = manager.receive(.drain(until: at(60_000).wall), at: at(20))
        #expect(effects.commands.map(\.command.command) == [.stop])
        #expect(effects.contains(.draining(remaining: 1)))
        effects = manager.receive(.wake, at: at(60_500))
        #expect(effects.commands.allSatisfy { $0.command.command == .stop }, "a due tick waits for the next epoch")
        effects = manager.receive(.jobEvent("alpha", event(job, .stopped, at: at(60_600))), at: at(60_600))
        #expect(drained(effects) == nil, "not before the registry has it all")
        #expect(effects.results.count == 1)
        effects = committed(&manager, at: at(60_700))
        #expect(drained(effects) == manager.journal.lastSeq)
        #expect(drained(manager.receive(.wake, at: at(61_000))) == nil, "once")
    }

    @Test("adopt leaves the jobs running, wait lets them end until the deadline")
    func adoptAndWait() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan("keep", .adopt), plan("last", .wait)))
        let jobs = effects.commands.map(\.command.job)
        for job in jobs { _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(10))), at: at(10)) }
        effects = manager.receive(.drain(until: at(60_000).wall), at: at(20))
        #expect(effects.commands.isEmpty)
        #expect(effects.contains(.draining(remaining: 1)))
        _ = committed(&manager, at: at(30))
        effects = manager.receive(.wake, at: at(60_000))
        #expect(effects.commands.filter { $0.command.command == .stop }.count == 1)
        let waiting = try #require(effects.commands.first { $0.command.command == .stop }).command.job
        _ = manager.receive(.jobEvent("alpha", event(waiting, .stopped, at: at(60_100))), at: at(60_100))
        effects = committed(&manager, at: at(60_200))
        #expect(drained(effects) != nil)
    }

    @Test("a final drain adopts nothing: what would be left to the next one is waited for, then stopped")
    func final() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan("keep", .adopt)))
        let job = try #require(effects.commands.first).command.job
        _ = manager.receive(.jobEvent("alpha", event(job, .running, at: at(10))), at: at(10))
        effects = manager.receive(.drain(until: at(60_000).wall, isFinal: true), at: at(20))
        #expect(effects.commands.isEmpty && effects.contains(.draining(remaining: 1)))
        #expect(drained(committed(&manager, at: at(30))) == nil)
        var early = manager
        _ = early.receive(.jobEvent("alpha", event(job, .succeeded, at: at(40))), at: at(40))
        #expect(drained(committed(&early, at: at(50))) != nil, "ended by itself")
        effects = manager.receive(.wake, at: at(60_000))
        #expect(effects.commands.contains { $0.command.command == .stop && $0.command.job == job })
        _ = manager.receive(.jobEvent("alpha", event(job, .stopped, at: at(60_100))), at: at(60_100))
        #expect(drained(committed(&manager, at: at(60_200))) != nil)
    }

    @Test("a replacement becomes final while it drains (the tenant is suspended): the repeated command counts")
    func becomesFinal() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan("keep", .adopt), plan("last", .wait)))
        for command in effects.commands {
            _ = manager.receive(.jobEvent("alpha", event(command.command.job, .running, at: at(10))), at: at(10))
        }
        effects = manager.receive(.drain(until: at(60_000).wall), at: at(20))
        #expect(effects.contains(.draining(remaining: 1)))
        effects = manager.receive(.drain(until: at(60_000).wall, isFinal: true), at: at(3_000))
        #expect(effects.contains(.draining(remaining: 2)))
    }

    @Test("a retry that was never sent ends here; one that an earlier epoch may have sent is asked after")
    func unsent() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan("harvest", nil)))
        let job = try #require(effects.commands.first).command.job
        let failure = Problem(.jobFailed, "no", retryable: true)
        _ = manager.receive(.jobEvent("alpha", event(job, .failed, error: failure, at: at(10))), at: at(10))
        effects = manager.receive(.drain(until: at(60_000).wall), at: at(20))
        #expect(effects.commands.isEmpty)
        #expect(effects.entries.contains { $0.job?.state == .stopped && $0.job?.attempt == 2 })
        #expect(drained(committed(&manager, at: at(30))) != nil)

        let resume = WorkManagerResume(
            ticks: ["harvest": at(0).wall], succeeded: [:], consumed: [:],
            open: [
                OpenRun(
                    run: RunID(time: at(0).wall, of: "r"), service: "harvest", due: at(0).wall, started: at(0).wall,
                    deadline: at(180_000).wall, plan: plan("harvest", nil),
                    jobs: [OpenJob(id: jobID(1), provider: "alpha", attempt: 1, state: .pending, revision: 1)])
            ])
        var (next, _) = Fixture.manager(Fixture.config(plan("harvest", nil)), epoch: 2, resume: resume)
        effects = next.receive(.drain(until: at(60_000).wall), at: at(20))
        #expect(effects.commands.map(\.command.command) == [.stop])
    }

    @Test("a drain that is taken back: the schedule goes on")
    func resumed() {
        var (manager, _) = Fixture.manager(Fixture.config(plan("harvest", .adopt)))
        _ = manager.receive(.drain(until: at(60_000).wall), at: at(20))
        let effects = manager.receive(.resume, at: at(40))
        #expect(
            effects.contains {
                if case .publish(let message) = $0, case .wmState(let state) = message.payload {
                    state.state == .active
                } else {
                    false
                }
            })
        #expect(manager.receive(.wake, at: at(3_600_500)).entries.contains { $0.tick != nil })
    }

    @Test("its digest is that of its open jobs, and only while all is committed; rows that it lacks it adopts")
    func reconcile() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan("harvest", nil)))
        let job = try #require(effects.commands.first).command.job
        let beat = Heartbeat(beat: 1, epoch: 1, intervalSeconds: 5, ackSeq: 0)
        #expect(manager.receive(.heartbeat(beat), at: at(10)).status?.digest == nil)
        _ = committed(&manager, at: at(20))
        let status = manager.receive(.heartbeat(beat), at: at(30)).status
        #expect(status?.digest == OpenJobsDigest([job]).text)
        // PostgreSQL has another open run and lacks this one.
        let lost = OpenRun(
            run: RunID(time: at(0).wall, of: "r"), service: "harvest", due: at(0).wall, started: at(0).wall,
            deadline: at(180_000).wall, plan: plan("harvest", nil),
            jobs: [OpenJob(id: jobID(1), provider: "alpha", attempt: 1, state: .running, revision: 4)])
        effects = manager.receive(
            .reconcile(WorkManagerResume(ticks: [:], succeeded: [:], consumed: [:], open: [lost])), at: at(40))
        #expect(effects.commands.contains { $0.command.job == jobID(1) && $0.command.command == .status })
        #expect(effects.entries.contains { $0.job?.id == job } && effects.entries.contains { $0.run != nil })
    }

    private func rows(_ jobs: [OpenJob], _ run: RunID = RunID(time: at(0).wall, of: "r")) -> WorkManagerResume {
        let open = OpenRun(
            run: run, service: "harvest", due: at(0).wall, started: at(0).wall, deadline: at(180_000).wall,
            plan: plan("harvest", nil), jobs: jobs)
        return WorkManagerResume(ticks: ["harvest": at(0).wall], succeeded: [:], consumed: [:], open: [open])
    }

    private func digest(_ manager: inout WorkManager, at now: Moment) -> String? {
        _ = committed(&manager, at: now)
        let beat = Heartbeat(beat: 1, epoch: 1, intervalSeconds: 5, ackSeq: 0)
        return manager.receive(.heartbeat(beat), at: now).status?.digest
    }

    @Test("a job that succeeded before and is asked for its outputs is open to nobody but its Work Manager")
    func askedForOutputs() {
        let resume = rows([
            OpenJob(id: jobID(1), provider: "alpha", attempt: 1, state: .succeeded, revision: 4),
            OpenJob(id: jobID(2), provider: "beta", attempt: 1, state: .running, revision: 4),
        ])
        var (manager, _) = Fixture.manager(Fixture.config(plan("harvest", nil)), resume: resume)
        #expect(digest(&manager, at: at(10)) == OpenJobsDigest([jobID(2)]).text, "as the rows are")
        let effects = manager.receive(.reconcile(resume), at: at(20))
        #expect(!effects.entries.contains { $0.job?.id == jobID(1) }, "its row has ended, and takes no `unknown`")
    }

    @Test("a job whose row has ended without its Work Manager is recorded once more, and then left to be")
    func recordedOnce() throws {
        var (manager, effects) = Fixture.manager(Fixture.config(plan("harvest", nil)))
        let job = try #require(effects.commands.first).command.job
        #expect(digest(&manager, at: at(10)) == OpenJobsDigest([job]).text)
        // Given up by an operator, and its gateway is away: PostgreSQL names nothing that is open.
        let none = WorkManagerResume(ticks: [:], succeeded: [:], consumed: [:], open: [])
        effects = manager.receive(.reconcile(none), at: at(20))
        #expect(effects.entries.filter { $0.job?.id == job }.count == 1)
        #expect(digest(&manager, at: at(30)) == OpenJobsDigest([job]).text)
        for second in 1...20 {
            effects = manager.receive(.reconcile(none), at: at(Int64(second) * 1_000))
            #expect(effects.entries.isEmpty)
        }
        #expect(digest(&manager, at: at(30_000)) == OpenJobsDigest([]).text, "both say the same now")
    }

    @Test("a job that has ended here and not in its row is recorded once more, above the row")
    func endIsMissing() throws {
        let resume = rows([
            OpenJob(id: jobID(1), provider: "alpha", attempt: 1, state: .running, revision: 4),
            OpenJob(id: jobID(2), provider: "beta", attempt: 1, state: .running, revision: 4),
        ])
        var (manager, _) = Fixture.manager(Fixture.config(plan("harvest", nil)), resume: resume)
        _ = manager.receive(.jobEvent("alpha", event(jobID(1), .succeeded, at: at(10))), at: at(10))
        #expect(digest(&manager, at: at(20)) == OpenJobsDigest([jobID(2)]).text)
        var behind = resume
        behind.open[0].jobs[0].revision = 9
        var effects = manager.receive(.reconcile(behind), at: at(30))
        let again = try #require(effects.entries.compactMap(\.job).first { $0.id == jobID(1) })
        #expect(again.state == .succeeded && again.revision == 10)
        _ = committed(&manager, at: at(40))
        effects = manager.receive(.reconcile(behind), at: at(50))
        #expect(!effects.entries.contains { $0.job?.id == jobID(1) }, "what the row does not take, it does not take")
    }
}

@Suite("The fleet's part in a replacement")
struct FleetDrainTests {
    private func control(_ command: WMControl.Command, epoch: Int) -> Fleet.Event {
        .received(
            Message(
                .wmControl("men"),
                .wmControl(
                    WMControl(
                        id: "x", command: command, epoch: epoch, fleet: "f1", boot: 3, generation: 1,
                        config: command == .bootstrap ? Fixture.config(Fixture.plan("harvest", every: 3600)) : nil,
                        deadline: at(60_000).wall))))
    }

    private func acks(_ effects: [Fleet.Effect]) -> [WMAck] {
        effects.compactMap {
            if case .publish(let message) = $0, case .wmAck(let ack) = message.payload { ack } else { nil }
        }
    }

    private func started() -> (Fleet, JobID) {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        let effects = fleet.receive(.subscribed("men"), at: at(0))
        let job = effects.compactMap {
            if case .publish(let message) = $0, case .jobCommand(let command) = message.payload {
                command.job
            } else {
                nil
            }
        }
        return (fleet, job[0])
    }

    @Test("the Work Manager is gone before its end is told, and a repeated drain is told the same")
    func leaves() throws {
        var (fleet, job) = started()
        var effects = fleet.receive(control(.drain, epoch: 1), at: at(10))
        #expect(acks(effects).map(\.phase) == [.accepted, .progress])
        #expect(acks(effects).last?.remaining == 1)
        effects = fleet.receive(
            .received(Message(.jobEvent("men", "alpha"), .jobEvent(event(job, .stopped, at: at(20))))), at: at(20))
        #expect(acks(effects).map(\.phase) == [.progress])
        effects = fleet.receive(
            .received(Message(.wmCommitted("men"), .committed(Committed(epoch: 1, ackSeq: 6)))), at: at(30))
        if acks(effects).isEmpty {
            effects = fleet.receive(
                .received(Message(.wmCommitted("men"), .committed(Committed(epoch: 1, ackSeq: 5)))), at: at(30))
        }
        let done = try #require(acks(effects).last)
        #expect(done.phase == .done && done.lastSeq != nil)
        #expect(fleet.hosted.isEmpty)
        let left = effects.firstIndex(of: .unsubscribe("men"))
        let told = effects.firstIndex {
            if case .publish(let message) = $0 { message.topic.kind == .wmAck } else { false }
        }
        #expect(try #require(left) < #require(told))
        let again = acks(fleet.receive(control(.drain, epoch: 1), at: at(40)))
        #expect(again.map(\.phase) == [.done] && again[0].lastSeq == done.lastSeq)
        #expect(acks(fleet.receive(control(.bootstrap, epoch: 1), at: at(50))).map(\.phase) == [.rejected])
    }

    @Test("a drain for an epoch whose bootstrap is still on its way: it never begins")
    func stopBeforeStart() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        let acks = acks(fleet.receive(control(.drain, epoch: 2), at: at(0)))
        #expect(acks.map(\.phase) == [.done] && acks[0].lastSeq == nil, "ended, but it did not drain")
        #expect(self.acks(fleet.receive(control(.bootstrap, epoch: 2), at: at(5))).map(\.phase) == [.rejected])
        #expect(fleet.hosted.isEmpty)
        #expect(self.acks(fleet.receive(control(.bootstrap, epoch: 3), at: at(6))).map(\.phase) == [.accepted])
    }
}
