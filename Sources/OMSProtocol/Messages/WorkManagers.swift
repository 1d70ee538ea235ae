package import OMSModel

/// A command to a tenant's Work Manager, carried out by the named fleet process only if `boot` is its own.
package struct WMControl: Hashable, Codable, Sendable {
    package enum Command: String, Codable, Sendable, CaseIterable {
        case bootstrap, reconfigure
        /// Take no new work, end what runs as each service says, flush the journal, then end: the way out.
        case drain
        /// Takes a drain back, as long as it has not ended.
        case resume
        /// The registry's open runs differ from what the Work Manager says: adopt what is missing, record again what the
        /// registry lacks.
        case reconcile
        /// Somebody asks for a run of a service now.
        case trigger
        /// End at once, jobs and all left as they are.
        case shutdown
    }

    package var id: String
    package var command: Command
    package var epoch: Int
    package var fleet: NodeID
    /// Incarnation of the fleet process that is meant: a delayed command cannot start a zombie in the next one.
    package var boot: Int64
    package var generation: Int
    package var config: WorkManagerConfig?
    package var resume: WorkManagerResume?
    /// With `drain`: what still waits for its own end is stopped then.
    package var deadline: Timestamp?
    /// With `drain`: no Work Manager comes after it (suspended, off-boarded), so nobody can adopt a job.
    package var final: Bool?
    package var reason: String?
    /// With `trigger`.
    package var trigger: RunTrigger?

    package init(
        id: String, command: Command, epoch: Int, fleet: NodeID, boot: Int64, generation: Int,
        config: WorkManagerConfig? = nil, resume: WorkManagerResume? = nil, deadline: Timestamp? = nil,
        final: Bool? = nil, reason: String? = nil
    ) {
        self.deadline = deadline
        self.final = final
        self.id = id
        self.command = command
        self.epoch = epoch
        self.fleet = fleet
        self.boot = boot
        self.generation = generation
        self.config = config
        self.resume = resume
        self.reason = reason
    }
}

package struct WMAck: Hashable, Codable, Sendable {
    package enum Phase: String, Codable, Sendable, CaseIterable { case accepted, progress, done, rejected, failed }

    package var id: String
    package var command: WMControl.Command
    package var phase: Phase
    package var epoch: Int
    package var generation: Int
    package var fleet: NodeID
    /// With `drain`: jobs that have neither ended nor been left to the next epoch.
    package var remaining: Int?
    /// With `drain` done: the last number of the journal, all of it committed.
    package var lastSeq: Int?
    package var error: Problem?

    package init(
        id: String, command: WMControl.Command, phase: Phase, epoch: Int, generation: Int, fleet: NodeID,
        remaining: Int? = nil, lastSeq: Int? = nil, error: Problem? = nil
    ) {
        self.lastSeq = lastSeq
        self.id = id
        self.command = command
        self.phase = phase
        self.epoch = epoch
        self.generation = generation
        self.fleet = fleet
        self.remaining = remaining
        self.error = error
    }

    enum CodingKeys: String, CodingKey {
        case id, command, phase, epoch, generation, fleet, remaining, error
        case lastSeq = "last_seq"
    }
}

/// Asks a Work Manager for its status. The interval travels with it, so that both sides mean the same.
package struct Heartbeat: Hashable, Codable, Sendable {
    package var beat: Int
    package var epoch: Int
    package var intervalSeconds: Int
    /// Highest journal number of this epoch that is committed.
    package var ackSeq: Int

    package init(beat: Int, epoch: Int, intervalSeconds: Int, ackSeq: Int) {
        self.beat = beat
        self.epoch = epoch
        self.intervalSeconds = intervalSeconds
        self.ackSeq = ackSeq
    }

    enum CodingKeys: String, CodingKey {
        case beat, epoch
        case intervalSeconds = "interval_s"
        case ackSeq = "ack_seq"
    }
}

/// The answer to a heartbeat.
package struct WMStatus: Hashable, Codable, Sendable {
    package var beat: Int
    package var epoch: Int
    package var fleet: NodeID
    package var boot: Int64
    package var state: WMState.State
    package var generation: Int
    /// Highest journal number given out.
    package var seq: Int
    /// Highest number of which it was told that it is committed. A registry that has committed less has a database that was
    /// restored from a backup.
    package var ackSeq: Int?
    package var uptimeSeconds: Int
    /// Open jobs by state.
    package var jobs: [String: Int]
    /// Running operations, the oldest first, at most 100.
    package var active: [ActiveOperation]
    /// So many more, for which the message has no room.
    package var moreActive: Int?
    /// Services that do not run now, and why.
    package var waiting: [Reason]
    package var moreWaiting: Int?
    /// Digest of the open jobs (see `OpenJobsDigest`), if every fact is committed: then it must be that of the
    /// registry's rows.
    package var digest: String?

    package init(
        beat: Int, epoch: Int, fleet: NodeID, boot: Int64, state: WMState.State, generation: Int, seq: Int,
        ackSeq: Int? = nil, uptimeSeconds: Int, jobs: [String: Int], active: [ActiveOperation], waiting: [Reason],
        digest: String? = nil
    ) {
        self.digest = digest
        self.beat = beat
        self.epoch = epoch
        self.fleet = fleet
        self.boot = boot
        self.state = state
        self.generation = generation
        self.seq = seq
        self.ackSeq = ackSeq
        self.uptimeSeconds = uptimeSeconds
        self.jobs = jobs
        self.active = active
        self.waiting = waiting
    }

    enum CodingKeys: String, CodingKey {
        case beat, epoch, fleet, boot, state, generation, seq, jobs, active, waiting, digest
        case ackSeq = "ack_seq"
        case moreActive = "more_active"
        case moreWaiting = "more_waiting"
        case uptimeSeconds = "uptime_s"
    }
}

package struct ActiveOperation: Hashable, Codable, Sendable {
    package var service: ServiceID
    package var run: RunID
    package var job: JobID
    package var provider: ProviderID
    package var state: JobState
    package var ageSeconds: Int
    package var progress: Double?
    package var message: String?

    package init(
        service: ServiceID, run: RunID, job: JobID, provider: ProviderID, state: JobState, ageSeconds: Int,
        progress: Double? = nil, message: String? = nil
    ) {
        self.service = service
        self.run = run
        self.job = job
        self.provider = provider
        self.state = state
        self.ageSeconds = ageSeconds
        self.progress = progress
        self.message = message
    }

    enum CodingKeys: String, CodingKey {
        case service, run, job, provider, state, progress, message
        case ageSeconds = "age_s"
    }
}

/// Why something does not do what its scenario says: one current, readable reason.
package struct Reason: Hashable, Codable, Sendable {
    /// What it is about: `service/recommend`, or `tenant`.
    package var subject: String
    package var code: String
    package var text: String
    package var since: Timestamp

    package init(subject: String, code: String, text: String, since: Timestamp) {
        self.subject = subject
        self.code = code
        self.text = text
        self.since = since
    }
}

/// The fencing authority: written by the registry alone, after the epoch is in PostgreSQL.
package struct WMEpoch: Hashable, Codable, Sendable {
    package var epoch: Int
    package var fleet: NodeID
    package var generation: Int
    package var since: Timestamp

    package init(epoch: Int, fleet: NodeID, generation: Int, since: Timestamp) {
        self.epoch = epoch
        self.fleet = fleet
        self.generation = generation
        self.since = since
    }
}

package struct WMState: Hashable, Codable, Sendable {
    package enum State: String, Codable, Sendable, CaseIterable { case starting, active, draining, stopped, failed }

    package var state: State
    package var epoch: Int
    package var generation: Int
    package var fleet: NodeID
    package var since: Timestamp

    package init(state: State, epoch: Int, generation: Int, fleet: NodeID, since: Timestamp) {
        self.state = state
        self.epoch = epoch
        self.generation = generation
        self.fleet = fleet
        self.since = since
    }
}
