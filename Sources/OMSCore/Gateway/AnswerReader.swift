import FoundationEssentials
import OMSModel
import OMSProtocol

/// Parses a provider's answer. Providers are independent systems, so nothing in a body is trusted before it has the
/// form of the contract.
package struct AnswerReader {
    private let decoder = JSONDecoder()

    package init() {}

    package func read(
        _ kind: ProviderCall.Kind, status: Int, headers: [(name: String, value: String)], body: [UInt8]
    ) -> ProviderAnswer {
        func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
        let parsed: ProviderAnswer.Body
        if status == 304 {
            parsed = .empty
        } else if (200..<300).contains(status) || (status == 503 && kind == .status) {
            parsed = content(kind, body)
        } else {
            parsed = .problem(problem(status, body))
        }
        return .answered(
            status: status, retryAfterSeconds: header("retry-after").flatMap { Int($0) }.map { min(max($0, 0), 300) },
            etag: header("etag"), body: parsed)
    }

    private func content(_ kind: ProviderCall.Kind, _ body: [UInt8]) -> ProviderAnswer.Body {
        if Self.isTooDeep(body) { return .malformed("JSON nested deeper than \(Self.maxDepth) levels") }
        let data = Data(body)
        do {
            switch kind {
            case .services: return .services(try decoder.decode(ServiceList.self, from: data))
            case .status: return .status(try decoder.decode(ProviderStatus.self, from: data))
            case .sweep: return .jobs(try decoder.decode(JobList.self, from: data))
            case .job(let id), .stop(let id, _): return try job(data, id)
            case .submit(let request): return try job(data, request.id)
            }
        } catch {
            return .malformed(readable(error))
        }
    }

    static let maxDepth = 64

    /// A look at the brackets alone, before anything is built of them: whoever nests deeper than any honest answer
    /// gets no more of our time than the bytes up to there.
    private static func isTooDeep(_ body: [UInt8]) -> Bool {
        var (depth, inString, escaped) = (0, false, false)
        return body.withUnsafeBufferPointer { bytes in
            for byte in bytes {
                if inString {
                    if escaped { escaped = false } else if byte == 0x5C { escaped = true } else if byte == 0x22 { inString = false }
                } else if byte == 0x22 {
                    inString = true
                } else if byte == 0x5B || byte == 0x7B {
                    depth += 1
                    if depth > maxDepth { return true }
                } else if byte == 0x5D || byte == 0x7D {
                    depth -= 1
                }
            }
            return false
        }
    }

    private func job(_ data: Data, _ id: JobID) throws -> ProviderAnswer.Body {
        let job = try decoder.decode(ProviderJob.self, from: data)
        if job.id != id { return .malformed("asked for job \(id), got \(job.id)") }
        if !job.state.isProviderState { return .malformed("'\(job.state.rawValue)' is no state of a provider's job") }
        return .job(job)
    }

    /// A body that is no problem+json is wrapped: its first 512 bytes become the detail.
    private func problem(_ status: Int, _ body: [UInt8]) -> Problem {
        if !Self.isTooDeep(body), var problem = try? decoder.decode(Problem.self, from: Data(body)) {
            problem.status = status
            return problem
        }
        let text = String(decoding: body.prefix(512), as: UTF8.self)
        return Problem(
            type: "about:blank", title: "HTTP status \(status)", status: status, detail: text.isEmpty ? nil : text)
    }
}
