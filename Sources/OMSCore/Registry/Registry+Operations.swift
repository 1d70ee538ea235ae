import OMSModel
import OMSProtocol

/// The operator's verbs about Work Managers: replace, abort, retry, force, off-board; drain a fleet.
extension Registry {
    static let operatorMethods = [
        "replace", "offboard", "suspend", "resume", "operation.abort", "operation.retry", "operation.force",
        "fleet.drain", "fleet.undrain",
    ]

    mutating func operate(_ request: ClientRequest, at now: Moment) {
        switch request.method {
        case "fleet.drain", "fleet.undrain": return drainFleet(request, at: now)
        default: break
        }
        guard let tenant = request.params["tenant"]?.stringValue.flatMap({ TenantID($0) }), tenants[tenant] != nil
        else {
            return respond(request, Problem(.notFound, "field tenant must name a registered tenant", status: 404))
        }
        let reason = request.params["reason"]?.stringValue ?? "asked by \(request.client)"
        switch request.method {
        case "replace", "offboard":
            let deadline = request.params["deadline_s"]?.intValue
            guard (deadline.map { (0...86_400).contains($0) }) ?? true else {
                return respond(request, Problem(.badRequest, "field deadline_s must be from 0 to 86400", status: 400))
            }
            if request.method == "replace", tenants[tenant]?.pausedUntil != nil {
                tenants[tenant]?.pausedUntil = nil
                tenants[tenant]?.crashes = []
                attend(tenant, at: now)
                return respond(request, 200, [])
            }
            if request.method == "replace", tenants[tenant]?.phase == .idle {
                return respond(
                    request,
                    Problem(
                        .conflict,
                        "tenant \(tenant) has no Work Manager: \(tenants[tenant]?.reason?.text ?? "not yet")",
                        status: 409))
            }
            switch begin(
                request.method == "replace" ? .replace : .offboard, tenant, reason: reason,
                initiator: request.client.text, deadlineSeconds: deadline.map { Int($0) }, at: now)
            {
            case .success(let ticket): waiting[ticket] = request
            case .failure(let problem): respond(request, problem)
            }
        case "suspend", "resume": suspend(tenant, request.method == "suspend", request, at: now)
        case "operation.abort": abort(tenant, request, at: now)
        case "operation.retry": retry(tenant, request, at: now)
        default: force(tenant, request, at: now)
        }
    }

    /// The tenant's document says so from now on; what follows is the planner's.
    private mutating func suspend(
        _ tenant: TenantID, _ isSuspended: Bool, _ request: ClientRequest, at now: Moment
    ) {
        guard var spec = specs[tenant] else { return }
        if let text = request.params["service"]?.stringValue {
            guard let service = ServiceID(text),
                spec.scenarios.contains(where: { scenarios[$0]?.services[service] != nil })
            else {
                return respond(
                    request, Problem(.notFound, "no scenario of tenant \(tenant) has a service '\(text)'", status: 404))
            }
            var fields = spec.services?[service]?.objectValue ?? [:]
            fields["suspended"] = isSuspended ? true : nil
            spec.services = spec.services ?? [:]
            spec.services?[service] = fields.isEmpty ? nil : .object(fields)
            if spec.services?.isEmpty == true { spec.services = nil }
        } else {
            spec.suspended = isSuspended ? true : nil
        }
        waiting[store(.apply([.tenant(tenant, spec)], expecting: [:], by: request.client))] = request
    }

    private mutating func abort(_ tenant: TenantID, _ request: ClientRequest, at now: Moment) {
        guard let track = tenants[tenant], let operation = track.operation, let fleet = track.fleet else {
            return respond(request, Problem(.notFound, "no operation is under way for \(tenant)", status: 404))
        }
        guard track.phase == .draining else {
            return respond(
                request,
                Problem(
                    .conflict,
                    "operation \(operation.id) is \(operation.phase.rawValue): past its drain it cannot be "
                        + "taken back, and it ends by itself", status: 409))
        }
        tenants[tenant]?.phase = .active
        tenants[tenant]?.unanswered = 0
        clearDrainReason(tenant)
        publish(.wmControl(tenant), .wmControl(control(.resume, track, fleet, reason: "the drain was aborted")))
        finish(tenant, .aborted, at: now)
        timers.set(.tenant(tenant), now.monotonic + 1_000)
        respond(request, operation)
    }

    /// Sends the present step again now; a drain gets its time anew.
    private mutating func retry(_ tenant: TenantID, _ request: ClientRequest, at now: Moment) {
        guard tenants[tenant]?.operation != nil else {
            return respond(request, Problem(.notFound, "no operation is under way for \(tenant)", status: 404))
        }
        let seconds = request.params["deadline_s"]?.intValue.map { Int(min(max($0, 0), 86_400)) } ?? Self.drainSeconds
        tenants[tenant]?.operation?.deadline = now.wall.advanced(bySeconds: seconds)
        tenants[tenant]?.sweep?.deadline = now.monotonic + Self.sweepMilliseconds
        saveOperation(tenant)
        attend(tenant, at: now)
        if let operation = tenants[tenant]?.operation { respond(request, operation) }
    }

    /// The operator knows that the process has ended.
    private mutating func force(_ tenant: TenantID, _ request: ClientRequest, at now: Moment) {
        guard let evidence = request.params["evidence"]?.stringValue, !evidence.isEmpty else {
            return respond(
                request,
                Problem(
                    .badRequest, "field evidence is missing: say how you know that the Work Manager has ended",
                    status: 400))
        }
        guard tenants[tenant]?.operation != nil else {
            return respond(
                request,
                Problem(.notFound, "no operation is under way for \(tenant); begin with `oms replace`", status: 404))
        }
        tenants[tenant]?.operation?.evidence = evidence
        announce("operation.forced", tenant, "tenant \(tenant): \(request.client) vouches: \(evidence)")
        if tenants[tenant]?.phase == .draining {
            advance(tenant, .sealing, isForced: true, at: now)
            startSealing(tenant, at: now)
        } else {
            saveOperation(tenant)
        }
        if let operation = tenants[tenant]?.operation { respond(request, operation) }
    }

    func respondable(_ operation: ManagerOperation) -> JSONValue {
        [
            "operation": .string(operation.id), "tenant": .string(operation.tenant.text),
            "kind": .string(operation.kind.rawValue), "phase": .string(operation.phase.rawValue),
            "epoch": .int(Int64(operation.epoch)),
        ]
    }

    mutating func respond(_ request: ClientRequest, _ operation: ManagerOperation) {
        publish(
            .response(request.client),
            .response(ClientResponse(id: request.id, status: 200, result: respondable(operation))))
    }

    // MARK: - Fleets

    private mutating func drainFleet(_ request: ClientRequest, at now: Moment) {
        guard let fleet = request.params["fleet"]?.stringValue.flatMap({ NodeID($0) }), fleets[fleet] != nil else {
            let known = fleets.keys.sorted().map(\.text).joined(separator: ", ")
            return respond(
                request, Problem(.notFound, "field fleet must name a known fleet (\(known))", status: 404))
        }
        waiting[store(.drainFleet(fleet, request.method == "fleet.drain", by: request.client))] = request
    }

    mutating func fleetDrained(_ fleet: NodeID, _ isDraining: Bool, at now: Moment) {
        fleets[fleet]?.isDraining = isDraining
        announce(
            "fleet.\(isDraining ? "draining" : "resumed")", nil,
            "fleet \(fleet) takes \(isDraining ? "no" : "") tenants")
        replanSoon(at: now)
    }

    /// So many tenants move at once, so that the providers are not stopped and started all together.
    static let maxConcurrentMoves = 50

    /// Moves tenants off fleets that are being emptied.
    mutating func moveTenants(at now: Moment) {
        guard fleets.values.contains(where: \.isDraining) else { return }
        guard chooseFleet(at: now) != nil else { return }
        var moving = tenants.values.count { $0.operation?.kind == .move || $0.isBeginning }
        for tenant in tenants.keys.sorted() {
            guard moving < Self.maxConcurrentMoves else { return }
            guard let track = tenants[tenant], track.phase == .active, track.operation == nil, !track.isBeginning,
                let fleet = track.fleet, fleets[fleet]?.isDraining == true
            else { continue }
            begin(.move, tenant, reason: "fleet \(fleet) is being emptied", initiator: "registry", at: now)
            moving += 1
        }
    }
}
