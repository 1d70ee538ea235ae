package import OMSModel

/// A replacement, move, suspension or off-boarding of a tenant's Work Manager: a row that one can watch, retry and
/// abort, and that a restarted registry goes on with (docs/internals/replacement.md).
package struct ManagerOperation: Hashable, Codable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// The Work Manager ends, and a new epoch begins.
        case replace
        /// The same, because of the fleet that it runs on.
        case move
        /// It ends, and none begins until the tenant is resumed.
        case suspend
        /// It ends, and the tenant is removed.
        case offboard
    }

    package enum Phase: String, Codable, Sendable {
        /// The Work Manager ends its jobs as each service says.
        case draining
        /// The gateways refuse its epoch from now on.
        case sealing
        /// The gateways end its jobs, because it did not.
        case sweeping
        /// The receipt is written.
        case closing
        /// The next epoch is being started.
        case starting
        case done, aborted

        package var isTerminal: Bool { self == .done || self == .aborted }
    }

    /// A UUID of version 7.
    package var id: String
    package var tenant: TenantID
    package var kind: Kind
    package var phase: Phase
    package var reason: String
    package var initiator: String
    package var startedAt: Timestamp
    /// Until then the Work Manager may drain.
    package var deadline: Timestamp
    /// The epoch that ends.
    package var epoch: Int
    /// Jobs that have neither ended nor been left to the next epoch.
    package var remaining: Int?
    /// It did not end by itself: sealed, then swept by the gateways.
    package var isForced: Bool
    /// What an operator knows of the end of a process, where the tenant wants proof.
    package var evidence: String?
    package var endedAt: Timestamp?

    enum CodingKeys: String, CodingKey {
        case id, tenant, kind, phase, reason, initiator, deadline, epoch, remaining, evidence
        case startedAt = "started_at"
        case isForced = "forced"
        case endedAt = "ended_at"
    }
}

/// How an epoch ended: makes its drain receipt, in one transaction with its end.
package struct EpochClosing: Hashable, Sendable {
    package var tenant: TenantID
    package var epoch: Int
    package var operation: String
    package var reason: String
    /// The Work Manager drained itself; false: the gateways swept.
    package var isGraceful: Bool
    /// Jobs that were open then or later belong into the receipt.
    package var since: Timestamp
    /// How the gateways ended jobs.
    package var swept: [SweptRow]
    /// Jobs that could not be accounted for, and why.
    package var quarantined: [SweptRow]
    package var at: Timestamp

    package struct SweptRow: Hashable, Codable, Sendable {
        package var job: JobID
        package var provider: ProviderID
        package var state: JobState
        package var error: Problem?
    }
}

/// An open row, as a sweep needs it.
package struct OpenJobRow: Hashable, Codable, Sendable {
    package var job: JobID
    package var provider: ProviderID
    /// Of the run's plan. Absent: stop.
    package var onReplace: ReplaceAction?

    package init(job: JobID, provider: ProviderID, onReplace: ReplaceAction? = nil) {
        self.job = job
        self.provider = provider
        self.onReplace = onReplace
    }

    enum CodingKeys: String, CodingKey {
        case job, provider
        case onReplace = "on_replace"
    }
}

/// The open rows of a tenant at one moment.
package struct AuditedJobs: Hashable, Sendable {
    package var epoch: Int
    package var ackSeq: Int
    /// See `OpenJobsDigest`.
    package var digest: String

    package init(epoch: Int, ackSeq: Int, digest: String) {
        self.epoch = epoch
        self.ackSeq = ackSeq
        self.digest = digest
    }
}
