import OMSCore
import OMSModel
import OMSProtocol

/// The way between a gateway and its providers: REST over a network that loses requests and answers.
extension World {
    /// The bytes leave the gateway.
    func send(_ node: Node, _ call: ProviderCall) {
        guard let provider = providers[call.provider] else { return }
        checker.callLeaves(node, call, at: now)
        trace.note(now, "call", node) { "\(call.provider) \(call.kind.summary) epoch \(call.epoch ?? 0)" }
        let weather = provider.weather
        let timeout = SimTime(call.timeout) * SimClock.millisecond
        let latency =
            web.delay(provider.traits.usualLatency / 4, provider.traits.usualLatency, rarely: SimClock.second)
            * weather.slowness
        let (refused, lost, late) = (
            web.chance(weather.refuses), web.chance(weather.losesRequest),
            web.chance(call.kind.isSubmit ? max(weather.late, weather.lateSubmits) : weather.late)
        )
        if refused {
            return reply(node, call, .failed(.notSent, .connect, "connection refused"), after: latency, sent: now)
        }
        if lost || late {
            reply(node, call, .failed(.maybeSent, .timeout, "no answer"), after: timeout, sent: now)
            guard late else { return }
            // Somewhere on the way it is kept, and delivered when nobody waits any more.
            scheduler.add(
                .call(node.index, incarnation: -1, call),
                at: now + timeout + web.int(1...40) * SimClock.second)
            return
        }
        scheduler.add(.call(node.index, incarnation: node.incarnation, call), at: now + latency / 2)
    }

    /// - Parameter incarnation: -1 for a request whose answer nobody waits for.
    func arrivedAtProvider(_ node: Int, _ incarnation: Int, _ call: ProviderCall) {
        guard let weather = providers[call.provider]?.weather else { return }
        if nodes[node].isAlive, nodes[node].incarnation == incarnation, !nodes[node].isPaused {
            checker.callArrives(call, at: now)
        }
        let (throttled, before) = (web.chance(weather.throttles), web.chance(weather.failsBefore))
        let (after, mute, malformed) = (
            web.chance(weather.failsAfter), web.chance(weather.losesAnswer), web.chance(weather.malformed)
        )
        var answer: ProviderAnswer
        if throttled, call.kind.isSubmit {
            answer = Self.error(429, .busy, retryAfter: web.pick([nil, 1, 3]))
        } else if before {
            answer = Self.error(web.pick([500, 502, 503]), .internal, retryAfter: nil)
        } else {
            answer = providers[call.provider]?.answer(call, at: now) ?? Self.error(500, .internal, retryAfter: nil)
            takeExecutions(of: call.provider)
            if after { answer = Self.error(web.pick([500, 502, 503]), .internal, retryAfter: nil) }
            if malformed, case .answered(let status, _, _, _) = answer {
                answer = .answered(status: status, retryAfterSeconds: nil, etag: nil, body: .malformed("not JSON"))
            }
        }
        guard incarnation >= 0 else { return }
        let latency =
            web.delay(
                (providers[call.provider]?.traits.usualLatency ?? 0) / 4,
                providers[call.provider]?.traits.usualLatency ?? 0, rarely: SimClock.second) * weather.slowness
        if mute {
            let reset = web.chance(0.5)
            answer = .failed(.maybeSent, reset ? .reset : .timeout, "the connection broke")
            let wait = reset ? latency : SimTime(call.timeout) * SimClock.millisecond
            return reply(nodes[node], call, answer, after: wait, sent: now, incarnation: incarnation)
        }
        let limit = SimTime(call.timeout) * SimClock.millisecond
        if 2 * latency > limit {
            return reply(
                nodes[node], call, .failed(.maybeSent, .timeout, "no answer"), after: limit, sent: now,
                incarnation: incarnation)
        }
        reply(nodes[node], call, answer, after: latency, sent: now, incarnation: incarnation)
    }

    func takeExecutions(of provider: ProviderID) {
        guard let executions = providers[provider]?.executions, !executions.isEmpty else { return }
        providers[provider]?.executions = []
        for execution in executions {
            trace.note(now, "executes", nil) { "\(provider) \(execution.job) epoch \(execution.epoch)" }
            checker.executed(execution, at: provider)
        }
    }

    private func reply(
        _ node: Node, _ call: ProviderCall, _ answer: ProviderAnswer, after delay: SimTime, sent: SimTime,
        incarnation: Int? = nil
    ) {
        let answer = Mutant.altered(answer, to: call, options.mutants)
        scheduler.add(
            .answer(
                node.index, incarnation: incarnation ?? node.incarnation, call: call.id,
                latency: Int(delay / SimClock.millisecond), answer), at: sent + max(1, delay))
    }

    private static func error(_ status: Int, _ slug: ProblemSlug, retryAfter: Int?) -> ProviderAnswer {
        .answered(
            status: status, retryAfterSeconds: retryAfter, etag: nil,
            body: .problem(Problem(slug, "simulated", status: status)))
    }
}

extension ProviderCall.Kind {
    /// For traces.
    var summary: String {
        switch self {
        case .services: "services"
        case .status: "status"
        case .sweep(let since, let token, _): "sweep \(since) \(token ?? "")"
        case .job(let id): "read \(id)"
        case .batch(let ids): "batch of \(ids.count)"
        case .submit(let request): "submit \(request.id)"
        case .stop(let id, _): "stop \(id)"
        }
    }
}
