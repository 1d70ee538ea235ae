import OMSModel
import Testing

@testable import OMSProtocol

@Suite("The table of topics")
struct TopicTests {
    static let samples: [Topic] = [
        .registryPresence("r1"), .fleetPresence("f1"), .gatewayPresence("g1"), .gatewayControl("g1"), .gatewayAck("g1"),
        .wmControl("men"), .wmAck("men"), .wmHeartbeat("men"), .wmStatus("men"), .wmEpoch("men"), .wmState("men"),
        .wmJournal("men"), .wmCommitted("men"), .serviceResult("men", "recommend"), .jobCommand("men", "alpha"),
        .jobEvent("men", "alpha"), .providerCatalog("alpha"), .providerHealth("alpha"), .query, .command,
        .response("c1"), .event,
    ]

    @Test("has one row for each kind, and a sample here")
    func complete() {
        #expect(TopicTable.rows.map(\.kind) == TopicKind.allCases)
        #expect(Set(Self.samples.map(\.kind)) == Set(TopicKind.allCases))
        for kind in TopicKind.allCases { #expect(kind.row.kind == kind) }
    }

    @Test("topics read back as they were written", arguments: samples)
    func roundTrip(topic: Topic) { #expect(Topic(topic.name) == topic) }

    @Test(
        "what is in no row is no topic",
        arguments: [
            "", "tenant", "tenant/men/wm", "tenant/men/wm/control/x", "tenant//wm/control", "tenant/+/wm/control",
            "tenant/Men/wm/control", "/oms/query", "oms/query/", "oms/other", "sp/alpha/job/event",
        ])
    func unknown(name: String) { #expect(Topic(name) == nil) }

    @Test("keeps the rules: one sender role, at most 6 levels, heartbeats QoS 0, only state retained, expiry elsewhere")
    func rules() {
        for row in TopicTable.rows {
            #expect(row.pattern.split(separator: "/").count <= 6, "\(row.kind)")
            #expect((0...1).contains(row.qos))
            #expect(row.retain == (row.expirySeconds == nil), "\(row.kind): state is retained, the rest expires")
            #expect(row.writers.count == 1 || row.kind == .query, "\(row.kind)")
            #expect(row.type.hasSuffix(".v1"))
        }
        #expect(TopicKind.wmHeartbeat.row.qos == 0)
        #expect(TopicKind.jobCommand.row.filter == "tenant/+/sp/+/job/command")
    }
}
