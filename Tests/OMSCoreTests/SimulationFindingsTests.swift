import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// What the simulation found (docs/internals/simulation.md), each in its shortest form.
@Suite("Findings of the simulation")
struct SimulationFindingsTests {
    @Test("an intent that was not written is written before the next try")
    func intentAgain() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        let call = try bench.taken()
        bench.feed(.unrecorded(bench.records))
        bench.fail(call, .notSent, .ledger)
        bench.records = []
        bench.pass(2_000)
        #expect(bench.take() != nil)
        #expect(bench.records.contains { if case .intent(let job) = $0 { job.request.id == jobID(1) } else { false } })
    }

    @Test("a piece of journal of which a part was committed already does not block the rest")
    func partlyCommitted() throws {
        var bench = RegistryBench.active()
        bench.holdsCommits = true
        // Entries 1 to 3 were committed by a request whose answer was lost, so the database answers 3 to 1...5.
        bench.journal(1, 5)
        bench.feed(.stored(ticket: try #require(bench.held.last).ticket, .committed(3)))
        bench.journal(4, 2)
        guard case .commit(_, let rest) = try #require(bench.held.last).request else { return }
        #expect(rest.firstSeq == 4)
        #expect(bench.held.count == 2)
    }

    @Test("a job that another gateway may have sent is not called expired before the provider was asked")
    func expiredElsewhere() throws {
        var bench = GatewayBench(maxRunning: 1)
        bench.command(.submit, jobID(1))
        _ = try bench.taken()
        // Its place is taken, so this one waits in the row; it was asked for before, of another gateway.
        let request = JobRequest(
            id: jobID(2), service: "harvest", tenant: "men", config: ServiceConfig(), deadline: at(5_000).wall,
            labels: ["run_id": "r"])
        bench.feed(
            .received(
                Message(
                    .jobCommand("men", "alpha"),
                    .jobCommand(
                        JobCommand(id: "c", command: .submit, epoch: 1, job: jobID(2), request: request, again: true))))
        )
        bench.pass(6_000)
        #expect(bench.events.last { $0.job == jobID(2) }?.state == .unknown)
        let stop = bench.calls.first { if case .stop(jobID(2), _) = $0.kind { true } else { false } }
        bench.answer(try #require(stop), 200, .job(bench.job(jobID(2), .succeeded)))
        #expect(bench.events.last { $0.job == jobID(2) }?.state == .succeeded)
    }

    @Test("an end counts even if the provider's revision has fallen: else the job would stay open for ever")
    func endWithFallenRevision() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        bench.answer(try bench.taken(), 201, .job(bench.job(jobID(1), .running, revision: 5)))
        bench.gateway.apply(
            bench.job(jobID(1), .succeeded, revision: 3), to: try #require(bench.gateway.jobs[jobID(1)]), at: at(10))
        #expect(bench.gateway.jobs[jobID(1)]?.state == .succeeded)
        bench.gateway.apply(
            bench.job(jobID(1), .failed, revision: 9), to: try #require(bench.gateway.jobs[jobID(1)]), at: at(20))
        #expect(bench.gateway.jobs[jobID(1)]?.state == .succeeded, "and it never changes")
    }

    @Test("a gateway that says again that it is there is attached again: it may have given its providers up unseen")
    func attachesAgain() {
        var bench = RegistryBench.active()
        bench.presence(.gatewayPresence("g1"))
        #expect(
            bench.sent.contains {
                if case .gatewayControl(let control) = $0.payload { control.command == .attach } else { false }
            })
    }

    @Test("a gateway that was stopped gives its providers up and takes none until it has connected again")
    func stopped() {
        var bench = GatewayBench()
        bench.now = 70_000
        bench.feed(.wake)
        #expect(bench.gateway.doors.isEmpty)
        bench.feed(GatewayBench.attach())
        #expect(bench.gateway.doors.isEmpty, "what waited in the socket is as old as the stop")
        bench.feed(.connected)
        bench.feed(GatewayBench.attach())
        #expect(bench.gateway.doors["alpha"] != nil)
    }

    @Test(
        "so does one without providers, which could be given some while it was stopped; and it takes them again later")
    func stoppedIdle() {
        var gateway = Gateway(id: "g1", boot: 5, release: "t", seed: 1, ledger: LedgerContents(), at: at(0))
        _ = gateway.receive(.connected, at: at(0))
        func attach(at time: Int64) { _ = gateway.receive(GatewayBench.attach(), at: at(time)) }
        // Stopped from 10 s to 70 s; this waited in the socket.
        #expect(gateway.nextWake(at: at(0)) <= at(10_000).monotonic, "an idle one has something to do as well")
        _ = gateway.receive(.wake, at: at(10_000))
        attach(at: 70_000)
        #expect(gateway.doors.isEmpty)
        // The connection outlived it: what comes now is new.
        for time in stride(from: 72_000, through: 84_000, by: 2_000) { attach(at: Int64(time)) }
        #expect(gateway.doors.isEmpty)
        attach(at: 86_000)
        #expect(gateway.doors["alpha"] != nil)
    }

    @Test("a gateway's absence counts only while the registry can hear: without the broker nobody is gone")
    func deafRegistry() throws {
        var bench = RegistryBench.active()
        bench.presence(.gatewayPresence("g1"), .lost)
        bench.feed(.disconnected)
        bench.pass(120_000)
        #expect(!bench.registry.isGone(try #require(bench.registry.gateways["g1"]), at: at(bench.now)))
        bench.feed(.connected)
        bench.pass(40_000)
        #expect(!bench.registry.isGone(try #require(bench.registry.gateways["g1"]), at: at(bench.now)))
        bench.pass(10_000)
        #expect(bench.registry.isGone(try #require(bench.registry.gateways["g1"]), at: at(bench.now)))
    }

    @Test("an attachment for another process of the gateway is none")
    func attachOfOtherProcess() {
        var gateway = Gateway(id: "g1", boot: 7, release: "t", seed: 1, at: at(0))
        for boot in [6, 7] as [Int64] {
            let effects = gateway.receive(
                .received(
                    Message(
                        .gatewayControl("g1"),
                        .gatewayControl(
                            GatewayControl(
                                id: "1", command: .attach, provider: "alpha", spec: ProviderSpec(baseURL: "http://sp"),
                                version: 1, boot: boot)))), at: at(0))
            #expect(effects.isEmpty == (boot == 6))
        }
    }

    @Test("a fence that the disk refused is written again before it is confirmed")
    func sealAgain() {
        var bench = GatewayBench()
        func seal() {
            bench.records = []
            bench.feed(
                .received(
                    Message(
                        .gatewayControl("g1"),
                        .gatewayControl(
                            GatewayControl(id: "s", command: .seal, seals: [Seal(tenant: "men", epoch: 4)])))))
        }
        seal()
        #expect(bench.records == [.fence("men", 4)])
        seal()
        #expect(bench.records.isEmpty)
        bench.feed(.unrecorded([.fence("men", 4)]))
        seal()
        #expect(bench.records == [.fence("men", 4)])
    }

    @Test("a job that is to be stopped and is absent gets its stop all the same: the submit may still be on its way")
    func lateSubmit() throws {
        var bench = GatewayBench()
        bench.command(.submit, jobID(1))
        let submit = try bench.taken()
        bench.command(.stop, jobID(1))
        bench.fail(submit, .maybeSent, .timeout)
        bench.pass(1_000)
        while let call = bench.take() {
            if case .stop = call.kind {
                bench.answer(call, 404, .problem(Problem(.noSuchJob, "no", status: 404)))
                break
            }
            bench.answer(call, 404, .problem(Problem(.noSuchJob, "no", status: 404)))
            #expect(bench.gateway.jobs[jobID(1)]?.state != .stopped, "before the provider has heard of the stop")
            bench.pass(1_000)
        }
        #expect(bench.gateway.jobs[jobID(1)]?.state == .stopped)
    }

    @Test("a gateway that is only presumed lost is there again when it says something new of a provider")
    func presumedLost() {
        var bench = RegistryBench()
        bench.snapshot = Snapshot(
            providers: ["alpha": (ProviderSpec(baseURL: "http://sp"), 1)],
            nodes: [
                StoredNode(
                    role: .gateway, node: "g1",
                    presence: Presence(state: .online, boot: 1, since: at(0).wall, release: "t", protocols: [1]),
                    isDraining: false)
            ], attachments: ["alpha": "g1"])
        bench.feed(.wake)
        bench.feed(.connected)
        bench.health(.pass)
        #expect(bench.registry.gateways["g1"]?.presence.state == .lost, "what is retained proves nothing")
        bench.pass(5_000)
        bench.health(.pass)
        #expect(bench.registry.gateways["g1"]?.presence.state == .online)
    }

    @Test("fleets and gateways say now and then that they are there: any message may be lost")
    func announcements() {
        var fleet = Fleet(id: "f1", boot: 1, release: "t", at: at(0))
        _ = fleet.receive(.connected, at: at(0))
        #expect(fleet.nextWake(at: at(0)) == at(10_000).monotonic)
        #expect(
            fleet.receive(.wake, at: at(10_000)).contains { effect in
                if case .publish(let message) = effect { message.topic == .fleetPresence("f1") } else { false }
            })
        var gateway = Gateway(id: "g1", boot: 1, release: "t", seed: 1, at: at(0))
        _ = gateway.receive(.connected, at: at(0))
        #expect(
            gateway.receive(.wake, at: at(10_000)).contains { effect in
                if case .publish(let message) = effect { message.topic == .gatewayPresence("g1") } else { false }
            })
    }
}
