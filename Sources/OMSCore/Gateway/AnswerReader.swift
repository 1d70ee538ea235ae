import OMSModel
import OMSProtocol

/// Parses a provider's answer. Providers are independent systems, so nothing in a body is trusted before it has the
/// form of the contract.
package struct AnswerReader {
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
        do {
            let data = try JSONReader.readLeniently(body, Self.limits)
            switch kind {
            case .services:
                let list = try JSON.decode(ServiceList.self, from: data, policy: .lenient)
                guard body.count <= AnswerLimits.maxCatalogBytes else {
                    return .malformed("a catalogue of \(body.count) bytes; at most \(AnswerLimits.maxCatalogBytes)")
                }
                return .services(list)
            case .status:
                var status = try JSON.decode(ProviderStatus.self, from: data, policy: .lenient)
                AnswerLimits.cut(&status)
                return .status(status)
            case .sweep, .batch:
                var list = try JSON.decode(JobList.self, from: data, policy: .lenient)
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

    private func job(_ data: JSONValue, _ id: JobID) throws -> ProviderAnswer.Body {
        var job = try JSON.decode(ProviderJob.self, from: data, policy: .lenient)
        job.error = job.error.map(foreign)
        AnswerLimits.cut(&job)
        if job.id != id { return .malformed("asked for job \(id), got \(job.id)") }
        if !job.state.isProviderState { return .malformed("'\(job.state.rawValue)' is no state of a provider's job") }
        return .job(job)
    }

    private static let maxPageItems = 1_000
    /// What a body may cost to read.
    static let limits = JSONLimits(bytes: 1 << 20, depth: 32, nodes: 100_000)

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
        if let tree = try? JSONReader.readLeniently(body, Self.limits),
            var problem = try? JSON.decode(Problem.self, from: tree, policy: .lenient)
        {
            problem.status = status
            AnswerLimits.cut(&problem)
            return foreign(problem)
        }
        let text = String(decoding: body.prefix(512), as: UTF8.self)
        return Problem(
            type: "about:blank", title: "HTTP status \(status)", status: status, detail: text.isEmpty ? nil : text)
    }
}
