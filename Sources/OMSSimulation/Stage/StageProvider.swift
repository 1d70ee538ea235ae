package import OMSCore
package import OMSModel

/// A Service Provider in a few lines that keeps the contract: jobs are accepted, run a while, and succeed.
package struct StageProvider: Sendable {
    struct Job: Sendable {
        var request: JobRequest
        var created: Timestamp
        var isStopped = false
    }

    package static let runMilliseconds: Int64 = 3_000

    private(set) var jobs: [JobID: Job] = [:]

    package init() {}

    package mutating func answer(_ call: ProviderCall, at now: Timestamp) -> ProviderAnswer {
        switch call.kind {
        case .services:
            let services = ["harvest", "recommend"].compactMap { name in
                ServiceID(name).map {
                    ServiceDescription(id: $0, type: ServiceType($0.text) ?? "x", version: "1", available: true)
                }
            }
            return good(200, .services(ServiceList(services: services)))
        case .status:
            return good(
                200,
                .status(
                    ProviderStatus(
                        status: .pass, version: "1", time: now, startedAt: Timestamp(milliseconds: 0), uptimeSeconds: 9,
                        accepting: true)))
        case .sweep(let since, _, _):
            return list(jobs.keys.sorted(), at: now).changed(since: since)
        case .batch(let ids): return list(ids, at: now)
        case .job(let id): return one(id, at: now)
        case .stop(let id, _):
            jobs[id]?.isStopped = true
            return one(id, at: now)
        case .submit(let request):
            if jobs[request.id] == nil { jobs[request.id] = Job(request: request, created: now) }
            return one(request.id, at: now, status: 201)
        }
    }

    private func good(_ status: Int, _ body: ProviderAnswer.Body) -> ProviderAnswer {
        .answered(status: status, retryAfterSeconds: nil, etag: nil, body: body)
    }

    private func one(_ id: JobID, at now: Timestamp, status: Int = 200) -> ProviderAnswer {
        guard let job = view(id, at: now) else { return good(404, .problem(Problem(.notFound, "no such job"))) }
        return good(status, .job(job))
    }

    private func list(_ ids: [JobID], at now: Timestamp) -> ProviderAnswer {
        good(
            200,
            .jobs(
                JobList(statistics: JobStatistics(asOf: now, counts: [:]), jobs: ids.compactMap { view($0, at: now) })))
    }

    private func view(_ id: JobID, at now: Timestamp) -> ProviderJob? {
        guard let job = jobs[id] else { return nil }
        let end = job.created.advanced(byMilliseconds: Self.runMilliseconds)
        let isOver = now >= end
        let state: JobState = job.isStopped ? .stopped : isOver ? .succeeded : .running
        return ProviderJob(
            id: id, service: job.request.service, tenant: job.request.tenant, state: state,
            revision: state == .running ? 1 : 2, created: job.created, started: job.created,
            updated: state == .running ? job.created : end, finished: state == .running ? nil : end,
            labels: job.request.labels, outputs: state == .succeeded ? ["rows": ["value": 7]] : nil)
    }
}

extension ProviderAnswer {
    fileprivate func changed(since: Timestamp) -> ProviderAnswer {
        guard case .answered(let status, let retry, let etag, .jobs(var list)) = self else { return self }
        list.jobs.removeAll { $0.updated < since }
        return .answered(status: status, retryAfterSeconds: retry, etag: etag, body: .jobs(list))
    }
}
