import OMSModel
import OMSProtocol

/// A tenant as the registry runs it.
struct TenantTrack: Sendable {
    /// Where its Work Manager stands, as far as the registry knows.
    enum Phase: Hashable, Sendable {
        /// No Work Manager is wanted or none can be placed; `reason` says why.
        case idle
        /// A new epoch is being written to PostgreSQL. Can become `starting`, `idle` (not stored).
        case opening
        /// The bootstrap is out and repeated until acknowledged. Can become `active`, `idle` (refused).
        case starting
        /// Acknowledged; heartbeats run. Can become `idle` when its process is gone.
        case active
    }

    var phase: Phase = .idle
    var epoch = 0
    var since = Timestamp(milliseconds: 0)
    var fleet: NodeID?
    var boot: Int64 = 0
    /// In force; nil until a scenario was satisfied for the first time.
    var config: WorkManagerConfig?
    var isSavingPlan = false
    var resume: WorkManagerResume?
    var reason: Reason?

    var beat = 0
    var nextBeat: Int64 = 0
    var unanswered = 0
    var lastSent: Int64 = 0
    var stateShown = ""

    /// Journal of the current epoch: committed, and handed to the store.
    var ackSeq = 0
    var handedSeq = 0

    var generation: Int { config?.generation ?? 0 }
}

/// A provider as the registry runs it.
struct ProviderTrack: Sendable {
    var spec: ProviderSpec
    var version: Int
    var gateway: NodeID?
    /// Incarnation and version that acknowledged the attachment.
    var attachedBoot: Int64?
    var attachedVersion: Int?
    var lastSent: Int64 = 0
    var catalog: Catalog?
    var health: Health?
    /// Since when it is not healthy (monotonic).
    var unwellSince: Int64?
}
