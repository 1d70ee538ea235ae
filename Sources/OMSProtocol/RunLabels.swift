package import OMSModel

/// What a job's labels tell its provider, and a gateway that has only the request, of the run that it belongs to
/// (docs/reference/sp-interface, R-SUBMIT-10).
package enum RunLabels {
    package static let run = "run_id"
    /// As the tenant's scenario calls it.
    package static let service = "service"
    package static let attempt = "attempt"
    /// The runs that caused it, separated by commas.
    package static let upstream = "upstream"

    /// R-SUBMIT-10: at most 1,024 characters. What does not fit is left out as a whole.
    private static let maxUpstream = 27

    package static func labels(
        run: RunID, service: ServiceID, attempt: Int, upstream: [RunID]?
    ) -> [String: String] {
        var labels = [Self.run: "\(run)", Self.service: service.text, Self.attempt: "\(attempt)"]
        if let upstream, !upstream.isEmpty, upstream.count <= maxUpstream {
            labels[Self.upstream] = upstream.map(\.description).joined(separator: ",")
        }
        return labels
    }

    /// In the range that readers of messages ask for: what names it later would be read by nobody.
    package static func attempt(_ text: String?) -> Int {
        Int(min(max(text.flatMap { Int64($0) } ?? 1, 1), NumberBounds.figure.upperBound))
    }

    package static func upstream(_ text: some StringProtocol) -> [RunID] {
        text.split(separator: ",").compactMap { RunID($0) }
    }
}

extension LeftJob {
    /// - Returns: nil for a request that no Work Manager made.
    package init?(_ request: JobRequest, tenant: TenantID, provider: ProviderID, epoch: Int) {
        guard let labels = request.labels, let deadline = request.deadline,
            let run = labels[RunLabels.run].flatMap({ RunID($0) }),
            let service = labels[RunLabels.service].flatMap({ ServiceID($0) })
        else { return nil }
        self.init(
            job: request.id, tenant: tenant, provider: provider, epoch: epoch, run: run, service: service,
            attempt: RunLabels.attempt(labels[RunLabels.attempt]), deadline: deadline,
            upstream: labels[RunLabels.upstream].map { RunLabels.upstream($0) })
    }
}
