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
        let data = Data(body)
        do {
            switch kind {
            case .services: return .services(try decoder.decode(ServiceList.self, from: data))
            case .status: return .status(try decoder.decode(ProviderStatus.self, from: data))
            case .sweep:
                var list = try decoder.decode(JobList.self, from: data)
                for index in list.jobs.indices { list.jobs[index].error = list.jobs[index].error.map(foreign) }
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
        if job.id != id { return .malformed("asked for job \(id), got \(job.id)") }
        if !job.state.isProviderState { return .malformed("'\(job.state.rawValue)' is no state of a provider's job") }
        return .job(job)
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
        if var problem = try? decoder.decode(Problem.self, from: Data(body)) {
            problem.status = status
            return foreign(problem)
        }
        let text = String(decoding: body.prefix(512), as: UTF8.self)
        return Problem(
            type: "about:blank", title: "HTTP status \(status)", status: status, detail: text.isEmpty ? nil : text)
    }
}
