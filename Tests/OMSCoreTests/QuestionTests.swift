import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Questions: few at once, each in its turn, nobody in the way of an operator")
struct QuestionTests {
    private func question(_ id: String, _ client: NodeID, _ method: String = "why") -> ClientRequest {
        ClientRequest(id: id, client: client, method: method, params: [:])
    }

    private func asked(_ bench: RegistryBench) -> [(String, Asker)] {
        bench.requests.compactMap { if case .query(let request, let asker) = $0 { (request.id, asker) } else { nil } }
    }

    @Test("one after the other goes to the database, one client after the other")
    func turns() {
        var queue = QuestionQueue(.readers)
        for number in 1...4 { #expect(queue.add(question("a\(number)", "a")) == nil) }
        #expect(queue.add(question("a5", "a"))?.status == 429)
        #expect(queue.add(question("a1", "a")) == nil, "the same one again is the same one")
        #expect(queue.add(question("b1", "b")) == nil)
        var order: [String] = []
        while let next = queue.next() {
            order.append(next.id)
            #expect(queue.next() == nil, "its session is busy")
            queue.answered()
        }
        #expect(order == ["a1", "b1", "a2", "a3", "a4"])
        #expect(queue.count == 0)
    }

    @Test("a reader who calls itself by a thousand names fills the readers' queue and nothing else")
    func manyNames() {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        for number in 0..<3_000 {
            let reader = NodeID("reader-\(number)") ?? "reader"
            bench.feed(.received(Message(.query, .request(question("r\(number)", reader)))))
        }
        #expect(bench.held.count { if case .query = $0.request { true } else { false } } == 1)
        let refused = bench.responses().filter { $0.status == 429 }
        #expect(refused.count == 3_000 - QuestionQueue.most - 1)
        #expect(refused.first?.error?.detail?.contains("32 questions wait") == true)
        bench.feed(.received(Message(.command, .request(question("op", "cli")))))
        #expect(asked(bench).last?.0 == "op" && asked(bench).last?.1 == .operators, "at once, over another session")
        // Its command does not wait either.
        bench.feed(
            .received(
                Message(
                    .command,
                    .request(ClientRequest(id: "f", client: "cli", method: "fleet.drain", params: ["fleet": "f1"])))))
        #expect(bench.requests.contains(.drainFleet("f1", true, by: "cli")))
        bench.releaseAll()
        #expect(asked(bench).count == QuestionQueue.most + 2, "each that was taken is answered")
    }

    @Test("answers to questions prove nothing of the session that holds the lock")
    func noProof() {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        for number in 0..<14 {
            bench.pass(1_000)
            bench.feed(.received(Message(.query, .request(question("q\(number)", "c")))))
            if let index = bench.held.firstIndex(where: { if case .query = $0.request { true } else { false } }) {
                let ticket = bench.held.remove(at: index).ticket
                bench.feed(.stored(ticket: ticket, .answer(ClientResponse(id: "q\(number)", status: 200, result: [:]))))
            }
        }
        #expect(bench.registry.isInDoubt)
    }

    @Test("plans and explanations, which take the registry's own time, are bounded by the second")
    func computing() {
        var readers = QuestionQueue(.readers)
        var operators = QuestionQueue(.operators)
        let taken = (0..<100).count { readers.mayCompute(at: Int64($0)) == nil }
        #expect((8...9).contains(taken))
        #expect((0..<100).count { operators.mayCompute(at: Int64($0)) == nil } >= 20)
        #expect(readers.mayCompute(at: 10_000) == nil, "a while later again")
    }

    @Test("one client's commands that wait do not take the places of others")
    func commands() {
        var bench = RegistryBench.active()
        bench.holdsAll = true
        for number in 0..<20 {
            bench.feed(
                .received(
                    Message(
                        .command,
                        .request(
                            ClientRequest(
                                id: "f\(number)", client: "loud", method: "fleet.drain", params: ["fleet": "f1"])
                        ))))
        }
        #expect(bench.responses().count { $0.status == 429 } == 20 - Registry.maxCommandsOfOne)
        bench.feed(
            .received(
                Message(
                    .command,
                    .request(ClientRequest(id: "x", client: "other", method: "fleet.undrain", params: ["fleet": "f1"])))
            ))
        #expect(bench.requests.last == .drainFleet("f1", false, by: "other"))
    }
}
