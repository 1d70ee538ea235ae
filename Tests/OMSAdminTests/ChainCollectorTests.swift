import OMSAdmin
import OMSModel
import OMSProtocol
import Testing

@Suite struct ChainCollectorTests {
    private func collector() -> ChainCollector {
        let services: [ServiceID: ServiceSpec] = [
            "a": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 10)),
            "b": ServiceSpec(type: "harvest", frequency: Frequency(everySeconds: 10)),
            "c": ServiceSpec(type: "recommend", after: ["a", "b"]),
            "d": ServiceSpec(type: "optimise", after: ["c"]),
        ]
        return ChainCollector([
            .scenario("s", ScenarioSpec(services: services)), .tenant("men", TenantSpec(scenarios: ["s"])),
        ])
    }

    private func result(_ service: ServiceID, due: Int64, _ state: RunRecord.State = .succeeded) -> ServiceResult {
        let time = Timestamp(milliseconds: due)
        return ServiceResult(
            run: RunID(time: time, of: "run", service.text, "\(due)"), service: service, type: "x", state: state,
            due: time,
            finished: time, strategy: .first, providers: [], outputs: [:])
    }

    @Test func resultsOfOneRoundAreAChain() {
        var collector = collector()
        for (service, due) in [("a", 10), ("b", 20), ("c", 20)] as [(ServiceID, Int64)] {
            collector.take("men", result(service, due: due))
            #expect(!collector.isComplete)
        }
        #expect(collector.missing(of: "men") == ["d"])
        collector.take("men", result("d", due: 20))
        #expect(collector.isComplete)
        #expect(collector.chain(of: "men")?["a"]?.due == Timestamp(milliseconds: 10))
    }

    @Test func resultsOfTwoRoundsAreNone() {
        var collector = collector()
        // c of the second round, while only the first round's d is there and the first c was never seen
        for (service, due) in [("a", 10), ("b", 10), ("d", 10), ("a", 20), ("b", 20), ("c", 20)] as [(ServiceID, Int64)]
        {
            collector.take("men", result(service, due: due))
        }
        #expect(!collector.isComplete)
        collector.take("men", result("d", due: 20))
        #expect(collector.isComplete)
    }

    @Test func aPartialResultDoesNotCountAndAFailedOneIsNamed() {
        var collector = collector()
        collector.take("men", result("a", due: 10, .partial))
        #expect(collector.missing(of: "men").contains("a"))
        #expect(collector.failure == nil)
        collector.take("men", result("b", due: 10, .failed))
        #expect(collector.failure?.result.service == "b")
    }
}
