import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Messages that ended the process")
struct PoisonListTests {
    private let name = "tenant/men/wm/status"

    private func after(_ seconds: Int64) -> Timestamp { at(seconds * 1000).wall }

    @Test("one death may be chance; after the second the message is set aside, for a day")
    func second() {
        var list = PoisonList()
        list.died(handling: name, at: after(0))
        #expect(!list.isSetAside(name, at: after(1)))
        list.died(handling: name, at: after(60))
        #expect(list.isSetAside(name, at: after(61)) && list.setAside(at: after(61)) == [name])
        #expect(!list.isSetAside("tenant/women/wm/status", at: after(61)))
        #expect(!list.isSetAside(name, at: after(86_460 + 1)))
    }

    @Test("it outlives the process as text, and what is no text of ours says nothing")
    func text() {
        var list = PoisonList()
        list.died(handling: "oms/query abc", at: after(0))
        list.died(handling: "oms/query abc", at: after(0))
        #expect(PoisonList(list.text) == list)
        for odd in [
            "", "\n\n", "2", "x y z", "99999999999999999999 2026-01-01T00:00:00Z a", "2 never a",
            "-1 2026-01-01T00:00:00Z a",
        ] {
            #expect(PoisonList(odd) == PoisonList(), "\(odd)")
        }
        var long = PoisonList()
        for number in 0..<1_000 { long.died(handling: "topic \(number)", at: after(0)) }
        #expect(long.text.split(separator: "\n").count == 100)
    }

    @Test("a message is known again by its topic; a question by what it asks, whoever asks it")
    func names() {
        func ask(_ client: NodeID, _ params: JSONValue, _ method: String = "why") -> String {
            PoisonList.name(
                of: Message(
                    .query, .request(ClientRequest(id: "q\(client)", client: client, method: method, params: params))))
        }
        #expect(ask("a", ["x": [1, "y"], "z": nil]) == ask("b", ["z": nil, "x": [1, "y"]]))
        let different = [
            ask("a", [:]), ask("a", ["x": 1]), ask("a", ["x": "1"]), ask("a", ["x": [1]]), ask("a", [[1]]),
            ask("a", [[1], []]),
            ask("a", [:], "jobs"), ask("a", nil), ask("a", 1.5),
        ]
        #expect(Set(different).count == different.count)
        #expect(ask("a", ["x": 1]).utf8.count < 63, "the black box holds no more")
        let status = Message(.wmStatus("men"), .wmStatus(RegistryBench.status(1, epoch: 1, generation: 1)))
        #expect(PoisonList.name(of: status) == "tenant/men/wm/status")
    }
}
