package import OMSModel
package import OMSProtocol

/// Jobs that went out for a Work Manager whose journal never told of them, because it died before: the gateways name what
/// went out when they seal its epoch, and what has no row gets one before the seal counts. So the next epoch finds them
/// among the open runs of PostgreSQL like everything else that was left (docs/internals/replacement.md).
extension Registry {
    enum SealWorth { case counts, hasLeft, isIncomplete }

    /// From which epoch on a gateway is to name what went out below `epoch`; nil: the rows have it all.
    func list(of tenant: TenantID, below epoch: Int, from track: GatewayTrack) -> Int? {
        let known = max(track.listed[tenant] ?? 1, 1)
        if known >= epoch { return nil }
        // It drained to its end, so its journal has told of everything.
        if known == epoch - 1, tenants[tenant]?.toldAll == known { return nil }
        return known
    }

    func judge(_ seal: Seal, of node: NodeID) -> SealWorth {
        guard let track = gateways[node] else { return .isIncomplete }
        guard let wanted = list(of: seal.tenant, below: seal.epoch, from: track) else { return .counts }
        guard let listed = seal.listed else { return .isIncomplete }
        // Asked for when more was known than now: the database has fallen back since, and the answer lacks what is lost.
        guard seal.list ?? wanted <= wanted else { return .isIncomplete }
        if track.recovering[seal.tenant] == seal.epoch { return .isIncomplete }
        // A part of the list may have been lost on the way.
        guard track.left[seal.tenant]?.count ?? 0 >= listed else { return .isIncomplete }
        return .hasLeft
    }

    /// Writes the missing rows of many tenants in one transaction.
    mutating func recover(_ node: NodeID, _ boot: Int64, _ seals: [Seal], at now: Moment) {
        var recovery = Recovery(gateway: node, boot: boot, seals: seals)
        for seal in seals {
            gateways[node]?.recovering[seal.tenant] = seal.epoch
            let left = gateways[node]?.left.removeValue(forKey: seal.tenant) ?? [:]
            recovery.jobs += left.values.sorted { $0.job < $1.job }
            for (service, jobs) in Dictionary(grouping: left.values, by: \.service).sorted(by: { $0.key < $1.key }) {
                recovery.plans.append(plan(of: service, seal.tenant, jobs))
            }
        }
        // Nothing to write, nothing to wait for.
        if recovery.jobs.isEmpty { recovered(recovery, [:], at: now) } else { store(.recover(recovery)) }
    }

    /// - Parameter found: per tenant how many jobs had no row.
    mutating func recovered(_ recovery: Recovery, _ found: [TenantID: Int], at now: Moment) {
        let node = recovery.gateway
        for (tenant, count) in found.sorted(by: { $0.key < $1.key }) where count > 0 {
            announce(
                "job.found", tenant,
                "tenant \(tenant): \(count) job(s) that gateway \(node) sent were in no journal, as their Work Manager had "
                    + "died; they have rows now")
            // A Work Manager that runs already hears of them by the next comparison.
            tenants[tenant]?.lastAudit = nil
        }
        for seal in recovery.seals {
            let listed = gateways[node]?.listed[seal.tenant] ?? 0
            gateways[node]?.listed[seal.tenant] = max(seal.epoch, listed)
            // Unless the gateway has come anew since: then it is asked again.
            guard gateways[node]?.recovering[seal.tenant] == seal.epoch,
                gateways[node]?.presence.boot == recovery.boot
            else { continue }
            gateways[node]?.recovering[seal.tenant] = nil
            counts(seal, of: node, at: now)
        }
        sealsChanged(node, at: now)
    }

    /// Not written: the gateway is asked again.
    mutating func recoveryFailed(_ recovery: Recovery, at now: Moment) {
        for seal in recovery.seals where gateways[recovery.gateway]?.recovering[seal.tenant] == seal.epoch {
            gateways[recovery.gateway]?.recovering[seal.tenant] = nil
        }
        if gateways[recovery.gateway]?.wanted.isEmpty == false {
            timers.set(.gateway(recovery.gateway), now.monotonic + Self.resendMilliseconds)
        }
    }

    /// The plan by which the run is finished: the one in force, which the lost Work Manager had too, unless it was changed
    /// since.
    private func plan(of service: ServiceID, _ tenant: TenantID, _ jobs: [LeftJob]) -> Recovery.Plan {
        let config = tenants[tenant]?.config
        let plan =
            config?.service(service)
            ?? ServicePlan(
                id: service, type: ServiceType(service.text) ?? "unknown", after: [], anchor: jobs[0].job.time,
                timeoutSeconds: 60, deadlineSeconds: 60, maxAttempts: 1,
                providers: Set(jobs.map(\.provider)).sorted().map { ProviderChoice(provider: $0, service: service) },
                merge: MergeRule(strategy: .first))
        return Recovery.Plan(tenant: tenant, service: service, generation: config?.generation ?? 0, plan: plan)
    }
}

/// What gateways named when they sealed.
package struct Recovery: Hashable, Sendable {
    package var gateway: NodeID
    package var boot: Int64
    /// They count when the rows are written.
    package var seals: [Seal]
    package var jobs: [LeftJob] = []
    package var plans: [Plan] = []

    package struct Plan: Hashable, Codable, Sendable {
        package var tenant: TenantID
        package var service: ServiceID
        package var generation: Int
        package var plan: ServicePlan
    }
}
