import OMSModel
import OMSProtocol

/// Runs that somebody asks for (`oms run`).
extension Registry {
    /// Passes the wish on. Nothing is remembered but whom to answer: the client repeats its question with the same id,
    /// from which the run's id is derived.
    mutating func trigger(_ request: ClientRequest, at now: Moment) {
        guard let tenant = request.params["tenant"]?.stringValue.flatMap({ TenantID($0) }),
            let track = tenants[tenant]
        else { return respond(request, Problem(.notFound, "field tenant must name a known tenant", status: 404)) }
        guard let service = request.params["service"]?.stringValue.flatMap({ ServiceID($0) }) else {
            return respond(request, Problem(.badRequest, "field service must be a service's name", status: 400))
        }
        guard let due = request.params["due"]?.stringValue.flatMap({ Timestamp($0) }),
            abs(due.milliseconds - now.wall.milliseconds) <= Self.wishSkewMilliseconds
        else {
            return respond(
                request, Problem(.badRequest, "field due must be the present time, to 5 minutes", status: 400))
        }
        guard track.phase == .active, let fleet = track.fleet else {
            let why = track.reason.map { ": \($0.text)" } ?? ""
            return respond(
                request,
                Problem(.unavailable, "\(tenant) has no active Work Manager\(why)", status: 503, retryable: true))
        }
        wishes = wishes.filter { now.monotonic - $0.value.at < Self.wishSkewMilliseconds }
        guard wishes.count < Self.maxPending else {
            return respond(request, Problem(.busy, "too many wishes wait", status: 503, retryable: true))
        }
        wishes[request.id] = (request, now.monotonic)
        var command = control(.trigger, track, fleet)
        command.id = request.id
        command.trigger = RunTrigger(id: request.id, service: service, due: due)
        publish(.wmControl(tenant), .wmControl(command))
    }

    /// How far the asking clock may be from ours.
    private static var wishSkewMilliseconds: Int64 { 300_000 }

    mutating func triggered(_ ack: WMAck) {
        guard let (request, _) = wishes.removeValue(forKey: ack.id) else { return }
        if var problem = ack.error {
            problem.status = problem.slug == ProblemSlug.notFound.rawValue ? 404 : 409
            respond(request, problem)
        } else {
            respond(request, 200, [])
        }
    }
}
