import Foundation
import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

@Suite("Answers are cut to what fits into a message")
struct AnswerLimitsTests {
    let reader = AnswerReader()
    let id = jobID(7)
    let long = String(repeating: "\u{1}\u{1F600}", count: 8_000)

    private func body(_ answer: ProviderAnswer) throws -> ProviderAnswer.Body {
        guard case .answered(_, _, _, let body) = answer else { throw CancellationError() }
        return body
    }

    private func read(_ kind: ProviderCall.Kind, _ value: some Encodable, status: Int = 200) throws
        -> ProviderAnswer.Body
    {
        try body(reader.read(kind, status: status, headers: [], body: Array(try JSONEncoder().encode(value))))
    }

    private func size(_ event: JobEvent) throws -> Int {
        try JSONEncoder().encode(event).count
    }

    @Test("a job with huge texts and outputs still makes an event that the bus takes")
    func job() throws {
        var job = GatewayBench().job(id, .failed, revision: 3)
        job.message = long
        job.error = Problem(
            type: long, title: long, detail: long, instance: long,
            errors: (0..<60).map { _ in
                FieldError(pointer: String(long.prefix(300)), detail: String(long.prefix(300)))
            })
        job.outputs = ["text": ["value": .string(String(repeating: "\u{1}", count: 60_000))]]
        job.progress = 1e300
        guard case .job(let read) = try read(.job(id), job) else { throw CancellationError() }
        #expect(read.progress == 100)
        var followed = GatewayJob(
            id: id, tenant: "men", provider: "alpha", epoch: 1, request: nil, state: .running, at: at(0))
        #expect(followed.apply(read, at: at(1)) == .changed)
        #expect(try size(followed.event) < EnvelopeCodec.maxBytes - 1_000)
        #expect(followed.outputs == nil, "outputs that grow sixfold when they are written are too large")
    }

    @Test("a status, a problem and a catalogue are cut as well")
    func others() throws {
        var status = GatewayBench.status()
        status.output = long
        status.features = Array(repeating: long, count: 3) + ["fencing"]
        guard case .status(let read) = try read(.status, status) else { throw CancellationError() }
        #expect((read.output?.utf8.count ?? 0) <= 1_027 && read.features == ["fencing"])
        let problem = Problem(type: "urn:x", detail: long)
        guard case .problem(let cut) = try self.read(.status, problem, status: 500) else { throw CancellationError() }
        #expect((cut.detail?.utf8.count ?? 0) <= 1_027)
        let service = ServiceDescription(
            id: "x", type: "x", version: "1", description: long + long + long, available: true)
        guard case .malformed(let why) = try self.read(.services(etag: nil), ServiceList(services: [service])) else {
            throw CancellationError()
        }
        #expect(why.contains("bytes"))
    }

    @Test("what nests deeper than 32 levels is left out; brackets in texts do not count")
    func depth() throws {
        let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
        let text = String(decoding: JSONValue(encoding: GatewayBench.status()).bytes, as: UTF8.self)
            .replacing("{", with: "{\"x\":\(deep),", maxReplacements: 1)
        guard case .status = try body(reader.read(.status, status: 200, headers: [], body: Array(text.utf8))) else {
            throw CancellationError()
        }
        var job = GatewayBench().job(id, .running)
        job.message = String(repeating: "[{\\\"", count: 100)
        guard case .job = try read(.job(id), job) else { throw CancellationError() }
    }
}
