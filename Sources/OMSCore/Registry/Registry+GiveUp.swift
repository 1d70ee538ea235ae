package import OMSModel
package import OMSProtocol

/// A job that an operator gave up, as PostgreSQL has it.
package struct GivenUpRow: Hashable, Codable, Sendable {
    package var wish: GivenUpJob
    package var at: Timestamp
    /// Its gateway has ended it, or refused.
    package var doneAt: Timestamp?

    package init(wish: GivenUpJob, at: Timestamp, doneAt: Timestamp? = nil) {
        self.wish = wish
        self.at = at
        self.doneAt = doneAt
    }
}

/// A job that is being given up.
struct GiveUpTrack: Sendable {
    var row: GivenUpRow
    /// Who waits for the answer, and since when (monotonic).
    var clients: [(request: ClientRequest, since: Int64)] = []
    /// Its end is being written.
    var isSaving = false
}

/// `oms job give-up JOB --evidence ...` (docs/operate/operations.md): an operator vouches that a job is over which its
/// provider never ends.
///
/// First the wish is in PostgreSQL, with its evidence; then it is told to the gateway that has the provider until that
/// confirms. The gateway tells the Work Manager, whose run, drain or queue goes on with it; the row gets its end here as
/// well, because there may be no Work Manager (suspended, off-boarded, between two epochs).
extension Registry {
    static let maxGiveUps = 1_000
    private static let resendGiveUpsMilliseconds: Int64 = 3_000
    /// A client that waits hears after so long that the gateway has not answered yet.
    private static let giveUpAnswerMilliseconds: Int64 = 2_500

    mutating func giveUp(_ request: ClientRequest, at now: Moment) {
        guard let job = request.params["job"]?.stringValue.flatMap({ JobID($0) }) else {
            return respond(
                request,
                Problem(
                    .badRequest, "field job must be a job's id, as 'oms get jobs' or 'oms why' shows it", status: 400))
        }
        let evidence = request.params["evidence"]?.stringValue ?? ""
        guard !evidence.isEmpty, evidence.count <= GivenUpJob.maxEvidence,
            !evidence.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else {
            return respond(
                request,
                Problem(
                    .badRequest,
                    "field evidence must be one line of 1 to \(GivenUpJob.maxEvidence) characters: say how you know that "
                        + "the job does nothing any more", status: 400))
        }
        guard giveUps.count < Self.maxGiveUps else {
            return respond(
                request,
                Problem(
                    .busy, "\(giveUps.count) jobs wait for their gateways to give them up; see oms get given-up",
                    status: 503,
                    retryable: true))
        }
        waiting[store(.giveUp(job, evidence: evidence, by: request.client, at: now.wall))] = request
    }

    mutating func givenUp(_ row: GivenUpRow, isNew: Bool, _ client: ClientRequest?, at now: Moment) {
        if row.doneAt != nil {
            if let client { respondGivenUp(client, row, isEnded: true) }
            return
        }
        var track = giveUps[row.wish.job] ?? GiveUpTrack(row: row)
        if let client { track.clients = track.clients.suffix(20) + [(client, now.monotonic)] }
        giveUps[row.wish.job] = track
        if isNew {
            announce(
                "job.give-up", row.wish.tenant,
                "\(row.wish.by) gives up job \(row.wish.job) of tenant \(row.wish.tenant) at \(row.wish.provider): "
                    + row.wish.evidence)
        }
        attendGiveUps(at: now)
    }

    /// Tells the gateways, and who waits for long.
    mutating func attendGiveUps(at now: Moment) {
        guard !giveUps.isEmpty else { return }
        var byGateway: [NodeID: [GivenUpJob]] = [:]
        for (job, track) in giveUps.sorted(by: { $0.key < $1.key }) {
            let late = track.clients.filter { now.monotonic - $0.since >= Self.giveUpAnswerMilliseconds }
            if !late.isEmpty {
                giveUps[job]?.clients.removeAll { now.monotonic - $0.since >= Self.giveUpAnswerMilliseconds }
                for (request, _) in late { respondGivenUp(request, track.row, isEnded: false) }
            }
            guard !track.isSaving, let node = providers[track.row.wish.provider]?.gateway, isConnected(node) else {
                continue
            }
            byGateway[node, default: []].append(track.row.wish)
        }
        for (node, wishes) in byGateway.sorted(by: { $0.key < $1.key }) {
            publish(
                .gatewayControl(node),
                .gatewayControl(
                    GatewayControl(
                        id: commandID(), command: .giveUp, giveUps: Array(wishes.prefix(GatewayControl.maxGiveUps)))))
        }
        timers.set(.giveUps, now.monotonic + Self.resendGiveUpsMilliseconds)
    }

    /// A gateway's answer, or what a provider says of a job that was given up.
    mutating func gaveUp(_ ack: GatewayAck, at now: Moment) {
        for job in ack.gaveUp ?? [] { endGiveUp(job, refused: nil, at: now) }
        for job in ack.refused ?? [] { endGiveUp(job.job, refused: job.error?.detail ?? "it goes on", at: now) }
        for sign in ack.signs ?? [] {
            store(.signOfLife(sign, at: now.wall))
            announce(
                "job.sign-of-life", nil,
                "provider \(sign.provider) says that job \(sign.job), which was given up, is \(sign.state.rawValue)")
        }
    }

    private mutating func endGiveUp(_ job: JobID, refused: String?, at now: Moment) {
        guard let track = giveUps[job], !track.isSaving else { return }
        giveUps[job]?.isSaving = true
        store(.endGiveUp(track.row.wish, refused: refused, at: now.wall))
    }

    mutating func giveUpSaved(_ wish: GivenUpJob, refused: String?, isSaved: Bool, at now: Moment) {
        guard isSaved else {
            giveUps[wish.job]?.isSaving = false
            return timers.set(.giveUps, now.monotonic + 1_000)
        }
        guard let track = giveUps.removeValue(forKey: wish.job) else { return }
        announce(
            refused == nil ? "job.given-up" : "job.not-given-up", wish.tenant,
            "job \(wish.job) of tenant \(wish.tenant) at \(wish.provider) "
                + (refused.map { "was not given up: \($0)" } ?? "was given up by \(wish.by): \(wish.evidence)"))
        for (request, _) in track.clients {
            if let refused {
                respond(request, Problem(.conflict, refused, status: 409))
            } else {
                respondGivenUp(request, track.row, isEnded: true)
            }
        }
    }

    private mutating func respondGivenUp(_ request: ClientRequest, _ row: GivenUpRow, isEnded: Bool) {
        let result: JSONValue = [
            "job": .string("\(row.wish.job)"), "tenant": .string(row.wish.tenant.text),
            "provider": .string(row.wish.provider.text), "by": .string(row.wish.by),
            "evidence": .string(row.wish.evidence),
            "at": .string(row.at.description), "ended": .bool(isEnded),
        ]
        publish(.response(request.client), .response(ClientResponse(id: request.id, status: 200, result: result)))
    }

    // MARK: - A drain that waits for jobs

    /// Who keeps a drain from ending, and both ways out.
    mutating func explainDrain(_ tenant: TenantID, _ operation: ManagerOperation, at now: Moment) {
        guard let track = tenants[tenant], now.monotonic - track.phaseBegan > Self.explainAfterMilliseconds,
            let holder = track.holder
        else { return }
        let end = operation.deadline.advanced(byMilliseconds: Self.drainSlackMilliseconds)
        let byItself =
            specs[tenant]?.proof == .strict && operation.evidence == nil
            ? "with proof: strict it waits" : "at \(end) the gateways end the epoch"
        explain(
            tenant, ReasonCode.waitsForJobs.rawValue,
            "the drain of epoch \(track.epoch) waits for job \(holder.job) of \(holder.service) at \(holder.provider), which is "
                + "\(holder.state.rawValue); if that never ends: oms job give-up \(holder.job) --evidence ..., or for the "
                + "whole Work Manager: oms operation force \(tenant) --evidence ...; else \(byItself)", at: now)
    }

    /// With `proof: strict`, past the deadline: the other way out.
    func drainHolderText(_ tenant: TenantID) -> String {
        guard let holder = tenants[tenant]?.holder else { return "" }
        return "; it waits for job \(holder.job) at \(holder.provider), which is \(holder.state.rawValue): "
            + "oms job give-up \(holder.job) --evidence ... ends that one"
    }

    mutating func clearDrainReason(_ tenant: TenantID) {
        if tenants[tenant]?.reason?.code == ReasonCode.waitsForJobs.rawValue { clearReason(tenant) }
    }
}
