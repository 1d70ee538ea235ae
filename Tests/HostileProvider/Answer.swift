import Foundation
import OMSModel

/// An answer before any fault is applied to it.
struct Answer {
    var status: Int
    var headers: [String: String] = [:]
    var body: [UInt8] = []

    static func json(_ status: Int, _ value: JSONValue, _ headers: [String: String] = [:]) -> Answer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // JSONValue holds nothing that JSON cannot say but non-finite numbers, which this provider never makes.
        let body = (try? encoder.encode(value)).map { Array($0) } ?? []
        return Answer(
            status: status, headers: ["Content-Type": "application/json"].merging(headers) { _, new in new }, body: body
        )
    }

    static func problem(
        _ status: Int, _ slug: ProblemSlug, _ detail: String, errors: [String: String] = [:], retryable: Bool = false
    ) -> Answer {
        var members: JSONObject = [
            "type": .string(slug.urn), "title": .string(slug.rawValue), "status": .int(Int64(status)),
            "detail": .string(detail), "retryable": .bool(retryable),
        ]
        if !errors.isEmpty {
            members["errors"] = .array(
                errors.sorted { $0.key < $1.key }.map { ["pointer": .string($0.key), "detail": .string($0.value)] })
        }
        return .json(status, .object(members), ["Content-Type": "application/problem+json"])
    }

    var head: String {
        var text = "HTTP/1.1 \(status) Answer\r\n"
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { text += "\(name): \(value)\r\n" }
        return text
    }

    /// The whole answer with its length.
    var framed: String { head + "Content-Length: \(body.count)\r\n\r\n" }
}
