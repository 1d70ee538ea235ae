package import OMSModel

/// A Work Manager's command about one job. Submit and stop share a topic because order holds only within one.
package struct JobCommand: Hashable, Codable, Sendable {
    package enum Command: String, Codable, Sendable, CaseIterable {
        /// Safe to repeat: the job id makes the second one a question.
        case submit
        case stop
        /// Tell me the job's state, from the provider if you do not know it.
        case status
    }

    package var id: String
    package var command: Command
    package var epoch: Int
    package var job: JobID
    /// With `submit`.
    package var request: JobRequest?
    /// With `submit`: it was asked for before, perhaps of another gateway, which may have sent it.
    package var again: Bool?
    package var graceSeconds: Int?
    package var reason: String?

    package init(
        id: String, command: Command, epoch: Int, job: JobID, request: JobRequest? = nil, again: Bool? = nil,
        graceSeconds: Int? = nil, reason: String? = nil
    ) {
        self.again = again
        self.id = id
        self.command = command
        self.epoch = epoch
        self.job = job
        self.request = request
        self.graceSeconds = graceSeconds
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case id, command, epoch, job, request, again, reason
        case graceSeconds = "grace_s"
    }
}

/// What the gateway knows of a job now. Any event may be lost or doubled: it is the whole state, not a difference.
package struct JobEvent: Hashable, Codable, Sendable {
    package var job: JobID
    package var epoch: Int
    package var state: JobState
    /// The provider's own revision, where the state comes from the provider.
    package var providerRevision: Int?
    package var time: Timestamp
    package var started: Timestamp?
    package var finished: Timestamp?
    package var progress: Double?
    package var message: String?
    package var outputs: JSONObject?
    package var error: Problem?
    /// What was left out because the event would have been larger than a message: `errors`, `texts`.
    package var omitted: [String]?

    package init(
        job: JobID, epoch: Int, state: JobState, providerRevision: Int? = nil, time: Timestamp,
        started: Timestamp? = nil, finished: Timestamp? = nil, progress: Double? = nil, message: String? = nil,
        outputs: JSONObject? = nil, error: Problem? = nil
    ) {
        self.job = job
        self.epoch = epoch
        self.state = state
        self.providerRevision = providerRevision
        self.time = time
        self.started = started
        self.finished = finished
        self.progress = progress
        self.message = message
        self.outputs = outputs
        self.error = error
    }

    enum CodingKeys: String, CodingKey {
        case job, epoch, state, time, started, finished, progress, message, outputs, error, omitted
        case providerRevision = "sp_revision"
    }
}
