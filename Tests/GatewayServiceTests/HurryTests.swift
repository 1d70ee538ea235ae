import Foundation
import HostileProvider
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

@testable import GatewayService

@Suite("A real provider cannot make a real gateway hurry or stumble", .serialized)
struct HurryTests {
    private func hold(_ gateway: GatewayHarness, milliseconds: Int64) async {
        await withCheckedContinuation { continuation in
            gateway.loop.post { [loop = gateway.loop] in
                loop.schedule(after: .milliseconds(milliseconds)) { continuation.resume() }
            }
        }
    }

    @Test(
        "Retry-After 0, negative, garbage, or a date that is past: one POST a second at most",
        arguments: ["0", "-1", "soon", "Mon, 01 Jan 2024 00:00:00 GMT"])
    func retryAfter(value: String) async throws {
        let provider = try HostileProvider([FaultRule([.submit], .answer(429, headers: ["Retry-After": value]))])
        let gateway = GatewayHarness()
        await gateway.attach("sp", provider.url)
        for _ in 0..<5 { await gateway.submit(newJob(), at: "sp") }
        await hold(gateway, milliseconds: 3_000)
        #expect((1...8).contains(provider.log.count(.submit)))
        let named = gateway.seen.health["sp"]?.contains { $0.error?.detail?.contains("429") == true }
        #expect(named == true, "health names it")
        await gateway.stop()
    }

    @Test("an honest one is not delayed by another's dearest answers: they are read beside the loop, in turns")
    func reading() async throws {
        let good = try HostileProvider()
        let dear = "{\"a\":[" + String(repeating: "{\"b\":[1,2,3]},", count: 60_000) + "{}]}"
        let gateway = GatewayHarness()
        await gateway.attach("good", good.url)
        var neighbours: [HostileProvider] = []
        for number in 0..<3 {
            let neighbour = try HostileProvider([FaultRule([.list, .job, .submit, .status], .body(dear))])
            neighbours.append(neighbour)
            let id = ProviderID("dear-\(number)") ?? "dear"
            await gateway.attach(id, neighbour.url)
            for _ in 0..<20 { await gateway.submit(newJob(), at: id, deadlineSeconds: 30) }
        }
        // What else the machine does can only make it worse, so the median counts.
        var times: [Int64] = []
        for _ in 0..<21 {
            let job = newJob()
            let began = MonotonicClock.milliseconds
            await gateway.submit(job, at: "good", duration: 1)
            _ = try await gateway.wait("acceptance") { $0.state(job).flatMap { $0 != .submitting ? true : nil } }
            times.append(MonotonicClock.milliseconds - began)
        }
        times.sort()
        print("reading: an honest acceptance beside three dear neighbours took \(times[10]) ms, \(times[20]) at most")
        #expect(times[10] < 500)
        #expect(neighbours.allSatisfy { $0.log.requests.count > 0 })
        await gateway.stop()
    }

    @Test("a provider that repeats our credential does not publish it")
    func echo() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-secret-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let secret = "s3cret-token-0123456789"
        try secret.write(to: folder.appending(path: "token"), atomically: true, encoding: .utf8)
        let page = "<html>Bad request: Authorization: Bearer \(secret)</html>"
        let provider = try HostileProvider(
            [FaultRule([.submit], .answer(400, headers: ["Content-Type": "text/html"], body: page))], token: secret)
        let gateway = GatewayHarness(credentials: folder.path)
        await gateway.attach("sp", provider.url, credential: "token")
        let job = newJob()
        await gateway.submit(job)
        let end = try await gateway.end(of: job)
        #expect(end.state == .rejected)
        let detail = end.error?.detail ?? ""
        #expect(detail.contains("Bad request") && !detail.contains(secret) && detail.contains("Bearer ****"))
        await gateway.stop()
    }

    @Test("a name with two addresses, one refused by policy: a refused connection is a refused connection")
    func twoAddresses() async throws {
        // Nobody listens there.
        let closed = try HostileProvider()
        let port = closed.port
        closed.stop()
        let gateway = GatewayHarness()
        await gateway.attach("sp", "http://localhost:\(port)")
        await gateway.submit(newJob())
        let health = try await gateway.wait("health") { $0.health["sp"]?.last { $0.error != nil } }
        #expect(health.error?.detail?.contains("policy") == false)
        #expect(health.circuit == .closed)
        await gateway.stop()
    }

    @Test("what is reserved in a query is escaped, whatever it is")
    func percent() {
        #expect(RequestBuilder.percentEncoded("aZ09-._~") == "aZ09-._~")
        #expect(RequestBuilder.percentEncoded("a b&c=\u{e9}\u{0}") == "a%20b%26c%3D%C3%A9%00")
        let long = String(repeating: "\u{1F600}", count: 500)
        #expect(RequestBuilder.percentEncoded(long).utf8.count == 6_000)
    }

    @Test("a credential in a body or a header is made unreadable wherever it stands")
    func filter() {
        var bytes = Array("xxABCDEFGHyyABCDEFGH".utf8)
        #expect(SecretFilter.replace(Array("ABCDEFGH".utf8), in: &bytes))
        #expect(String(decoding: bytes, as: UTF8.self) == "xx********yy********")
        var none = Array("ABCDEFG".utf8)
        #expect(!SecretFilter.replace(Array("ABCDEFGH".utf8), in: &none))
    }
}

@Suite("What a gateway remembers of its death")
struct BlackBoxTests {
    private func folder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-box-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    @Test("a name per slot; what was put down again is not remembered, nor that it was looked at")
    func slots() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let (box, notes) = try BlackBox.open(folder: folder, slots: 2)
            #expect(notes.isEmpty)
            box.handle("alpha 1", slot: 0)
            box.handle(PoisonNote("beta", 12).text, slot: 1)
            box.handle("al", slot: 0)
            box.handle("ignored", slot: 2)
        }
        do {
            let (box, notes) = try BlackBox.open(folder: folder, slots: 2)
            #expect(notes == [.init(text: "al", isTrapped: false), .init(text: "beta 12", isTrapped: false)])
            #expect(notes.compactMap { PoisonNote($0.text) } == [PoisonNote("beta", 12)])
            box.handle("gamma 3", slot: 1)
            box.clear(slot: 1)
        }
        #expect(try BlackBox.open(folder: folder, slots: 2).notes.isEmpty)
    }

    @Test("only deaths by a trap count, for one version of the document, and one that is old is forgotten")
    func ledger() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func die(_ notes: [(String, Bool)]) throws -> [SuspectProvider] {
            let opened = try Ledger.open(folder: folder) { folder in
                let box = try BlackBox.open(folder: folder, slots: 2).box
                return (box, notes.map { BlackBox.Note(text: $0.0, isTrapped: $0.1) })
            }
            opened.ledger.shutdown()
            return opened.contents.suspects
        }
        #expect(try die([("alpha 1", false)]).isEmpty)
        #expect(try die([("alpha 1", true), ("beta 2", false)]).map(\.deaths) == [1])
        #expect(try die([("alpha 1", true)]) == [SuspectProvider(provider: "alpha", version: 1, deaths: 2)])
        #expect(try die([]).count == 1, "a quarantine outlives restarts")
        #expect(try die([("alpha 2", true)]) == [SuspectProvider(provider: "alpha", version: 2, deaths: 1)])
        let mode =
            try FileManager.default.attributesOfItem(atPath: "\(folder)/ledger.sqlite")[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }
}
