import OMSModel
import OMSProtocol

/// Staged roll-out of a scenario: waves, judged by the results of their tenants' runs.
extension Registry {
    static let rolloutMethods = ["rollout", "rollout.abort", "rollout.promote"]
    /// Between two looks at a wave's results.
    static let rolloutLookMilliseconds: Int64 = 5_000

    mutating func rollOut(_ request: ClientRequest, at now: Moment) {
        if request.method != "rollout" { return decideRollout(request, at: now) }
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
            deadlineSeconds: number("deadline_s", Rollout.standardDeadlineSeconds, 1...31_536_000), phase: .running,
            initiator: request.client.text, startedAt: now.wall)
        waiting[save(made)] = request
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

    /// What is stored now: not what was sent, if the roll-out had ended before.
    /// - Parameter applied: the scenario's new version, once every wave has kept its results.
    mutating func rolloutSaved(_ saved: Rollout, _ applied: AppliedDocument?, at now: Moment) {
        rolloutWork.isUnderWay = false
        let known = rollout
        guard saved.phase == .running || known?.id == saved.id else { return }
        rollout = saved.phase == .running ? saved : nil
        timers.set(.rollout, rollout.map { _ in now.monotonic + Self.rolloutLookMilliseconds })
        if let known, known.id == saved.id, known.phase == saved.phase, known.wave == saved.wave { return }
        if known?.id != saved.id || rollout == nil { rolloutWork.from = [:] }
        if let applied {
            scenarios[saved.scenario] = saved.spec
            versions["\(applied.kind)/\(applied.name)"] = applied.version
        }
        overridden = [:]
        announce(
            "rollout.\(saved.phase.rawValue)", nil,
            "roll-out of scenario \(saved.scenario): \(saved.phase.rawValue), wave \(saved.wave + 1) of \(saved.waves.count) "
                + "(\(saved.waves[saved.wave]) % of the tenants)" + (saved.reason.map { "; \($0)" } ?? ""))
        replanSoon(at: now)
    }

    /// The tenant's configuration has the change from this generation on: earlier runs say nothing about it.
    mutating func noteRollout(_ tenant: TenantID, _ config: WorkManagerConfig) {
        guard let rollout, config.scenario == rollout.scenario, rollout.includes(tenant),
            rolloutWork.from[tenant] == nil
        else { return }
        rolloutWork.from[tenant] = config.generation
    }

    /// The timer: look at the present wave's results.
    mutating func attendRollout(at now: Moment) {
        guard let rollout else { return }
        timers.set(.rollout, now.monotonic + Self.rolloutLookMilliseconds)
        guard !rolloutWork.isUnderWay else { return }
        rolloutWork.isUnderWay = true
        store(.rolloutFigures(id: rollout.id, tenantsInWave.filter { $0.value > 0 }, since: rollout.waveStarted))
    }

    /// The tenants of the present wave, with the first generation that has the change; 0: none has it yet.
    private var tenantsInWave: [TenantID: Int] {
        guard let rollout else { return [:] }
        return tenants.reduce(into: [:]) {
            guard $1.value.config?.scenario == rollout.scenario, rollout.includes($1.key) else { return }
            $0[$1.key] = rolloutWork.from[$1.key] ?? 0
        }
    }

    mutating func judge(_ id: String, _ services: [RunFigures], at now: Moment) {
        rolloutWork.isUnderWay = false
        guard var rollout, rollout.id == id else { return }
        switch rollout.judge(tenants: tenantsInWave.count, services: services, at: now.wall) {
        case .wait(let what):
            guard rollout.reason != what else { return }
            rollout.reason = what
            save(rollout)
        case .abort(let why): end(rollout, .aborted, why, at: now)
        case .nextWave: advance(rollout, at: now)
        case .complete: end(rollout, .done, "every wave kept its results", at: now)
        }
    }

    @discardableResult
    private mutating func advance(_ rollout: Rollout, at now: Moment) -> Int {
        var next = rollout
        next.wave += 1
        next.waveStarted = now.wall
        next.reason = nil
        return save(next)
    }

    /// `done` makes the change what the scenario is, in the same transaction.
    @discardableResult
    private mutating func end(
        _ rollout: Rollout, _ phase: Rollout.Phase, _ reason: String, at now: Moment
    ) -> Int {
        var ended = rollout
        ended.phase = phase
        ended.reason = reason
        ended.endedAt = now.wall
        return save(ended)
    }

    @discardableResult
    private mutating func save(_ rollout: Rollout) -> Int {
        rolloutWork.isUnderWay = true
        return store(.saveRollout(rollout))
    }

    /// `oms rollout abort` and `promote`: the operator's word instead of the results'.
    private mutating func decideRollout(_ request: ClientRequest, at now: Moment) {
        guard let rollout else {
            return respond(request, Problem(.notFound, "no roll-out is under way", status: 404))
        }
        guard !rolloutWork.isUnderWay else {
            return respond(
                request,
                Problem(.busy, "the present wave is being judged; repeat the command", status: 503, retryable: true))
        }
        if request.method == "rollout.abort" {
            waiting[end(rollout, .aborted, "taken back by \(request.client)", at: now)] = request
        } else if rollout.wave + 1 < rollout.waves.count {
            waiting[advance(rollout, at: now)] = request
        } else {
            waiting[end(rollout, .done, "completed by \(request.client)", at: now)] = request
        }
    }

    /// The scenarios of the tenants in the present wave.
    var scenariosInWave: [ScenarioID: ScenarioSpec] {
        guard let rollout else { return scenarios }
        var changed = scenarios
        changed[rollout.scenario] = rollout.spec
        return changed
    }

    mutating func respond(_ request: ClientRequest, _ sent: Rollout, _ rollout: Rollout) {
        guard sent.phase == rollout.phase else {
            return respond(
                request,
                Problem(
                    .conflict, "the roll-out had ended already: \(rollout.phase.rawValue), \(rollout.reason ?? "")",
                    status: 409))
        }
        publish(
            .response(request.client),
            .response(
                ClientResponse(
                    id: request.id, status: 200,
                    result: [
                        "rollout": .string(rollout.id), "scenario": .string(rollout.scenario.text),
                        "waves": .array(rollout.waves.map { .int(Int64($0)) }),
                        "phase": .string(rollout.phase.rawValue), "wave": .int(Int64(rollout.wave + 1)),
                    ])))
    }
}
