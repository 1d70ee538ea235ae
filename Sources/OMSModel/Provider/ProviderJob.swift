/// The body of `POST /jobs/`: what the gateway asks of a provider. Idempotent by `id`.
package struct JobRequest: Hashable, Codable, Sendable {
    package var id: JobID
    /// The `id` of a service in the provider's catalogue.
    package var service: ServiceID
    package var tenant: TenantID
    package var config: ServiceConfig
    package var input: JSONValue?
    /// Not started by then: the job fails with problem `deadline`.
    package var deadline: Timestamp?
    package var labels: [String: String]?

    package init(
        id: JobID, service: ServiceID, tenant: TenantID, config: ServiceConfig, input: JSONValue? = nil,
        deadline: Timestamp? = nil, labels: [String: String]? = nil
    ) {
        self.id = id
        self.service = service
        self.tenant = tenant
        self.config = config
        self.input = input
        self.deadline = deadline
        self.labels = labels
    }
}

/// A job as its provider shows it: `GET /jobs/{id}`. Members that do not apply are absent, never null.
package struct ProviderJob: Hashable, Codable, Sendable {
    package var id: JobID
    package var service: ServiceID
    package var tenant: TenantID
    package var state: JobState
    /// Grows with every change; a poller keeps the highest.
    package var revision: Int
    package var attempt: Int?
    /// Per cent, 0 to 100.
    package var progress: Double?
    package var message: String?
    package var created: Timestamp
    package var started: Timestamp?
    package var updated: Timestamp
    /// Present exactly in a terminal state.
    package var finished: Timestamp?
    package var labels: [String: String]?
    /// Name to `{"value": ...}` or `{"href": ..., "type": ..., "bytes": ..., "sha256": ...}`; at most 32 KiB in all.
    package var outputs: JSONObject?
    /// Present exactly when `failed`.
    package var error: Problem?
    /// What the reader left out of it, in words. No member of the interface.
    package var odd: String?

    enum CodingKeys: String, CodingKey {
        case id, service, tenant, state, revision, attempt, progress, message, created, started, updated, finished
        case labels, outputs, error
    }

    package init(
        id: JobID, service: ServiceID, tenant: TenantID, state: JobState, revision: Int, attempt: Int? = nil,
        progress: Double? = nil, message: String? = nil, created: Timestamp, started: Timestamp? = nil,
        updated: Timestamp, finished: Timestamp? = nil, labels: [String: String]? = nil,
        outputs: JSONObject? = nil, error: Problem? = nil
    ) {
        self.id = id
        self.service = service
        self.tenant = tenant
        self.state = state
        self.revision = revision
        self.attempt = attempt
        self.progress = progress
        self.message = message
        self.created = created
        self.started = started
        self.updated = updated
        self.finished = finished
        self.labels = labels
        self.outputs = outputs
        self.error = error
    }
}

/// The body of `GET /jobs/{id}/results`, at providers with that feature.
package struct JobResults: Hashable, Codable, Sendable {
    package var id: JobID
    package var state: JobState
    package var finished: Timestamp?
    package var outputs: JSONObject
    package var error: Problem?

    package init(
        id: JobID, state: JobState, finished: Timestamp? = nil, outputs: JSONObject, error: Problem? = nil
    ) {
        self.id = id
        self.state = state
        self.finished = finished
        self.outputs = outputs
        self.error = error
    }
}

/// The body of `GET /jobs/`: statistics and a page of jobs, ordered by (updated, id).
package struct JobList: Hashable, Codable, Sendable {
    package var statistics: JobStatistics
    package var jobs: [ProviderJob]
    package var nextPageToken: String?
    /// What the reader skipped or left out, in words. No member of the interface.
    package var odd: String?

    package init(statistics: JobStatistics, jobs: [ProviderJob], nextPageToken: String? = nil) {
        self.statistics = statistics
        self.jobs = jobs
        self.nextPageToken = nextPageToken
    }
    enum CodingKeys: String, CodingKey {
        case statistics, jobs
        case nextPageToken = "next_page_token"
    }
}

package struct JobStatistics: Hashable, Codable, Sendable {
    package var asOf: Timestamp
    package var counts: [String: Int]
    package var oldestQueuedSeconds: Int?

    package init(asOf: Timestamp, counts: [String: Int], oldestQueuedSeconds: Int? = nil) {
        self.asOf = asOf
        self.counts = counts
        self.oldestQueuedSeconds = oldestQueuedSeconds
    }

    enum CodingKeys: String, CodingKey {
        case counts
        case asOf = "as_of"
        case oldestQueuedSeconds = "oldest_queued_s"
    }
}

/// The body of `POST /jobs/{id}`.
package struct JobAction: Hashable, Codable, Sendable {
    /// `stop`, the only action so far.
    package var action: String
    package var graceSeconds: Int?
    package var reason: String?

    package init(action: String, graceSeconds: Int? = nil, reason: String? = nil) {
        self.action = action
        self.graceSeconds = graceSeconds
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case action, reason
        case graceSeconds = "grace_s"
    }
}
