import Foundation
import OMSCore
import OMSModel
import OMSProtocol
import OMSSimulation

@testable import GatewayService

/// A fuzzed input is a small play: records, divided by lines `===`, the first line of each a verb with its words, the
/// rest a body. A file of the corpus is read at a glance, and a changed byte is a changed answer. The verbs:
///
///     scene NAME                  begins there (StageScene); only as the first record
///     fence|begun TENANT EPOCH    a row of the ledger that a gateway process finds
///     open TENANT PROVIDER EPOCH  the same with a request as the body; `ended STATE AGE ...` the same
///     restart                     a gateway process with that ledger, or its own
///     answer KIND STATUS [a=b|..] the provider's answer to the next call of the kind, with headers
///     fail KIND PHASE FAULT       no answer
///     say TOPIC                   a message with the body as its data; `raw TOPIC`: the body is the whole message
///     job VERB EPOCH              a command about the first open job
///     limit BYTES                 the broker takes no larger messages from now on
///     wait MS, connect, disconnect
///
/// In bodies: `$job`, `$now`, `$epoch`, and `$x9(..$)` for nine times what is between.
struct FuzzScript {
    var stage: Stage
    var contents: LedgerContents?
    var costs: Costs

    private static let scenes: [StageScene: Stage] = {
        var scenes: [StageScene: Stage] = [:]
        for scene in StageScene.allCases {
            do { scenes[scene] = try scene.made() } catch { FuzzTarget.end("scene \(scene): \(error)") }
        }
        return scenes
    }()

    private static let readsAllBack = ProcessInfo.processInfo.environment["OMS_FUZZ_KNOWN"] != nil
    /// No broker with less is of use (`HostileSizeTests`).
    private static let leastLimit = 8_192
    /// Enough for a story, and few enough for many.
    private static let maxRecords = 12

    static func play(_ bytes: [UInt8], _ costs: inout Costs) throws {
        let records = FuzzRecord.records(bytes).prefix(maxRecords)
        var scene = StageScene.active
        if let first = records.first, first.verb == "scene", let named = StageScene(rawValue: first.word(0)) {
            scene = named
        }
        guard var stage = scenes[scene] else { return }
        // Every third input, so that two thirds of the time is not spent on reading what we have written ourselves; of those
        // that are known, each.
        stage.readsBack = readsAllBack || bytes.count % 3 == 0
        var script = FuzzScript(stage: stage, contents: nil, costs: costs)
        defer { costs = script.costs }
        for record in records { try script.play(record) }
        // What was heard has consequences later.
        try script.stage.wait(1_000)
        try script.build()
    }

    private mutating func play(_ record: FuzzRecord) throws {
        switch record.verb {
        case "answer": try answer(record)
        case "fail": try fail(record)
        case "say", "raw": try say(record)
        case "job": try command(record)
        case "wait": try stage.wait(min(max(Int64(record.word(0)) ?? 0, 0), 120_000))
        case "limit": stage.messageLimit = min(max(Int(record.word(0)) ?? 0, Self.leastLimit), stage.messageLimit)
        case "connect": try stage.connect()
        case "disconnect": try stage.disconnect()
        case "restart":
            // A gateway reads what is in its ledger at its start, whoever wrote it.
            let contents = contents
            costs.nanoseconds.append(0)
            try stage.restartGateway(with: contents)
        case "fence", "begun", "open", "ended": remember(record)
        default: break
        }
    }

    private mutating func answer(_ record: FuzzRecord) throws {
        guard let call = try stage.awaitCall({ record.word(0) == "any" || $0.word == record.word(0) }) else { return }
        var (stage, costs) = (stage, costs)
        try costs.measure {
            // libcurl reads three digits.
            let status = min(max(Int(record.word(1)) ?? 200, 0), 999)
            let read = AnswerReader().read(
                call.kind, status: status, headers: record.headers,
                body: record.filled(stage, asked: call.kind.job))
            try stage.answer(call, read)
        }
        (self.stage, self.costs) = (stage, costs)
        try build()
    }

    private mutating func fail(_ record: FuzzRecord) throws {
        guard let call = try stage.awaitCall({ record.word(0) == "any" || $0.word == record.word(0) }) else { return }
        let fault = ProviderAnswer.Fault(rawValue: record.word(2)) ?? .other
        try stage.answer(call, .failed(record.word(1) == "maybe" ? .maybeSent : .notSent, fault, "fuzz"))
    }

    private mutating func say(_ record: FuzzRecord) throws {
        let data = record.filled(stage, asked: nil)
        let bytes = record.verb == "raw" ? data : record.envelope(data)
        var (stage, costs) = (stage, costs)
        try costs.measure {
            let message: Message
            do { message = try EnvelopeCodec().decode(topic: record.word(0), bytes).0 } catch { return }
            try stage.say(message)
        }
        (self.stage, self.costs) = (stage, costs)
    }

    private mutating func command(_ record: FuzzRecord) throws {
        guard let job = stage.openJobs.first, let epoch = Int(record.word(1)),
            let verb = JobCommand.Command(rawValue: record.word(0))
        else { return }
        try stage.say(
            Message(
                .jobCommand("men", "alpha"), .jobCommand(JobCommand(id: "c", command: verb, epoch: epoch, job: job))))
    }

    /// What the gateway asks for must be a request that can be built, with its page token, ETag and identifiers.
    private func build() throws {
        for call in stage.calls { try FuzzRequests.build(call) }
    }

    private mutating func remember(_ record: FuzzRecord) {
        var contents = contents ?? LedgerContents()
        defer { self.contents = contents }
        switch record.verb {
        case "fence", "begun":
            guard let tenant = TenantID(record.word(0)), let epoch = Int(record.word(1)) else { return }
            if record.verb == "fence" { contents.fences[tenant] = epoch } else { contents.begun[tenant] = epoch }
        default:
            let isEnded = record.verb == "ended"
            let words = isEnded ? Array(record.words.dropFirst(2)) : record.words
            guard words.count >= 3, let tenant = TenantID(words[0]), let provider = ProviderID(words[1]),
                let epoch = Int(words[2]),
                let request = FuzzRequests.request(record.filled(stage, asked: nil))
            else { return }
            if isEnded {
                guard let state = JobState(rawValue: record.word(0)), let age = Int64(record.word(1)),
                    let left = LeftJob(request, tenant: tenant, provider: provider, epoch: epoch)
                else { return }
                contents.ended.append(.init(left: left, state: state, age: age))
            } else {
                contents.open.append(
                    LedgerJob(tenant: tenant, provider: provider, epoch: epoch, request: request))
            }
        }
    }
}

extension ProviderCall.Kind {
    var word: String {
        switch self {
        case .services: "services"
        case .status: "status"
        case .sweep: "sweep"
        case .job: "job"
        case .batch: "batch"
        case .submit: "submit"
        case .stop: "stop"
        }
    }

    var job: JobID? {
        switch self {
        case .services, .status, .sweep: nil
        case .job(let id), .stop(let id, _): id
        case .batch(let ids): ids.first
        case .submit(let request): request.id
        }
    }
}
