import OMSCore
import OMSModel
import OMSProtocol

/// Bytes from outside, through the reader and the core that get them in a running system, and back to bytes: whatever a
/// core says must be encodable and small enough.
struct HostileInput {
    /// What is wrong with what a core said; empty if nothing.
    private(set) var complaints: [String] = []
    private(set) var accepted = 0
    private let codec = EnvelopeCodec()
    private static let start = Timestamp(milliseconds: 1_700_000_000_000)

    private static func at(_ milliseconds: Int64) -> Moment {
        Moment(monotonic: 1_000_000 + milliseconds, wall: start.advanced(byMilliseconds: milliseconds))
    }

    private mutating func check(_ message: Message) {
        do {
            let bytes = try codec.encode(message, EnvelopeHeader(id: "1", source: "s", time: Self.start))
            _ = try codec.decode(topic: message.topic.name, bytes)
        } catch {
            complaints.append("\(message.topic.name): \(error)")
        }
    }

    private func message(_ topic: String, _ bytes: [UInt8]) -> Message? { try? codec.decode(topic: topic, bytes).0 }

    // MARK: - Gateway

    static let job = JobID("018bcfe5-6800-7000-8000-000000000001") ?? JobID(time: start, of: "hostile", "1")

    private mutating func step(_ gateway: inout Gateway, _ event: Gateway.Event, _ now: Int64) -> [ProviderCall] {
        var calls: [ProviderCall] = []
        for effect in gateway.receive(event, at: Self.at(now)) {
            if case .call(let call) = effect { calls.append(call) }
            if case .publish(let message) = effect { check(message) }
        }
        _ = gateway.nextWake(at: Self.at(now))
        return calls
    }

    private mutating func attached(_ gateway: inout Gateway) -> [ProviderCall] {
        let spec = ProviderSpec(baseURL: "http://sp")
        let request = JobRequest(
            id: Self.job, service: "harvest", tenant: "men", config: ServiceConfig(),
            deadline: Self.start.advanced(bySeconds: 600), labels: ["run_id": "r"])
        var calls = step(&gateway, .connected, 0)
        calls += step(
            &gateway,
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(
                        GatewayControl(id: "1", command: .attach, provider: "alpha", spec: spec, version: 1)))), 0)
        calls += step(
            &gateway,
            .received(
                Message(
                    .jobCommand("men", "alpha"),
                    .jobCommand(JobCommand(id: "c", command: .submit, epoch: 1, job: Self.job, request: request)))), 1)
        return calls
    }

    /// The first byte chooses the status; the rest is the body of every answer that the provider gives.
    mutating func answers(_ bytes: [UInt8]) {
        var gateway = Gateway(id: "g1", boot: 5, release: "t", seed: 1, ledger: LedgerContents(), at: Self.at(0))
        let reader = AnswerReader()
        let status = [200, 200, 200, 200, 201, 503, 404, 409, 422, 429, 500][Int(bytes.first ?? 0) % 11]
        let body = Array(bytes.dropFirst())
        var calls = attached(&gateway)
        var now: Int64 = 2
        for _ in 0..<12 {
            guard !calls.isEmpty else {
                now += 700
                calls = step(&gateway, .wake, now)
                continue
            }
            let call = calls.removeFirst()
            // Its own questions are answered well, or nothing would ever be submitted.
            let answer = reader.read(call.kind, status: status, headers: [("retry-after", "0")], body: body)
            if case .answered(_, _, _, let body) = answer, case .malformed = body {} else { accepted += 1 }
            calls += step(&gateway, .answer(call: call.id, latency: 1, answer), now)
            now += 50
        }
    }

    mutating func gateway(_ topic: String, _ bytes: [UInt8]) {
        guard let message = message(topic, bytes) else { return }
        accepted += 1
        var gateway = Gateway(id: "g1", boot: 5, release: "t", seed: 1, ledger: LedgerContents(), at: Self.at(0))
        _ = attached(&gateway)
        for now: Int64 in [10, 20, 2_000, 120_000] {
            _ = step(&gateway, now < 100 ? .received(message) : .wake, now)
        }
    }

    // MARK: - Fleet

    private mutating func step(_ fleet: inout Fleet, _ event: Fleet.Event, _ now: Int64) {
        for effect in fleet.receive(event, at: Self.at(now)) {
            if case .publish(let message) = effect { check(message) }
        }
        _ = fleet.nextWake(at: Self.at(now))
    }

    /// - Parameter bootstrap: what starts a Work Manager, so that there is one that hears the message.
    mutating func fleet(_ topic: String, _ bytes: [UInt8], bootstrap: [UInt8]) {
        guard let message = message(topic, bytes) else { return }
        accepted += 1
        var fleet = Fleet(id: "f1", boot: 1, release: "t", at: Self.at(0))
        step(&fleet, .connected, 0)
        if let first = self.message("tenant/men/wm/control", bootstrap) { step(&fleet, .received(first), 1) }
        step(&fleet, .subscribed("men"), 2)
        step(&fleet, .received(message), 10)
        step(&fleet, .subscribed("men"), 11)
        for now: Int64 in [1_000, 61_000, 3_600_000] { step(&fleet, .wake, now) }
        step(&fleet, .received(message), 3_600_001)
    }

    // MARK: - Registry

    private mutating func step(_ registry: inout Registry, _ event: Registry.Event, _ now: Int64) {
        var events = [event]
        var rounds = 0
        while let next = events.popLast(), rounds < 200 {
            rounds += 1
            for effect in registry.receive(next, at: Self.at(now)) {
                if case .publish(let message) = effect { check(message) }
                if case .store(let ticket, let request) = effect {
                    events.append(.stored(ticket: ticket, Self.reply(request, now)))
                }
            }
        }
        _ = registry.nextWake(at: Self.at(now))
    }

    private static func reply(_ request: StoreRequest, _ now: Int64) -> StoreReply {
        switch request {
        case .load: return .loaded(Snapshot())
        case .apply(let documents, _, _):
            return .applied(
                documents.map { document in
                    let (kind, name) =
                        switch document {
                        case .provider(let id, _): ("Provider", id.text)
                        case .scenario(let id, _): ("Scenario", id.text)
                        case .tenant(let id, _): ("Tenant", id.text)
                        }
                    return AppliedDocument(kind: kind, name: name, change: .created, version: 1)
                }, past: [:])
        case .openEpoch(_, let expected, _, _, _, _):
            return .opened(epoch: expected, since: at(now).wall, .empty)
        case .commit(_, let journal): return .committed(journal.firstSeq + journal.entries.count - 1)
        case .observe: return .observed
        case .openJobs: return .openJobs([])
        case .resume: return .resume(.empty)
        case .audit: return .audited([:])
        case .recover: return .recovered([:])
        case .prune(let pruning): return .pruned(Pruned(before: pruning.before))
        case .query(let query, _): return .answer(ClientResponse(id: query.id, status: 200, result: ["rows": []]))
        case .beginOperation(let operation): return .operation(operation)
        case .saveRollout(let rollout): return .rollout(rollout, nil)
        case .rolloutFigures: return .figures([])
        default: return .saved
        }
    }

    private static let documents: [JSONValue] = [
        ["kind": "Provider", "name": "alpha", "spec": ["base_url": "http://sp"]],
        [
            "kind": "Scenario", "name": "s",
            "spec": ["services": ["harvest": ["type": "harvest", "frequency": ["every_s": 60]]]],
        ],
        ["kind": "Tenant", "name": "men", "spec": ["scenarios": ["s"]]],
    ]

    mutating func registry(_ topic: String, _ bytes: [UInt8]) {
        guard let message = message(topic, bytes) else { return }
        accepted += 1
        var registry = Registry(id: "r1", boot: 9, release: "t", heartbeatSeconds: 1, at: Self.at(0))
        let online = Presence(state: .online, boot: 1, since: Self.start, release: "t", protocols: [1])
        let catalog = Catalog(
            gateway: "g1", fetched: Self.start, stale: false,
            services: [ServiceDescription(id: "h", type: "harvest", version: "1", available: true)])
        let health = Health(status: .pass, checked: Self.start, circuit: .closed, gateway: "g1", boot: 1)
        let apply = ClientRequest(
            id: "q", client: "c", method: "apply", params: ["documents": .array(Self.documents)])
        step(&registry, .wake, 0)
        step(&registry, .connected, 0)
        for first in [
            Message(.fleetPresence("f1"), .presence(online)), Message(.gatewayPresence("g1"), .presence(online)),
            Message(.command, .request(apply)), Message(.providerCatalog("alpha"), .catalog(catalog)),
            Message(.providerHealth("alpha"), .health(health)),
        ] { step(&registry, .received(first), 1) }
        for now: Int64 in [200, 700, 1_200, 2_000] { step(&registry, .wake, now) }
        step(&registry, .received(message), 2_001)
        for now: Int64 in [2_600, 4_000, 60_000] { step(&registry, .wake, now) }
        step(&registry, .received(message), 60_001)
    }
}
