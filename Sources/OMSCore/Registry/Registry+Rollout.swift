import OMSModel
import OMSProtocol

/// Staged roll-out of a scenario: waves, judged by the results of their tenants' runs.
extension Registry {
    static let rolloutMethods = ["rollout", "rollout.abort"]
    /// Between two looks at a wave's results.
    static let rolloutLookMilliseconds: Int64 = 5_000

    mutating func rollOut(_ request: ClientRequest, at now: Moment) {
        if request.method == "rollout.abort" {
            guard let current = rollout else {
                return respond(request, Problem(.notFound, "no roll-out is under way", status: 404))
            }
            endRollout(.aborted, "taken back by \(request.client)", at: now)
            return respond(request, current)
        }
        if let rollout {
            return respond(
                request,
                Problem(
                    .conflict,
                    "the roll-out of scenario \(rollout.scenario) is under way; wait, or `oms rollout abort`",
                    status: 409))
        }
        guard let documents = readDocuments(request) else { return }
        guard documents.count == 1, case .scenario(let id, let spec) = documents[0], scenarios[id] != nil else {
            return respond(
                request,
                Problem(
                    .badRequest,
                    "field documents must hold one Scenario that is registered already; new ones are applied",
                    status: 400))
        }
        guard let waves = waves(request) else { return }
        func number(_ key: String, _ standard: Int, _ range: ClosedRange<Int>) -> Int {
            min(
                max(request.params[key]?.intValue.map { Int(clamping: $0) } ?? standard, range.lowerBound),
                range.upperBound)
        }
        let made = Rollout(
            id: "\(OperationID(time: now.wall, of: "rollout", id.text, "\(nextTicket)"))", scenario: id, spec: spec,
            waves: waves, wave: 0, waveStarted: now.wall, soakSeconds: number("soak_s", 300, 1...604_800),
            abortPercent: number("abort_percent", 10, 0...100), minRuns: number("min_runs", 1, 0...1_000_000),
            phase: .running, initiator: request.client.text, startedAt: now.wall)
        waiting[store(.saveRollout(made))] = request
    }

    private mutating func waves(_ request: ClientRequest) -> [Int]? {
        let given =
            request.params["waves"]?.arrayValue?.map { $0.intValue.flatMap { Int(exactly: $0) } ?? -1 } ?? [
                10, 50, 100,
            ]
        guard !given.isEmpty, given.count <= 20, given.last == 100, given.first.map({ $0 > 0 }) == true,
            zip(given, given.dropFirst()).allSatisfy({ $0 < $1 })
        else {
            respond(
                request,
                Problem(
                    .badRequest, "field waves must be rising percentages that end with 100, such as 10, 50, 100",
                    status: 400))
            return nil
        }
        return given
    }

    mutating func rolloutSaved(_ saved: Rollout, at now: Moment) {
        let isNew = rollout?.id != saved.id && saved.phase == .running
        if isNew || rollout?.id == saved.id { rollout = saved.phase == .running ? saved : nil }
        overridden = [:]
        announce(
            "rollout.\(saved.phase.rawValue)", nil,
            "roll-out of scenario \(saved.scenario): \(saved.phase.rawValue), wave \(saved.wave + 1) of \(saved.waves.count) "
                + "(\(saved.waves[saved.wave]) % of the tenants)" + (saved.reason.map { "; \($0)" } ?? ""))
        timers.set(.rollout, saved.phase == .running ? now.monotonic + Self.rolloutLookMilliseconds : nil)
        replanSoon(at: now)
    }

    /// The timer: look at the present wave's results.
    mutating func attendRollout(at now: Moment) {
        guard let rollout else { return }
        timers.set(.rollout, now.monotonic + Self.rolloutLookMilliseconds)
        let concerned = tenants.keys.filter {
            tenants[$0]?.config?.scenario == rollout.scenario && rollout.includes($0)
        }
        store(.rolloutFigures(id: rollout.id, concerned.sorted(), since: rollout.waveStarted))
    }

    mutating func judge(_ id: String, failed: Int, finished: Int, at now: Moment) {
        guard let rollout, rollout.id == id else { return }
        switch rollout.judge(failed: failed, finished: finished, at: now.wall) {
        case .wait: break
        case .abort(let why): endRollout(.aborted, why, at: now)
        case .nextWave:
            var next = rollout
            next.wave += 1
            next.waveStarted = now.wall
            store(.saveRollout(next))
        case .complete:
            // From now on it is what the scenario is; the roll-out ends with it.
            store(
                .apply(
                    [.scenario(rollout.scenario, rollout.spec)], expecting: [:],
                    by: NodeID(rollout.initiator) ?? self.id))
            endRollout(.done, "every wave kept its results", at: now)
        }
    }

    private mutating func endRollout(_ phase: Rollout.Phase, _ reason: String, at now: Moment) {
        guard var ended = rollout else { return }
        ended.phase = phase
        ended.reason = reason
        ended.endedAt = now.wall
        store(.saveRollout(ended))
    }

    /// The scenarios of the tenants in the present wave.
    var scenariosInWave: [ScenarioID: ScenarioSpec] {
        guard let rollout else { return scenarios }
        var changed = scenarios
        changed[rollout.scenario] = rollout.spec
        return changed
    }

    mutating func respond(_ request: ClientRequest, _ rollout: Rollout) {
        publish(
            .response(request.client),
            .response(
                ClientResponse(
                    id: request.id, status: 200,
                    result: [
                        "rollout": .string(rollout.id), "scenario": .string(rollout.scenario.text),
                        "waves": .array(rollout.waves.map { .int(Int64($0)) }),
                    ])))
    }
}
