import OMSCore
import OMSModel
import OMSProtocol

/// What can only be judged from time to time, or at the end.
extension World {
    func audit() {
        for id in setting.providers.map(\.id) {
            providers[id]?.advance(to: now)
            takeExecutions(of: id)
        }
        giveUpImmortals()
        scheduler.add(.audit, at: now + 5 * SimClock.second)
    }

    /// The quiet time is over.
    func finish() {
        for id in setting.providers.map(\.id) {
            providers[id]?.advance(to: now)
            takeExecutions(of: id)
        }
        checkEnds()
        checkTruth()
        checkRows()
        for tenant in setting.tenants { checkTenant(tenant) }
        for (id, job) in database.pruned.jobs.sorted(by: { $0.key < $1.key }) where !job.record.state.isTerminal {
            checker.violated(.neverEnds, at: now, "job \(id) of \(job.tenant) was pruned before it ended")
        }
        for key in database.ticks.keys.sorted(by: { ($0.tenant, $0.service) < ($1.tenant, $1.service) }) {
            checkTicks(key)
        }
    }

    private var wall: Timestamp { SimClock.wall(now, offset: 0) }

    /// P4: whatever had its deadline well before the end has ended.
    private func checkEnds() {
        let limit = wall.advanced(bySeconds: -Self.patienceSeconds)
        for (id, job) in database.jobs.sorted(by: { $0.key < $1.key })
        where job.record.deadline < limit && job.record.created < limit && !job.record.state.isTerminal {
            checker.violated(
                .neverEnds, at: now,
                "job \(id) of \(job.tenant) at \(job.record.provider) is \(job.record.state.rawValue), deadline "
                    + "\(job.record.deadline): \(job.record.error?.detail ?? "")")
        }
        for (id, run) in database.runs.sorted(by: { $0.key < $1.key })
        where run.record.deadline < limit && run.record.finished == nil {
            checker.violated(.neverEnds, at: now, "run \(id) of \(run.tenant) goes on after \(run.record.deadline)")
        }
    }

    /// Wall clocks may be off by minutes, so deadlines are too.
    static let patienceSeconds = 120

    /// P4: what was refused, expired or never had was not executed; what succeeded was.
    private func checkTruth() {
        // What was pruned had ended, and is judged by that end.
        let ended = database.pruned.jobs.merging(database.jobs) { _, present in present }
        for (id, job) in ended.sorted(by: { $0.key < $1.key }) {
            guard let provider = providers[job.record.provider], !provider.liedAbout.contains(id) else { continue }
            switch job.record.state {
            case .rejected, .expired:
                // What a provider has forgotten, nobody can ask it.
                if checker.executed[id]?.memory == provider.memory {
                    checker.violated(
                        .untrueEnd, at: now,
                        "job \(id) is \(job.record.state.rawValue), and \(provider.id) has executed it: "
                            + (job.record.error?.detail ?? ""))
                }
            case .stopped:
                // A stop that the provider did not carry out, because the job came after it. What an earlier epoch
                // asked for and could not record, its successor stops before it asks: the row speaks of its own asking.
                if let execution = checker.executed[id], execution.memory == provider.memory,
                    !provider.forgottenStops.contains(id),
                    execution.epoch == job.epoch, let state = provider.jobs[id]?.state, state != .stopped
                {
                    checker.violated(
                        .untrueEnd, at: now, "job \(id) is stopped here and \(state.rawValue) at \(provider.id)")
                }
            case .succeeded:
                if checker.executed[id] == nil {
                    checker.violated(.untrueEnd, at: now, "job \(id) succeeded and was never executed")
                }
                // In the memory in which it was executed: a submit that came after that was forgotten made another job.
                if provider.hasSucceeded(id) == false, checker.executed[id]?.memory == provider.memory,
                    !checker.forgotten.contains(id)
                {
                    checker.violated(.untrueEnd, at: now, "job \(id) succeeded here and not at \(provider.id)")
                }
            default: break
            }
        }
    }

    /// P4: a record as its Work Manager told it has what the provider said, or a mark for what was left out.
    func checkWhole(_ job: SimDatabase.Job) {
        let record = job.record
        // What the database could not take says so itself; who lies has said anything.
        guard database.setAside[record.id] == nil, providers[record.provider]?.liedAbout.contains(record.id) == false
        else { return }
        if record.state == .succeeded, record.outputs == nil, record.omitted?.contains("outputs") != true {
            checker.violated(.cutUnmarked, at: now, "job \(record.id) succeeded without outputs, and nothing says why")
        }
        let isCut = [record.message, record.error?.detail].contains {
            $0?.hasPrefix("xxx") == true && $0?.hasSuffix("...") == true
        }
        if isCut, record.omitted?.contains("texts") != true {
            checker.violated(.cutUnmarked, at: now, "a text of job \(record.id) was cut, and no mark says so")
        }
    }

    /// P4: whatever was executed is in the rows, also when its Work Manager died before it could tell.
    private func checkRows() {
        // The last ones are still on their way.
        let limit = now - 15 * SimClock.second
        for (id, execution) in checker.executed.sorted(by: { $0.key < $1.key })
        where database.jobs[id] == nil && execution.at < limit {
            // It had a row with an end. (An open one that was pruned is another broken promise.)
            if database.pruned.jobs[id]?.record.state.isTerminal == true { continue }
            if database.pruned.namedTooLate.contains(id) { continue }
            checker.violated(
                .unrecorded, at: now,
                "job \(id) of epoch \(execution.epoch) was executed and is in no row")
        }
    }

    /// P8: a tenant runs, on one fleet, with the epoch that the database knows.
    private func checkTenant(_ tenant: TenantID) {
        let open = database.epochs[tenant]?.last { $0.ended == nil }
        let hosts = checker.hosts(of: tenant)
        let running = hosts.contains { $0.epoch == open?.epoch && setting.nodes[$0.fleet].id == open?.fleet }
        let reason = database.reasons[tenant]?["tenant"]
        if !running {
            checker.violated(
                .noReason, at: now,
                "\(tenant) does not run at the end; epoch \(open?.epoch ?? 0) on \(open?.fleet.text ?? "no fleet"), "
                    + "reason: \(reason.map { "\($0.code): \($0.text)" } ?? "none")")
        }
        if let reason {
            checker.violated(
                .noReason, at: now, "\(tenant) runs and says \(reason.code): \(reason.text)")
        }
    }
}
