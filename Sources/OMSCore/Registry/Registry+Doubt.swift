import OMSModel
import OMSProtocol

/// What a registry knows of its own session with PostgreSQL.
struct SessionProof: Sendable {
    /// When the newest request was asked that was answered (monotonic): the session lived then, and the lock with it.
    var askedAt: Int64 = .min / 2
    var isInDoubt = false
    /// A question is on its way for the proof alone.
    var isAsking = false
    /// Since this connect the retained epochs are to be told again, by a proof that was asked after it.
    var owesEpochsSince: Int64?
    /// Tenants whose retained epoch was not told.
    var withheld: Set<TenantID> = []
}

/// The lock of the active registry lives as long as its session, and a session says nothing when its link is dead or its
/// process stood still. So both sides count: PostgreSQL ends a session that was silent for `sessionMilliseconds`, and
/// this registry, whose last answered question was asked almost that long ago, gives no more orders until the next
/// answer. It counts from the question and not from the answer, for PostgreSQL has heard nothing later for certain.
extension Registry {
    /// For so long after a question was asked that was answered, this registry is the active one for certain.
    private var trustMilliseconds: Int64 {
        sessionMilliseconds - SafetyTimes.trustMargin(session: sessionMilliseconds)
    }

    /// By the present moment and not by a timer: after a pause of the whole process the first event may be any.
    var isInDoubt: Bool { isLoaded && present - proof.askedAt >= trustMilliseconds }

    /// Orders, and what stands for them: who sends these must be the active registry. All are repeated until they are
    /// answered, but for the retained epoch, which is remembered.
    mutating func withholds(_ topic: Topic) -> Bool {
        switch topic {
        case .wmControl, .gatewayControl: break
        case .wmEpoch(let tenant): proof.withheld.insert(tenant)
        default: return false
        }
        doubt()
        return true
    }

    /// Says so, once.
    mutating func doubt() {
        guard isInDoubt, !proof.isInDoubt else { return }
        proof.isInDoubt = true
        announce(
            "registry.in-doubt", nil,
            "registry \(id) has had no answer from PostgreSQL to anything asked in the last "
                + "\((present - proof.askedAt) / 1000) s and may not be the active one: it gives no orders until the next"
        )
    }

    mutating func prove(at now: Moment) {
        proof.isAsking = true
        store(.prove)
        timers.set(.prove, now.monotonic + sessionMilliseconds / 3)
    }

    /// Any answer is a proof, so a busy registry asks nothing more.
    mutating func proveIfSilent(at now: Moment) {
        guard isLoaded else { return }
        let due = proof.askedAt + sessionMilliseconds / 3
        if due > now.monotonic { return timers.set(.prove, due) }
        // A late answer to the last question tells of the link as well as another question would.
        if !proof.isAsking { prove(at: now) }
    }

    /// An answer came: at the time of its question this registry was the active one.
    mutating func proven(by request: StoreRequest, askedAt: Int64, at now: Moment) {
        proof.askedAt = max(proof.askedAt, askedAt)
        let isLoading = if case .load = request { true } else { false }
        guard isLoaded || isLoading else { return }
        timers.set(.doubt, proof.askedAt + trustMilliseconds)
        if isLoading {
            proof.owesEpochsSince = nil  // all are told with it
            timers.set(.prove, askedAt + sessionMilliseconds / 3)
        }
        guard !isInDoubt else { return proveIfSilent(at: now) }  // the answer came too late to say anything
        if proof.isInDoubt {
            proof.isInDoubt = false
            announce("registry.proven", nil, "registry \(id) is the active one, as before")
        }
        if let since = proof.owesEpochsSince, askedAt >= since, case .prove = request {
            proof.owesEpochsSince = nil
            proof.withheld = proof.withheld.filter { tenants[$0] == nil }
            publishEpochs()
        }
        let owed = proof.withheld.sorted()
        proof.withheld = []
        for tenant in owed {
            if tenants[tenant] == nil { publish(.wmEpoch(tenant), .removed) } else { publishEpoch(tenant) }
        }
    }
}
