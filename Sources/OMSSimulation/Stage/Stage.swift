package import OMSCore
package import OMSModel
package import OMSProtocol

/// The three cores, a database, a ledger and a provider that is at first honest, joined without any delay or loss: what
/// one says, the others have heard before the next thing happens. Not a world with faults (that is `World`), but a place
/// to put one strange input in and to see what comes of it, all the way through. Fuzzing and the property tests do so.
///
/// Everything that a core says is looked at on its way; see `StageFault`.
package struct Stage: Sendable {
    var registry: Registry
    var fleet: Fleet
    var gateway: Gateway
    var database = SimDatabase()
    var ledger = SimLedger()
    package var provider = StageProvider()
    /// Calls that nobody has answered yet, the oldest first.
    package private(set) var calls: [ProviderCall] = []
    /// Milliseconds since the beginning; both clocks advance together.
    package private(set) var now: Int64 = 0
    /// What the registry asked of its database, if somebody wants to look at it.
    package var keepsRequests = false
    package var requests: [StoreRequest] = []
    package private(set) var messages = 0
    /// Whether what is said comes to the others by way of its bytes, or as it is, which takes half the time.
    package var readsBack = true
    /// What the broker takes of a message; an ordinary one takes whatever OMS has.
    package var messageLimit = EnvelopeCodec.maxBytes
    /// Nanoseconds of the processor's time, if somebody wants to know what one event costs at most: here is no clock.
    package var stopwatch: (@Sendable () -> Int64)?
    package private(set) var longest: Int64 = 0

    /// Topics on which something was too large to be sent, and must be said in a smaller way before the step is over.
    private var owed: Set<Topic> = []
    private var refusals = 0
    private var queue: [Input] = []
    private let codec = EnvelopeCodec()

    private enum Input: Sendable {
        case registry(Registry.Event)
        case fleet(Fleet.Event)
        case gateway(Gateway.Event)
    }

    /// One input may lead to so many events; more are a loop that feeds itself.
    private static let maxEvents = 20_000
    private static let maxWakes = 500
    /// The shells go on with this many refusals in a row (`maxRefusals`); a step here is many rows, of three cores.
    private static let maxRefusals = 64

    package static let gatewayID: NodeID = "g1"
    package static let fleetID: NodeID = "f1"
    package static let registryID: NodeID = "r1"

    package init(ledger contents: LedgerContents = LedgerContents()) {
        let now = Self.moment(0)
        registry = Registry(id: Self.registryID, boot: 9, release: "t", heartbeatSeconds: 5, at: now)
        fleet = Fleet(id: Self.fleetID, boot: 4, release: "t", at: now)
        gateway = Gateway(id: Self.gatewayID, boot: 7, release: "t", seed: 1, ledger: contents, at: now)
    }

    package static func moment(_ milliseconds: Int64) -> Moment {
        Moment(
            monotonic: 1_000_000 + milliseconds, wall: Timestamp(milliseconds: 1_700_000_000_000 + milliseconds))
    }

    private var moment: Moment { Self.moment(now) }

    // MARK: - What can be done to it

    package mutating func connect() throws {
        try step([.registry(.wake), .registry(.connected), .fleet(.connected), .gateway(.connected)])
    }

    package mutating func disconnect() throws { try step([.registry(.disconnected), .gateway(.disconnected)]) }

    /// A message from somebody else, to everybody who would understand it.
    package mutating func say(_ message: Message) throws {
        try step([.registry(.received(message)), .fleet(.received(message)), .gateway(.received(message))])
    }

    package mutating func answer(_ call: ProviderCall, _ answer: ProviderAnswer) throws {
        calls.removeAll { $0.id == call.id }
        try step([.gateway(.answer(call: call.id, latency: 3, answer))])
    }

    /// The gateway's process ends, and another begins with what its ledger holds.
    package mutating func restartGateway(with contents: LedgerContents? = nil) throws {
        calls = []
        gateway = Gateway(
            id: Self.gatewayID, boot: gateway.boot + 1, release: "t", seed: 2, ledger: contents ?? ledger.contents,
            at: moment)
        try step([.gateway(.connected)])
    }

    /// Lets time pass; every core is woken when it wants to be.
    package mutating func wait(_ milliseconds: Int64) throws {
        let end = now + milliseconds
        var wakes = 0
        while now < end {
            let next = try nextWake()
            now = min(end, next)
            wakes += 1
            // Whoever wants to be woken more often than this for nothing has lost its sense of time.
            if wakes > Self.maxWakes { now = end }
            try step([.registry(.wake), .fleet(.wake), .gateway(.wake)])
        }
    }

    private mutating func nextWake() throws -> Int64 {
        let wakes = [
            registry.nextWake(at: moment), fleet.nextWake(at: moment), gateway.nextWake(at: moment),
        ]
        let present = moment.monotonic
        for wake in wakes where wake <= present || wake > present + 60_000 {
            throw StageFault("a core wants to be woken \(wake &- present) ms from now; 1 to 60,000 is right")
        }
        return (wakes.min() ?? present + 1) - 1_000_000
    }

    /// Until somebody asks such a thing; meanwhile the provider answers as it should.
    package mutating func awaitCall(_ isWanted: (ProviderCall.Kind) -> Bool) throws -> ProviderCall? {
        for _ in 0..<60 {
            if let call = calls.first(where: { isWanted($0.kind) }) { return call }
            try answerHonestly()
            if let call = calls.first(where: { isWanted($0.kind) }) { return call }
            try wait(500)
        }
        return nil
    }

    /// All calls that are open now, but none of those that follow.
    package mutating func answerHonestly() throws {
        for call in calls { try answer(call, provider.answer(call, at: moment.wall)) }
    }

    // MARK: - The way of an event

    private enum Speaker { case registry, fleet, gateway }

    private mutating func step(_ inputs: [Input]) throws {
        queue = inputs
        owed = []
        refusals = 0
        var next = 0
        defer { queue = [] }
        while next < queue.count {
            guard next < Self.maxEvents else { throw StageFault("one input leads to more than \(next) events") }
            let input = queue[next]
            next += 1
            switch input {
            case .registry(let event):
                for effect in timed({ $0.registry.receive(event, at: $0.moment) }) {
                    switch effect {
                    case .publish(let message): try publish(message, by: .registry)
                    case .store(let ticket, let request): try store(ticket, request)
                    case .superseded: break
                    }
                }
            case .fleet(let event):
                for effect in timed({ $0.fleet.receive(event, at: $0.moment) }) {
                    switch effect {
                    case .publish(let message): try publish(message, by: .fleet)
                    case .subscribe(let tenant): queue.append(.fleet(.subscribed(tenant)))
                    case .unsubscribe, .superseded, .report: break
                    }
                }
            case .gateway(let event):
                for effect in timed({ $0.gateway.receive(event, at: $0.moment) }) {
                    switch effect {
                    case .publish(let message): try publish(message, by: .gateway)
                    case .record(let entry): try record(entry)
                    case .call(let call): calls.append(call)
                    case .subscribe, .unsubscribe, .superseded, .report: break
                    }
                }
            }
        }
        if let topic = owed.first {
            throw StageFault("\(topic.name): what was too large was not followed by anything smaller")
        }
    }

    private mutating func timed<Effects>(_ body: (inout Stage) -> Effects) -> Effects {
        guard let stopwatch else { return body(&self) }
        let began = stopwatch()
        defer { longest = max(longest, stopwatch() - began) }
        return body(&self)
    }

    package mutating func resetStopwatch() { longest = 0 }

    /// As it is on the bus: written, measured and read again. What is too large goes back to whoever wanted it sent, as in
    /// the shells.
    private mutating func publish(_ message: Message, by speaker: Speaker) throws {
        messages += 1
        let header = EnvelopeHeader(id: "1", source: "stage", time: moment.wall)
        let bytes: [UInt8]
        do throws(EnvelopeError) {
            bytes = try codec.encode(message, header)
        } catch {
            guard let size = error.bytes else { throw StageFault("\(message.topic.name) cannot be sent: \(error)") }
            return try refuse(message, bytes: size, by: speaker)
        }
        guard bytes.count <= messageLimit else { return try refuse(message, bytes: bytes.count, by: speaker) }
        owed.remove(message.topic)
        var heard = message
        if readsBack {
            do { heard = try codec.decode(topic: message.topic.name, bytes).0 } catch {
                let text = String(decoding: bytes.prefix(2_000), as: UTF8.self)
                throw StageFault("\(message.topic.name) cannot be read by others: \(error): \(text)")
            }
        }
        queue.append(.registry(.received(heard)))
        queue.append(.fleet(.received(heard)))
        queue.append(.gateway(.received(heard)))
    }

    private mutating func refuse(_ message: Message, bytes: Int, by speaker: Speaker) throws {
        refusals += 1
        guard refusals <= Self.maxRefusals else {
            throw StageFault(
                "\(message.topic.name) does not become small enough (\(bytes) bytes, at most \(messageLimit))")
        }
        if message.topic.kind.mustBeTold { owed.insert(message.topic) }
        let refusal = NotSent(message, .tooLarge(bytes: bytes, limit: messageLimit))
        switch speaker {
        case .registry: queue.append(.registry(.notSent(refusal)))
        case .fleet: queue.append(.fleet(.notSent(refusal)))
        case .gateway: queue.append(.gateway(.notSent(refusal)))
        }
    }

    private mutating func store(_ ticket: Int, _ request: StoreRequest) throws {
        if keepsRequests { requests.append(request) }
        database.now = moment.wall
        let reply = database.transact(request)
        database.changes = []
        queue.append(.registry(.stored(ticket: ticket, reply)))
    }

    private mutating func record(_ entry: LedgerEntry) throws {
        if case .intent(let job) = entry {
            // A request that cannot be written could be neither kept nor sent.
            let command = JobCommand(
                id: "1", command: .submit, epoch: job.epoch, job: job.request.id, request: job.request)
            let message = Message(.jobCommand(job.tenant, job.provider), .jobCommand(command))
            do { _ = try codec.encode(message, EnvelopeHeader(id: "1", source: "stage", time: moment.wall)) } catch {
                throw StageFault("the request of \(job.request.id) cannot be written: \(error)")
            }
        }
        ledger.apply([entry])
    }
}

extension TopicKind {
    /// Somebody waits for it: a smaller message must follow one that was too large. Of the others an operator is told, or
    /// they come again in smaller parts.
    fileprivate var mustBeTold: Bool {
        switch self {
        case .response, .jobEvent, .wmJournal, .wmStatus, .wmAck: true
        default: false
        }
    }
}

/// What must not happen, whatever comes in: a core says what cannot be written, sent or read; wants to be woken at no
/// time; or goes on without an end. A trap needs no word: it ends the process.
package struct StageFault: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
