import OMSModel
import OMSProtocol

/// Who takes a place at the provider, and whose turn it is.
///
/// A job that goes on after its stop (`Gateway.stopPatienceMilliseconds` beyond its grace, or as much beyond its run's
/// deadline) takes no place any more: nobody knows when it ends, and the neighbours must not wait for that. It is counted
/// apart, per tenant: a tenant with as many of them as the provider has places gets no new work there until one has ended
/// or was given up (`oms job give-up`). What one tenant has stuck bars no other.
extension Door {
    struct StuckJob: Hashable, Sendable {
        var tenant: TenantID
        var since: Timestamp
    }

    /// Places that are taken.
    var taken: Int { occupied.count - stuck.keys.count { occupied.contains($0) } }

    mutating func becameStuck(_ job: JobID, of tenant: TenantID, since: Timestamp) {
        stuck[job] = StuckJob(tenant: tenant, since: since)
        countBarred()
    }

    /// - Returns: whether it was stuck.
    mutating func ended(_ job: JobID) -> Bool {
        occupied.remove(job)
        guard stuck.removeValue(forKey: job) != nil else { return false }
        countBarred()
        return true
    }

    mutating func countBarred() {
        let counts = stuck.values.reduce(into: [TenantID: Int]()) { $0[$1.tenant, default: 0] += 1 }
        barred = Set(counts.filter { $0.value >= max(1, maxRunning) }.keys)
    }

    /// The oldest stuck job, of one tenant or of all.
    func oldestStuck(of tenant: TenantID? = nil) -> (job: JobID, stuck: StuckJob)? {
        stuck.filter { tenant == nil || $0.value.tenant == tenant }
            .min { ($0.value.since, $0.key) < ($1.value.since, $1.key) }.map { ($0.key, $0.value) }
    }

    /// What the provider's health says of them.
    var stuckProblem: Problem? {
        guard let (job, first) = oldestStuck() else { return nil }
        var text =
            "\(stuck.count) job(s) go on after their stop and take no place any more; the oldest is \(job) of tenant "
            + "\(first.tenant), since \(first.since): end it at the provider, or: oms job give-up \(job) --evidence ..."
        if !barred.isEmpty {
            let names = barred.sorted().prefix(5).map(\.text).joined(separator: ", ")
            text += "; no new work here, until some have ended, for tenant \(names)"
            if barred.count > 5 { text += " and \(barred.count - 5) more" }
        }
        return Problem(.stopUnconfirmed, text)
    }

    /// Why a tenant's new jobs are not sent.
    func barProblem(_ tenant: TenantID) -> Problem? {
        guard barred.contains(tenant), let (job, _) = oldestStuck(of: tenant) else { return nil }
        let count = stuck.values.count { $0.tenant == tenant }
        return Problem(
            .stopUnconfirmed,
            "\(count) job(s) of tenant \(tenant) go on at \(provider) after their stop, as many as it has places: no new "
                + "one is sent until one has ended; the oldest is \(job): oms job give-up \(job) --evidence ...")
    }
}

extension Gateway {
    /// A job goes on for too long after its stop.
    mutating func becomeStuck(_ id: JobID, at now: Moment) {
        guard var job = jobs[id], let overdue = job.overdueAt else { return }
        let since = now.wall.advanced(byMilliseconds: overdue - Self.stopPatienceMilliseconds - now.monotonic)
        job.stuckSince = since
        put(job, at: now)
        doors[job.provider]?.becameStuck(id, of: job.tenant, since: since)
        effects.append(.report(.stuck(job.provider, job.tenant, id)))
        announceHealth(job.provider, at: now)
        guard let problem = doors[job.provider]?.barProblem(job.tenant) else { return }
        for waiting in openJobs(of: job.tenant) { tellBarred(waiting, job.provider, problem, at: now) }
    }

    /// Says to whom a waiting job belongs why it is not sent.
    mutating func tellBarred(_ id: JobID, _ provider: ProviderID, _ problem: Problem, at now: Moment) {
        guard var job = jobs[id], job.provider == provider, job.state == .submitting, job.inFlight == nil,
            job.error?.slug != problem.slug
        else { return }
        job.error = problem
        put(job, at: now)
        publish(.jobEvent(job.tenant, job.provider), .jobEvent(job.event))
    }

    /// What whoever waits for a place wants to know; nil while nobody does.
    func places(of door: Door) -> Health.Places? {
        guard door.waitingCount > 0 || !door.stuck.isEmpty else { return nil }
        let holders = door.occupied.filter { door.stuck[$0] == nil }.sorted().prefix(3).compactMap { jobs[$0] }
        let names = holders.map { "job \($0.id) of tenant \($0.tenant) (\($0.state.rawValue))" }
        var text = "\(door.taken) of \(door.limit) places are taken"
        if !names.isEmpty { text += ", the oldest by \(names.joined(separator: ", "))" }
        // There are places, and it takes nothing: what it says to that is the reason.
        if door.taken < door.limit, let trouble = door.trouble?.detail { text = trouble }
        return Health.Places(
            limit: door.limit, taken: door.taken, waiting: door.waitingCount, stuck: door.stuck.count, text: text)
    }
}
