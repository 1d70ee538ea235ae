import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The fleet")
struct FleetTests {
    private func control(_ command: WMControl.Command, epoch: Int, boot: Int64 = 3, generation: Int = 1) -> Fleet.Event
    {
        .received(
            Message(
                .wmControl("men"),
                .wmControl(
                    WMControl(
                        id: "\(epoch)", command: command, epoch: epoch, fleet: "f1", boot: boot, generation: generation,
                        config: command != .bootstrap && command != .reconfigure
                            ? nil : Fixture.config(Fixture.plan("harvest"), generation: generation)))))
    }

    private func phases(_ effects: [Fleet.Effect]) -> [WMAck.Phase] {
        effects.compactMap {
            if case .publish(let message) = $0, case .wmAck(let ack) = message.payload { ack.phase } else { nil }
        }
    }

    private func submits(_ effects: [Fleet.Effect]) -> Int {
        effects.filter { if case .publish(let message) = $0 { message.topic.kind == .jobCommand } else { false } }.count
    }

    @Test("starts a Work Manager only when its subscriptions stand, and acknowledges then")
    func starts() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        var effects = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        #expect(phases(effects) == [.accepted])
        #expect(effects.contains(.subscribe("men")))
        #expect(submits(effects) == 0)
        effects = fleet.receive(.subscribed("men"), at: at(1))
        #expect(phases(effects) == [.done])
        #expect(submits(effects) == 1)
        #expect(
            phases(fleet.receive(control(.bootstrap, epoch: 1), at: at(2))) == [.done],
            "repeated: answered, not restarted")
        #expect(fleet.hosted == ["men": 1])
    }

    @Test("passes on a wish for a run and acknowledges it by its id, also when it cannot")
    func wishes() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        func wish(_ id: String, _ service: ServiceID) -> [WMAck] {
            var control = WMControl(id: id, command: .trigger, epoch: 1, fleet: "f1", boot: 3, generation: 1)
            control.trigger = RunTrigger(id: id, service: service, due: at(0).wall)
            return fleet.receive(.received(Message(.wmControl("men"), .wmControl(control))), at: at(10)).compactMap {
                if case .publish(let message) = $0, case .wmAck(let ack) = message.payload { ack } else { nil }
            }
        }
        #expect(wish("q0", "harvest").map(\.phase) == [.rejected])
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(1))
        for (id, service) in [("q1", "harvest"), ("q2", "nope")] as [(String, ServiceID)] {
            let acks = wish(id, service)
            #expect(acks.map(\.phase) == [.rejected] && acks.map(\.id) == [id] && acks[0].error != nil)
        }
    }

    @Test("a connection lost before the subscriptions were confirmed leaves no Work Manager waiting for ever")
    func reconnectWhileStarting() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        let effects = fleet.receive(.connected, at: at(500))
        #expect(phases(effects) == [.done])
        #expect(submits(effects) == 1)
        // The late confirmation changes nothing.
        #expect(fleet.receive(.subscribed("men"), at: at(600)).isEmpty)
    }

    @Test("ignores commands for others, refuses those for an earlier process or epoch")
    func refuses() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        #expect(phases(fleet.receive(control(.bootstrap, epoch: 1, boot: 2), at: at(0))) == [.rejected])
        _ = fleet.receive(control(.bootstrap, epoch: 5), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        #expect(phases(fleet.receive(control(.bootstrap, epoch: 4), at: at(0))) == [.rejected])
        #expect(fleet.hosted == ["men": 5])
        var other = Fleet(id: "f2", boot: 3, release: "t", at: at(0))
        #expect(other.receive(control(.bootstrap, epoch: 1), at: at(0)).isEmpty)
    }

    @Test("a newer epoch ends the old Work Manager before the new one begins")
    func replaces() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        let effects = fleet.receive(control(.bootstrap, epoch: 2), at: at(10))
        let ended = effects.firstIndex { if case .report(.ended("men", 1, _)) = $0 { true } else { false } }
        let started = effects.firstIndex { if case .report(.started("men", 2, _, _)) = $0 { true } else { false } }
        #expect(ended != nil && started != nil && ended! < started!)
        #expect(fleet.hosted == ["men": 2])
    }

    @Test("a published epoch above its own ends a Work Manager")
    func fenced() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        let epoch = WMEpoch(epoch: 2, fleet: "f2", generation: 1, since: at(0).wall)
        #expect(
            fleet.receive(.received(Message(.wmEpoch("men"), .wmEpoch(epoch))), at: at(5)).contains(.unsubscribe("men"))
        )
        #expect(fleet.hosted.isEmpty)
    }

    @Test("an epoch that somebody takes away ends nobody; other retained state of its own it says again")
    func taken() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        _ = fleet.receive(.subscribed("men"), at: at(0))
        let effects = fleet.receive(.received(Message(.wmEpoch("men"), .removed)), at: at(5))
        #expect(effects.isEmpty)
        #expect(fleet.hosted == ["men": 1])
        func said(_ topic: Topic) -> [Topic] {
            fleet.receive(.received(Message(topic, .removed)), at: at(6)).compactMap {
                if case .publish(let message) = $0 { message.topic } else { nil }
            }
        }
        for topic in [Topic.wmState("men"), .fleetPresence("f1")] {
            let topics = said(topic)
            #expect(topics == [topic])
        }
        let foreign = said(.wmState("women")) + said(.fleetPresence("f2"))
        #expect(foreign.isEmpty, "not its own")
    }

    @Test("a Work Manager that may not hear its orders does not begin; it does when the broker lets it")
    func deaf() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        _ = fleet.receive(control(.bootstrap, epoch: 1), at: at(0))
        var effects = fleet.receive(.deaf("men", why: "refused"), at: at(1))
        #expect(phases(effects) == [.failed])
        effects = fleet.receive(.connected, at: at(2))
        #expect(submits(effects) == 0, "a new connection changes nothing as long as the broker says no")
        effects = fleet.receive(control(.bootstrap, epoch: 1), at: at(3_000))
        #expect(effects.contains(.subscribe("men")), "the repeated command asks the broker again")
        effects = fleet.receive(.subscribed("men"), at: at(3_001))
        #expect(phases(effects) == [.done] && submits(effects) == 1)
    }

    @Test("a newer process under its name ends it; a goodbye of one does not")
    func superseded() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        func see(_ state: Presence.State) -> [Fleet.Effect] {
            let other = Presence(state: state, boot: 4, since: at(0).wall, release: "t", protocols: [1])
            return fleet.receive(.received(Message(.fleetPresence("f1"), .presence(other))), at: at(0))
        }
        #expect(see(.offline).isEmpty)
        #expect(see(.online) == [.superseded(boot: 4)])
    }

    @Test("says that it is there when an old will claims otherwise")
    func birth() {
        var fleet = Fleet(id: "f1", boot: 3, release: "t", at: at(0))
        let will = Presence(state: .lost, boot: 2, since: at(0).wall, release: "t", protocols: [1])
        let effects = fleet.receive(.received(Message(.fleetPresence("f1"), .presence(will))), at: at(0))
        #expect(effects == [.publish(Message(.fleetPresence("f1"), .presence(fleet.presence(.online))))])
    }
}
