import OMSCore
import OMSModel
import OMSProtocol

/// What one message or answer costs at most, at a process that is at work. A sample is a play of the fuzzing corpus
/// (docs/internals/fuzzing.md), of which the first message or answer is taken.
package struct WorstCase: Sendable {
    package struct Cost: Sendable {
        /// Nanoseconds: reading it, and the longest that a core took for anything that followed.
        package var reading: Int64
        package var handling: Int64
        package var isRead: Bool

        package var total: Int64 { reading + handling }

        package init(reading: Int64 = 0, handling: Int64 = 0, isRead: Bool = false) {
            (self.reading, self.handling, self.isRead) = (reading, handling, isRead)
        }
    }

    private enum Sample {
        case message(topic: String, sample: JSONValue)
        case answer(ProviderCall, status: Int, sample: JSONValue)
    }

    /// The record as it stands in the play: many plays begin alike.
    package let record: String
    private let stage: Stage
    private let sample: Sample
    private let stopwatch: @Sendable () -> Int64

    /// - Returns: nil if the play does not begin with a message or an answer in JSON.
    package init?(play: String, stopwatch: @escaping @Sendable () -> Int64) throws {
        var stage = try StageScene.active.made()
        stage.stopwatch = stopwatch
        let lines = play.split(separator: "\n", omittingEmptySubsequences: false)
        let first = lines.prefix { $0 != "===" }
        let words = (first.first ?? "").split(separator: " ").map(String.init)
        guard words.count >= 2 else { return nil }
        var call: ProviderCall?
        if words[0] == "answer" {
            if words[1] == "stop" { try stage.stopFirstJob() }
            call = try stage.awaitCall { $0.isNamed(words[1]) }
            if call == nil { return nil }
        }
        let job = call?.kind.subject ?? stage.openJobs.first
        let text = first.dropFirst().joined(separator: "\n").replacing("$job", with: job.map { "\($0)" } ?? "none")
            .replacing("$now", with: "\(Stage.moment(stage.now).wall)").replacing("$epoch", with: "\(stage.epoch)")
        guard let value = try? JSONReader.read(Array(text.utf8), .own) else { return nil }
        if let call {
            sample = .answer(call, status: words.count > 2 ? Int(words[2]) ?? 200 : 200, sample: value)
        } else if words[0] == "say", Topic(words[1]) != nil {
            sample = .message(topic: words[1], sample: value)
        } else {
            return nil
        }
        record = first.joined(separator: "\n")
        self.stage = stage
        self.stopwatch = stopwatch
    }

    package func each(_ body: (Inflation.Variant) throws -> Void) throws {
        switch sample {
        case .message(let topic, let value):
            let type = Topic(topic)?.kind.row.type ?? ""
            try Inflation(
                size: EnvelopeCodec.maxBytes, depth: EnvelopeCodec.limits.depth,
                head:
                    #"{"specversion":"1.0","id":"1","source":"worst","type":"\#(type)","time":"2026-01-01T00:00:00Z","data":"#,
                tail: "}"
            ).each(of: value, body)
        case .answer(_, _, let value):
            try Inflation(size: AnswerReader.limits.bytes, depth: AnswerReader.limits.depth).each(of: value, body)
        }
    }

    package func cost(of bytes: [UInt8]) throws -> Cost {
        var stage = stage
        stage.resetStopwatch()
        let began = stopwatch()
        switch sample {
        case .message(let topic, _):
            let message: Message
            do { message = try EnvelopeCodec().decode(topic: topic, bytes).0 } catch {
                return Cost(reading: stopwatch() - began, handling: 0, isRead: false)
            }
            let read = stopwatch()
            try stage.say(message)
            return Cost(reading: read - began, handling: stage.longest, isRead: true)
        case .answer(let call, let status, _):
            let answer = AnswerReader().read(call.kind, status: status, headers: [], body: bytes)
            let read = stopwatch()
            try stage.answer(call, answer)
            var isRead = true
            if case .answered(_, _, _, .malformed) = answer { isRead = false }
            return Cost(reading: read - began, handling: stage.longest, isRead: isRead)
        }
    }
}

extension ProviderCall.Kind {
    fileprivate func isNamed(_ name: String) -> Bool {
        switch self {
        case .services: name == "services"
        case .status: name == "status"
        case .sweep: name == "sweep"
        case .job: name == "job"
        case .batch: name == "batch"
        case .submit: name == "submit"
        case .stop: name == "stop"
        }
    }

    fileprivate var subject: JobID? {
        switch self {
        case .services, .status, .sweep: nil
        case .job(let id), .stop(let id, _): id
        case .batch(let ids): ids.first
        case .submit(let request): request.id
        }
    }
}

extension Stage {
    fileprivate mutating func stopFirstJob() throws {
        guard let job = openJobs.first else { return }
        let command = JobCommand(id: "c", command: .stop, epoch: epoch, job: job)
        try say(Message(.jobCommand("men", "alpha"), .jobCommand(command)))
    }
}
