import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("The registry and sizes: refused where it is declared, told where it is noticed")
struct RegistrySizeTests {
    private func bytes(_ message: Message) throws -> Int {
        try EnvelopeCodec().encode(
            message, EnvelopeHeader(id: "1-1", source: "oms/r1", time: at(0).wall)
        ).count
    }

    /// A scenario of so many services with 900 characters of parameters each.
    private static func fat(_ services: Int, name: String = "fat") -> JSONValue {
        var all: JSONObject = [:]
        for number in 0..<services {
            all["s\(number)"] = [
                "type": "harvest", "timeout_s": 30, "frequency": ["every_s": 3600],
                "parameters": ["text": .string(String(repeating: "x", count: 900))],
            ]
        }
        return ["kind": "Scenario", "name": .string(name), "spec": ["services": .object(all)]]
    }

    private static func tenant(_ name: String, _ scenario: String, _ more: JSONObject = [:]) -> JSONValue {
        var spec: JSONObject = ["scenarios": [.string(scenario)]]
        spec.merge(more) { $1 }
        return ["kind": "Tenant", "name": .string(name), "spec": .object(spec)]
    }

    @Test("a scenario whose Work Manager could not be told it is refused by apply and plan alike, with its sizes")
    func fatScenario() throws {
        var bench = RegistryBench.active()
        for (method, topic) in [("apply", Topic.command), ("plan", .query)] {
            bench.sent = []
            let request = ClientRequest(
                id: "q", client: "c", method: method,
                params: ["documents": [Self.fat(240), Self.tenant("fat", "fat")]])
            bench.feed(.received(Message(topic, .request(request))))
            let error = try #require(bench.responses().last?.error)
            #expect(error.slug == "invalid-config")
            let field = try #require(error.errors?.first)
            #expect(field.pointer == "/documents/0/spec/services")
            #expect(field.detail.contains("240 services") && field.detail.contains("data_source"), "\(field.detail)")
        }
        #expect(bench.registry.scenarios["fat"] == nil)
    }

    @Test("services alone can be too many, and no limit is below nothing")
    func manyServices() throws {
        let document = try #require(DocumentReader.read(Self.fat(1_000)).document)
        let detail = DeclaredSizes.errors(of: [document], DeclaredSizes.Surroundings()).first?.detail ?? ""
        #expect(detail.contains("1000 services in one message"), "\(detail)")
        #expect(detail.contains("so many leave no room for what they hold") && !detail.contains("-"), "\(detail)")
    }

    @Test(
        "without a registry the same is found: what passes the dry run passes the apply",
        arguments: [100, 150, 180, 240])
    func dryRun(services: Int) throws {
        let values = [Self.fat(services), Self.tenant("fat", "fat")]
        let documents = values.compactMap { DocumentReader.read($0).document }
        let alone = DeclaredSizes.errors(of: documents, DeclaredSizes.Surroundings())
        var bench = RegistryBench.active()
        bench.sent = []
        bench.apply(values)
        let answer = try #require(bench.responses().last)
        #expect((answer.status == 200) == alone.isEmpty)
        guard alone.isEmpty else { return #expect(services >= 180) }
        bench.pass(3_000)
        // And what was accepted reaches its Work Manager, with all that it may have to know of the past.
        let control = try #require(bench.controls().first { $0.config?.scenario == "fat" })
        var open: [OpenRun] = []
        for service in control.config?.services ?? [] {
            let run = RunID(time: at(0).wall, of: "run", service.id.text)
            open.append(
                OpenRun(
                    run: run, service: service.id, due: at(0).wall, started: at(0).wall, deadline: at(0).wall,
                    plan: service,
                    jobs: [
                        OpenJob(
                            id: JobID(time: at(0).wall, of: service.id.text), provider: "alpha", attempt: 1,
                            state: .running, revision: 1)
                    ]))
        }
        var resume = WorkManagerResume.empty
        for run in open {
            resume.ticks[run.service] = run.due
            resume.succeeded[run.service] = RunReference(run: run.run, due: run.due)
        }
        resume.open = open
        var full = control
        full.resume = resume.fitting(control.config)
        #expect(try bytes(Message(.wmControl("fat"), .wmControl(full))) <= EnvelopeCodec.maxBytes)
        #expect(full.resume?.open.isEmpty == false)
    }

    @Test("variables and values of a tenant count: the tenant is refused, and the scenario for its sake")
    func tenantValues() throws {
        var values: JSONObject = [:]
        for number in 0..<100 {
            values["s\(number)"] = ["type": "harvest", "parameters": ["text": "{long}{long}{long}"]]
        }
        let scenario: JSONValue = [
            "kind": "Scenario", "name": "v",
            "spec": [
                "services": .object(
                    values.mapValues { value in
                        var object = value.objectValue ?? [:]
                        object["frequency"] = ["every_s": 60]
                        return .object(object)
                    })
            ],
        ]
        let long = Self.tenant("long", "v", ["variables": ["long": .string(String(repeating: "v", count: 1_000))]])
        var bench = RegistryBench.active()
        bench.sent = []
        bench.apply([scenario, long])
        let errors = try #require(bench.responses().last?.error?.errors)
        #expect(errors.contains { $0.pointer == "/documents/1/spec/scenarios/0" }, "\(errors)")
    }

    @Test("a configuration that the broker does not take is the tenant's reason, with the broker's figure")
    func smallBroker() throws {
        var bench = RegistryBench()
        bench.start()
        let control = try #require(bench.controls().first)
        let message = Message(.wmControl("men"), .wmControl(control))
        bench.feed(.notSent(NotSent(message, .tooLarge(bytes: 70_000, limit: 65_000))))
        let reason = try #require(bench.registry.tenants["men"]?.reason)
        #expect(reason.code == "message-too-large")
        #expect(reason.text.contains("70000 bytes") && reason.text.contains("65000"), "\(reason.text)")
        #expect(reason.text.contains("max_packet_size"))
        // From now on it is refused where it is declared.
        bench.sent = []
        bench.apply([Self.fat(60)])
        let refusal = bench.responses().last?.error?.errors?.first
        #expect(refusal?.detail.contains("65000") == true)
        // It is tried again, at leisure; once it gets through, the reason is gone.
        bench.sent = []
        bench.pass(20_000)
        let early = bench.controls()
        #expect(early.isEmpty)
        bench.pass(15_000)
        let again = try #require(bench.controls().first)
        bench.acknowledge(again)
        #expect(bench.registry.tenants["men"]?.reason == nil)
    }

    @Test("an answer that is too large becomes a small one that says so")
    func largeAnswer() throws {
        var bench = RegistryBench.active()
        bench.sent = []
        let rows = JSONValue.array(Array(repeating: .string(String(repeating: "x", count: 1_000)), count: 420))
        let message = Message(
            .response("c"), .response(ClientResponse(id: "q", status: 200, result: ["rows": rows])))
        bench.feed(.notSent(NotSent(message, .tooLarge(bytes: 421_000, limit: 262_144))))
        let answer = try #require(bench.responses().last)
        #expect(answer.id == "q" && answer.status == 413 && answer.error?.slug == "too-large")
        #expect(answer.error?.detail?.contains("421000") == true && answer.error?.detail?.contains("--limit") == true)
    }

    @Test("900 documents come in several messages, are applied together, and are answered once")
    func manyDocuments() throws {
        var documents: [JSONValue] = [RegistryBench.documents[1]]
        for number in 0..<900 {
            documents.append(
                Self.tenant(
                    "t\(number)", "s", ["description": .string(String(repeating: "x", count: 250))]))
        }
        let request = ClientRequest(id: "q", client: "c", method: "apply", params: ["documents": .array(documents)])
        let parts = request.parts
        #expect(parts.count > 1 && parts.last?.id == "q")
        var bench = RegistryBench.active()
        bench.sent = []
        for part in parts {
            #expect(try bytes(Message(.command, .request(part))) <= EnvelopeCodec.maxBytes)
            bench.feed(.received(Message(.command, .request(part))))
        }
        let statuses = bench.responses().map(\.status)
        #expect(statuses == Array(repeating: 202, count: parts.count - 1) + [200])
        #expect(bench.registry.specs.count == 901)
        let answer = try #require(bench.responses().last)
        #expect(answer.result?["documents"]?.arrayValue?.count == 901)
        #expect(try bytes(Message(.response("c"), .response(answer))) <= EnvelopeCodec.maxBytes)
        // The last one again, because its answer was lost.
        bench.feed(.received(Message(.command, .request(try #require(parts.last)))))
        let repeated = bench.responses().last
        #expect(repeated?.status == 200)
    }

    @Test("nothing is applied while a part is missing, and uploads are forgotten and bounded")
    func uploads() throws {
        func part(_ number: Int, of count: Int, id: String = "u", bytes: Int = 100) -> ClientRequest {
            ClientRequest(
                id: "\(id)-\(number)", client: "c", method: "apply",
                params: [
                    "documents": [.string(String(repeating: "x", count: bytes))],
                    "upload": ["id": .string(id), "part": .int(Int64(number)), "of": .int(Int64(count))],
                ])
        }
        func missing(_ outcome: Uploads.Outcome?) -> Int? {
            switch outcome {
            case .whole: 0
            case .awaits(let count): count
            case .refused, nil: nil
            }
        }
        var uploads = Uploads()
        let left1 = missing(uploads.take(part(0, of: 3), isCommand: true, at: 0))
        #expect(left1 == 2)
        let left2 = missing(uploads.take(part(2, of: 3), isCommand: true, at: 1))
        #expect(left2 == 1)
        let left3 = missing(uploads.take(part(2, of: 3), isCommand: true, at: 2))
        #expect(left3 == 1, "twice is once")
        let left4 = missing(uploads.take(part(1, of: 3), isCommand: true, at: 3))
        #expect(left4 == 0)
        let left5 = missing(uploads.take(part(1, of: 3), isCommand: true, at: 70_000))
        #expect(left5 == 2, "forgotten after a minute")
        for wrong in [part(3, of: 3), part(0, of: 33), part(-1, of: 2), part(0, of: 0)] {
            guard case .refused = uploads.take(wrong, isCommand: true, at: 0) else {
                Issue.record("accepted: \(wrong.params)")
                continue
            }
        }
        // A reader's uploads push nobody's out but readers'.
        let left6 = missing(uploads.take(part(0, of: 2, id: "mine"), isCommand: true, at: 80_000))
        #expect(left6 == 1)
        for number in 0..<40 {
            let part = part(0, of: 2, id: "r\(number)", bytes: 500_000)
            _ = uploads.take(part, isCommand: false, at: 80_001 + Int64(number))  // the oldest goes first
        }
        let left7 = missing(uploads.take(part(1, of: 2, id: "mine"), isCommand: true, at: 80_100))
        #expect(left7 == 0)
        let left8 = missing(uploads.take(part(1, of: 2, id: "r0", bytes: 1), isCommand: false, at: 80_100))
        #expect(left8 == 1)
    }

    @Test("an epoch that somebody takes away is said again at once; a stand-by says nothing")
    func takenEpoch() {
        var bench = RegistryBench.active()
        bench.sent = []
        bench.feed(.received(Message(.wmEpoch("men"), .removed)))
        #expect(bench.sent.map(\.topic) == [.wmEpoch("men")])
        bench.sent = []
        bench.feed(.received(Message(.registryPresence("r1"), .removed)))
        #expect(bench.sent.map(\.topic) == [.registryPresence("r1")])
        bench.sent = []
        bench.feed(.received(Message(.wmEpoch("stranger"), .removed)))
        bench.registry.isStandby = true
        bench.feed(.received(Message(.wmEpoch("men"), .removed)))
        #expect(bench.sent.isEmpty)
    }

    @Test("a gateway that cannot hear orders for a provider is not given work for it, and why says so")
    func deafGateway() throws {
        var bench = RegistryBench.active()
        func ack(_ error: Problem?) -> Registry.Event {
            .received(
                Message(
                    .gatewayAck("g1"),
                    .gatewayAck(
                        GatewayAck(
                            id: "deaf", command: .attach, provider: "alpha",
                            version: bench.registry.providers["alpha"]?.version, boot: 1, error: error))))
        }
        bench.feed(ack(Problem(.unavailable, "the broker refused the subscription")))
        let track = try #require(bench.registry.providers["alpha"])
        #expect(!bench.registry.isUsable(track, at: at(bench.now)))
        #expect(bench.registry.whyNot(track, at: at(bench.now)).contains("the broker refused the subscription"))
        bench.feed(ack(nil))
        let after = try #require(bench.registry.providers["alpha"])
        #expect(bench.registry.isUsable(after, at: at(bench.now)))
    }
}
