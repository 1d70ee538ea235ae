/// The optional parts of the interface, in `features` (docs/reference/sp-interface section 3).
package enum ProviderFeature: String, CaseIterable, Sendable {
    /// `GET /jobs/{id}/results`.
    case results
    /// Refuses commands of a lower `OMS-Epoch` than it has seen for the tenant.
    case fencing
    /// Remembers a stop for an id that it does not know, and refuses the late submit.
    case tombstones
}

/// The body of `GET /status`.
package struct ProviderStatus: Hashable, Codable, Sendable {
    package enum Level: String, Codable, Sendable, CaseIterable { case pass, warn, fail }

    package var status: Level
    /// Version of the interface: `"1"`.
    package var version: String
    package var release: String?
    package var time: Timestamp
    /// Changes at every start: the gateway then asks for every open job again.
    package var startedAt: Timestamp
    package var uptimeSeconds: Int
    package var accepting: Bool
    /// How long finished jobs can be read.
    package var retentionSeconds: Int?
    /// Optional parts of the interface, for example `results`, `fencing`.
    package var features: [String]?
    package var jobs: ProviderJobFigures?
    /// Why it is not `pass`, in words.
    package var output: String?
    /// What the reader left out of it, in words. No member of the interface.
    package var odd: String?

    package init(
        status: Level, version: String, release: String? = nil, time: Timestamp, startedAt: Timestamp,
        uptimeSeconds: Int, accepting: Bool, retentionSeconds: Int? = nil, features: [String]? = nil,
        jobs: ProviderJobFigures? = nil, output: String? = nil
    ) {
        self.status = status
        self.version = version
        self.release = release
        self.time = time
        self.startedAt = startedAt
        self.uptimeSeconds = uptimeSeconds
        self.accepting = accepting
        self.retentionSeconds = retentionSeconds
        self.features = features
        self.jobs = jobs
        self.output = output
    }

    enum CodingKeys: String, CodingKey {
        case status, version, release, time, accepting, features, jobs, output
        case startedAt = "started_at"
        case uptimeSeconds = "uptime_s"
        case retentionSeconds = "retention_s"
    }
}

/// Today's figures; "today" is the UTC date of the status' `time`, executed = reached a terminal state today.
package struct ProviderJobFigures: Hashable, Codable, Sendable {
    package var queued: Int
    package var running: Int
    package var executedToday: Int
    package var succeededToday: Int
    package var failedToday: Int
    package var stoppedToday: Int
    package var maxRunning: Int?
    package var maxQueued: Int?

    package init(
        queued: Int, running: Int, executedToday: Int, succeededToday: Int, failedToday: Int, stoppedToday: Int,
        maxRunning: Int? = nil, maxQueued: Int? = nil
    ) {
        self.queued = queued
        self.running = running
        self.executedToday = executedToday
        self.succeededToday = succeededToday
        self.failedToday = failedToday
        self.stoppedToday = stoppedToday
        self.maxRunning = maxRunning
        self.maxQueued = maxQueued
    }
    enum CodingKeys: String, CodingKey {
        case queued, running
        case executedToday = "executed_today"
        case succeededToday = "succeeded_today"
        case failedToday = "failed_today"
        case stoppedToday = "stopped_today"
        case maxRunning = "max_running"
        case maxQueued = "max_queued"
    }
}
