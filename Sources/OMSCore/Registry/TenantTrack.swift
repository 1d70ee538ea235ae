import OMSModel
import OMSProtocol

/// A tenant as the registry runs it.
struct TenantTrack: Sendable {
    /// Where its Work Manager stands, as far as the registry knows. docs/internals/replacement.md has the picture.
    enum Phase: Hashable, Sendable {
        /// No Work Manager is wanted or none can be placed; `reason` says why. Can become `sealing`, `opening`.
        case idle
        /// Its Work Manager is ending its jobs. Can become `active` (aborted), `sealing`.
        case draining
        /// The gateways are told to refuse the old epoch. Can become `sweeping`, `closing`, `opening`.
        case sealing
        /// The gateways end what the old epoch left. Can become `closing`.
        case sweeping
        /// The old epoch's end and its receipt are being written. Can become `opening`, `idle`.
        case closing
        /// A new epoch is being written to PostgreSQL. Can become `starting`, `idle` (not stored).
        case opening
        /// The bootstrap is out and repeated until acknowledged. Can become `active`, `idle` (refused).
        case starting
        /// Acknowledged; heartbeats run. Can become `draining`, `sealing` when its process is gone.
        case active
    }

    var phase: Phase = .idle
    var phaseBegan: Int64 = 0
    var epoch = 0
    /// The highest epoch that others know beyond it; no lower one is given out (`Registry+Ahead.swift`).
    var floor = 0
    var floorReason: String?
    /// The row of `epoch` has an end: nobody can act for it, and its receipt is written.
    var isEnded = true
    var since = Timestamp(milliseconds: 0)
    var fleet: NodeID?
    var boot: Int64 = 0
    /// In force; nil until a scenario was satisfied for the first time.
    var config: WorkManagerConfig?
    var isSavingPlan = false
    /// Something changed while it was being saved: it is made again.
    var isPlanOld = false
    /// The configuration in force cannot be put in force while the Work Manager runs, and why.
    var replacementReason: String?
    /// Running operations by service, as the last heartbeat's answer had them.
    var running: [ServiceID: Int] = [:]
    /// Of these, the oldest that was told to stop and goes on.
    var holder: ActiveOperation?
    var resume: WorkManagerResume?
    var reason: Reason?

    var operation: ManagerOperation?
    /// An operation is being stored: no second one is begun meanwhile.
    var isBeginning = false
    var isSavingOperation = false
    /// The operation as it was last stored.
    var savedOperation: ManagerOperation?
    var sweep: SweepProgress?

    /// When its Work Manager ended its fleet's process (monotonic), the newest last.
    var crashes: [Int64] = []
    /// A crash loop: no Work Manager before then (monotonic).
    var pausedUntil: Int64?

    var beat = 0
    var unanswered = 0
    /// Its Work Manager was heard by this registry process: until then the row alone says that it runs.
    var isConfirmed = false
    /// When its Work Manager was last heard (monotonic, by arrival).
    var lastHeard: Int64 = 0
    var stateShown = ""
    /// When its open jobs were last compared with PostgreSQL's rows (monotonic), and what it said then.
    var lastAudit: Int64?
    var auditing: (seq: Int, digest: String)?
    /// Repairs of its rows or its Work Manager since the two last agreed.
    var repairs = 0

    /// The last epoch that told all before it ended: it drained, and its journal is committed.
    var toldAll = 0

    /// Journal of the current epoch: committed, and handed to the store.
    var ackSeq = 0
    var handedSeq = 0

    var generation: Int { config?.generation ?? 0 }

    /// What a seal must name before anything newer may begin, and what a returning gateway must have heard.
    var sealedEpoch: Int {
        switch phase {
        case .sealing, .sweeping, .closing, .opening: nextEpoch
        case .idle, .draining, .starting, .active: max(epoch, floor)
        }
    }

    var nextEpoch: Int { Self.following(max(epoch, floor)) }

    /// A column of PostgreSQL holds no more. Nobody gets there by counting.
    private static let lastEpoch = Int(Int32.max)

    static func following(_ epoch: Int) -> Int { min(max(epoch, 0), lastEpoch - 1) + 1 }
    /// A later epoch than the one in the database may have begun.
    var isOvertaken: Bool { floor > epoch }
}

/// How far the gateways are with the jobs of an epoch that did not end by itself.
struct SweepProgress: Sendable {
    /// Open rows of PostgreSQL; nil until read.
    var rows: [OpenJobRow]?
    var isReading = false
    var ended: [JobID: SweptJob] = [:]
    /// Per gateway what has not ended there; absent: it has not answered yet.
    var remaining: [NodeID: [SweptJob]] = [:]
    /// Then the rest is quarantined (monotonic).
    var deadline: Int64
}

/// A provider as the registry runs it.
struct ProviderTrack: Sendable {
    var spec: ProviderSpec
    var version: Int
    var gateway: NodeID?
    /// It has been, or may have been, at another gateway before.
    var hasMoved = false
    /// Being written to PostgreSQL; nobody hears of it before.
    var movingTo: NodeID?
    /// Other gateways that spoke of it: attached there, if the database is older than the attachment. Nobody gets it
    /// before they have confirmed that they let go, or are gone.
    var strays: Set<NodeID> = []
    /// Incarnation and version that acknowledged the attachment.
    var attachedBoot: Int64?
    var attachedVersion: Int?
    var catalog: Catalog?
    var health: Health?
    /// Since when it is not healthy, or is again (monotonic).
    var unwellSince: Int64?
    var wellSince: Int64?
    /// It was unwell for long: nothing is planned on it until it has been well for a while.
    var isOut = false
    /// As the last plan saw it.
    var wasUsable: Bool?
    /// Its gateway cannot serve it, and why.
    var refusal: String?
}

/// A gateway as the registry sees it.
struct GatewayTrack: Sendable {
    var presence: Presence
    /// Read from the database and not heard since: it counts as lost, but nobody has said so.
    var isPresumed = false
    /// Since when it is not connected (monotonic).
    var lostSince: Int64?
    /// Seals that it has acknowledged since it was last seen to come (back).
    var sealed: [TenantID: Int] = [:]
    /// Seals that it has to acknowledge. Until there are none, no provider is attached to it.
    var wanted: [TenantID: Int] = [:]
    /// What went out here for epochs below is in the rows. Absent: nothing is known, so from the first one on.
    var listed: [TenantID: Int] = [:]
    /// Named since the last seal of the tenant that counted.
    var left: [TenantID: [JobID: LeftJob]] = [:]
    /// Seals that count as soon as the rows of what they named are written.
    var recovering: [TenantID: Int] = [:]

    mutating func forgetSeals() {
        sealed = [:]
        wanted = [:]
        listed = [:]
        left = [:]
        recovering = [:]
    }
}

/// A fleet as the registry sees it.
struct FleetTrack: Sendable {
    var presence: Presence
    /// Since when it is not connected (monotonic).
    var lostSince: Int64?
    /// One of its Work Managers did not answer for long, and none has answered since.
    var isSilent = false
    /// An operator wants it empty: no tenant is placed there, and those that are there move.
    var isDraining = false
}

extension TenantTrack {
    /// What PostgreSQL knows of it.
    init(_ stored: StoredManager, at now: Moment) {
        epoch = stored.epoch
        isEnded = stored.isEnded || stored.epoch == 0
        since = stored.since
        fleet = stored.fleet
        boot = stored.boot
        ackSeq = stored.ackSeq
        handedSeq = stored.ackSeq
        config = stored.config
        // Presumed alive until heartbeats or its process say otherwise.
        if !isEnded { phase = .active }
        lastHeard = now.monotonic
    }
}
