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
        if let fault = Self.excess(body) { return .malformed(fault) }
        let data = Data(body)
        do {
            switch kind {
            case .services:
                let list = try decoder.decode(ServiceList.self, from: data)
                guard body.count <= AnswerLimits.maxCatalogBytes else {
                    return .malformed("a catalogue of \(body.count) bytes; at most \(AnswerLimits.maxCatalogBytes)")
                }
                return .services(list)
            case .status:
                var status = try decoder.decode(ProviderStatus.self, from: data)
                AnswerLimits.cut(&status)
                return .status(status)
            case .sweep, .batch:
                var list = try decoder.decode(JobList.self, from: data)
                guard list.jobs.count <= Self.maxPageItems else {
                    return .malformed("a page of \(list.jobs.count) jobs; at most \(Self.maxPageItems)")
                }
                for index in list.jobs.indices {
                    list.jobs[index].error = list.jobs[index].error.map(foreign)
                    AnswerLimits.cut(&list.jobs[index])
                }
                return .jobs(list)
            case .job(let id), .stop(let id, _): return try job(data, id)
            case .submit(let request): return try job(data, request.id)
            }
        } catch {
            return .malformed(readable(error))
        }
    }

    private func job(_ data: Data, _ id: JobID) throws -> ProviderAnswer.Body {
        var job = try decoder.decode(ProviderJob.self, from: data)
        job.error = job.error.map(foreign)
        AnswerLimits.cut(&job)
        if job.id != id { return .malformed("asked for job \(id), got \(job.id)") }
        if !job.state.isProviderState { return .malformed("'\(job.state.rawValue)' is no state of a provider's job") }
        return .job(job)
    }

    private static let maxPageItems = 1_000
    private static let maxDepth = 32

    /// Says what is wrong with the outer form, before any parser recurses into it.
    static func excess(_ body: [UInt8]) -> String? {
        var depth = 0
        var inString = false
        var isEscaped = false
        for byte in body {
            if inString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): inString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                if depth > maxDepth { return "nested deeper than \(maxDepth) levels" }
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
        return nil
    }

    /// `stale-epoch` is the gateway's own word, on which a Work Manager ends itself: in a provider's mouth it is another
    /// one, or any provider could end the Work Managers of its tenants.
    private func foreign(_ problem: Problem) -> Problem {
        guard problem.slug == ProblemSlug.staleEpoch.rawValue else { return problem }
        var problem = problem
        problem.type = ProblemSlug.providerFenced.urn
        return problem
    }

    /// A body that is no problem+json is wrapped: its first 512 bytes become the detail.
    private func problem(_ status: Int, _ body: [UInt8]) -> Problem {
        if Self.excess(body) == nil, var problem = try? decoder.decode(Problem.self, from: Data(body)) {
            problem.status = status
            AnswerLimits.cut(&problem)
            return foreign(problem)
        }
        let text = String(decoding: body.prefix(512), as: UTF8.self)
        return Problem(
            type: "about:blank", title: "HTTP status \(status)", status: status, detail: text.isEmpty ? nil : text)
    }
}
