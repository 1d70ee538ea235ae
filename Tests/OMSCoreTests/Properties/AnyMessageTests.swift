import FoundationEssentials
import OMSModel
import OMSSimulation
import Testing

@testable import OMSCore
@testable import OMSProtocol

/// Deep runs: OMS_PROPERTY_CASES for each kind (docs/internals/fuzzing.md).
private let cases = ProcessInfo.processInfo.environment["OMS_PROPERTY_CASES"].flatMap { Int($0) } ?? 2
/// A trap says nothing of its cause: with OMS_PROPERTY_TRACE every case is said before it is tried.
private let traces = ProcessInfo.processInfo.environment["OMS_PROPERTY_TRACE"] != nil
private let seed = ProcessInfo.processInfo.environment["OMS_PROPERTY_SEED"].flatMap { UInt64($0) } ?? 1

/// Whatever can be read is handled, and what comes of it can be written, read by the others, and stored (`StageFault`).
@Suite("Any message that can be read")
struct AnyMessageTests {
    private static let scenes: [StageScene: Result<Stage, any Error>] = Dictionary(
        uniqueKeysWithValues: StageScene.allCases.map { scene in (scene, Result { try scene.made() }) })

    @Test("the scenes are what they are called", arguments: StageScene.allCases)
    func scenes(_ scene: StageScene) throws {
        let stage = try #require(try Self.scenes[scene]?.get())
        #expect((stage.openJobs.isEmpty) == (scene == .fresh))
        #expect(scene == .fresh || stage.epoch >= 1)
    }

    @Test("is handled by every core, in every moment of its life", arguments: TopicKind.allCases)
    func messages(_ kind: TopicKind) throws {
        let recorder = SchemaRecorder()
        let schema = try kind.content(SchemaOf(recorder: recorder))
        var read = 0
        var refusals: [String] = []
        for number in 0..<cases {
            for scene in StageScene.allCases {
                var stage = try #require(try Self.scenes[scene]?.get())
                let seed =
                    seed &* 1_000_003 &+ UInt64(number) &* 31 &+ UInt64(StageScene.allCases.firstIndex(of: scene) ?? 0)
                var maker = ValueGenerator(seed: seed, definitions: recorder.definitions)
                maker.jobs = stage.openJobs.map { "\($0)" }
                maker.now = "\(Stage.moment(stage.now).wall)"
                let topic = Self.topic(of: kind, number)
                let text = maker.text(of: schema)
                if traces { print("\(kind) \(scene) seed \(seed): \(text)") }
                let message: Message
                do {
                    message = try EnvelopeCodec().decode(topic: topic, Self.envelope(kind, text)).0
                } catch {
                    refusals.append("\(error)")
                    continue
                }
                read += 1
                stage.keepsRequests = true
                do {
                    try stage.say(message)
                    try stage.answerHonestly()
                    try stage.wait(2_000)
                } catch {
                    Issue.record("\(kind), \(scene), seed \(seed): \(error)\n\(text.prefix(4_000))")
                }
                for request in stage.requests {
                    if let what = nonFinite(request) {
                        Issue.record("\(kind), \(scene), seed \(seed): \(what) cannot be stored\n\(text.prefix(4_000))")
                    }
                }
            }
        }
        #expect(read > 0, "none could be read: \(refusals.prefix(5))")
    }

    @Test("from a provider is handled as well", arguments: ["services", "status", "sweep", "job", "submit"])
    func answers(_ kind: String) throws {
        let recorder = SchemaRecorder()
        let schema: YAMLNode =
            switch kind {
            case "services": try recorder.schema(of: ServiceList.self).node
            case "status": try recorder.schema(of: ProviderStatus.self).node
            case "sweep": try recorder.schema(of: JobList.self).node
            default: try recorder.schema(of: ProviderJob.self).node
            }
        for number in 0..<(cases * 6) {
            var stage = try #require(try Self.scenes[.active]?.get())
            let seed = seed &* 1_000_003 &+ UInt64(number)
            guard let call = try stage.awaitCall({ Self.word($0) == kind }) else { continue }
            var maker = ValueGenerator(seed: seed, definitions: recorder.definitions)
            maker.now = "\(Stage.moment(stage.now).wall)"
            var text = maker.text(of: schema)
            // It is about the job that was asked for.
            if let job = Self.job(call.kind) {
                text = text.replacing("018bcfe5-6800-7d3e-8f40-112233445566", with: "\(job)")
            }
            if traces { print("\(kind) seed \(seed): \(text)") }
            do {
                try stage.answer(
                    call, AnswerReader().read(call.kind, status: 200, headers: [], body: Array(text.utf8)))
                try stage.wait(4_000)
            } catch {
                Issue.record("answer to \(kind), seed \(seed): \(error)\n\(text.prefix(4_000))")
            }
        }
    }

    // MARK: - Helpers

    private struct SchemaOf: ContentReader {
        let recorder: SchemaRecorder
        func read<Content: Decodable>(_ wrap: (Content) -> Payload) throws -> YAMLNode {
            try recorder.schema(of: Content.self).node
        }
    }

    private static func topic(of kind: TopicKind, _ number: Int) -> String {
        let row = kind.row
        let tenant = number % 2 == 0 ? "men" : "women"
        return switch row.parameters.first {
        case nil: row.pattern
        case "tenant": row.filled(tenant, row.parameters.last == "service" ? "harvest" : "alpha")
        case "sp": row.filled(number % 2 == 0 ? "alpha" : "beta")
        case "fleet": row.filled("f1")
        case "gateway": row.filled("g1")
        case "oms": row.filled("r1")
        default: row.filled("cli-1")
        }
    }

    private static func envelope(_ kind: TopicKind, _ data: String) -> [UInt8] {
        Array(
            #"{"specversion":"1.0","id":"1","source":"t","type":"\#(kind.row.type)","time":"2026-01-01T00:00:00Z","data":\#(data)}"#
                .utf8)
    }

    private static func word(_ kind: ProviderCall.Kind) -> String {
        switch kind {
        case .services: "services"
        case .status: "status"
        case .sweep: "sweep"
        case .job: "job"
        case .batch: "batch"
        case .submit: "submit"
        case .stop: "stop"
        }
    }

    private static func job(_ kind: ProviderCall.Kind) -> JobID? {
        switch kind {
        case .job(let id), .stop(let id, _): id
        case .submit(let request): request.id
        case .services, .status, .sweep, .batch: nil
        }
    }
}

/// The first number in a value that no database and no message takes.
private func nonFinite(_ value: Any, _ path: String = "", _ depth: Int = 0) -> String? {
    if let number = value as? Double { return number.isFinite ? nil : "\(path): \(number)" }
    guard depth < 24 else { return nil }
    for child in Mirror(reflecting: value).children {
        if let found = nonFinite(child.value, path + "/" + (child.label ?? ""), depth + 1) { return found }
    }
    return nil
}
