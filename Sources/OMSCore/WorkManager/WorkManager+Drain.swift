import OMSModel
import OMSProtocol

/// The way out (docs/internals/replacement.md): no new work, every job ended or left to the next epoch as its service
/// says, every fact committed; only then `drained`.
extension WorkManager {
    struct Drain: Sendable {
        /// What still waits for its own end is stopped then.
        var deadline: Timestamp
        /// No Work Manager comes after this one: what would be left to it is waited for.
        var isFinal: Bool
        /// Last reported, so that only a change is.
        var reported: Int?
        var isDone = false
    }

    mutating func beginDrain(until deadline: Timestamp, isFinal: Bool, at now: Moment) {
        if drain == nil {
            drain = Drain(deadline: deadline, isFinal: isFinal)
            publishState(at: now)
        } else {
            drain?.deadline = deadline
            drain?.isFinal = isFinal
            drain?.reported = nil
        }
    }

    mutating func takeDrainBack(at now: Moment) {
        guard let drain, !drain.isDone else { return }
        self.drain = nil
        publishState(at: now)
        for id in runs.keys.sorted() { settle(id, at: now) }
    }

    /// What a drain does with the jobs of a run now.
    func drainAction(_ run: RunTrack, _ drain: Drain, at now: Moment) -> ReplaceAction {
        var action = run.plan.onReplace ?? .stop
        if action == .adopt, drain.isFinal { action = .wait }
        return action == .wait && now.wall >= drain.deadline ? .stop : action
    }

    mutating func attendDrain(at now: Moment) {
        guard let drain, !drain.isDone else { return }
        for id in runs.keys.sorted() {
            guard var run = runs[id], drainAction(run, drain, at: now) == .stop else { continue }
            for index in run.jobs.indices where !run.jobs[index].state.isTerminal {
                if run.jobs[index].lastAsked == nil, !run.jobs[index].mayBeKnown {
                    endUnsent(&run, index, at: now)
                } else if !run.jobs[index].wantsStop {
                    run.jobs[index].wantsStop = true
                    run.jobs[index].stopReason = "its Work Manager is being replaced"
                    run.jobs[index].lastAsked = nil
                    run.jobs[index].notBefore = 0
                    run.jobs[index].asks = 0
                }
            }
            runs[id] = run
            settle(id, at: now)
        }
    }

    /// After the commands of this moment: report progress, or the end.
    mutating func finishDrain(at now: Moment) {
        guard let drain, !drain.isDone else { return }
        let remaining = self.remaining(drain, at: now)
        if remaining == 0, journal.unacknowledged == 0 {
            self.drain?.isDone = true
            effects.append(.drained(lastSeq: journal.lastSeq))
        } else if drain.reported != remaining {
            self.drain?.reported = remaining
            effects.append(.draining(remaining: remaining))
        }
    }

    /// Jobs that are neither ended nor left to the next epoch.
    private func remaining(_ drain: Drain, at now: Moment) -> Int {
        runs.values.reduce(0) { sum, run in
            drainAction(run, drain, at: now) == .adopt ? sum : sum + run.jobs.count { !$0.state.isTerminal }
        }
    }

    /// Nobody but this Work Manager has ever heard of it.
    private mutating func endUnsent(_ run: inout RunTrack, _ index: Int, at now: Moment) {
        run.jobs[index].state = .stopped
        run.jobs[index].finished = now.wall
        run.jobs[index].error = Problem(.stopped, "its Work Manager was replaced before it was submitted")
        run.jobs[index].revision += 1
        note(JournalEntry(job: run.record(of: run.jobs[index], at: now)), at: now)
    }

    // MARK: - Differences to the registry's rows

    /// - Parameter rows: what is open in PostgreSQL, at a moment when everything of this epoch was committed.
    mutating func reconcile(with rows: WorkManagerResume, at now: Moment) {
        // 1. Rows that nobody looks after, or whose end is known here.
        var adopted: [RunID] = []
        for open in rows.open {
            guard let run = runs[open.run] else {
                adopt(open, at: now)
                adopted.append(open.run)
                continue
            }
            runs[open.run] = compared(run, with: open, at: now)
        }
        // 2. Jobs without an open row. Of what the message had no room for, nobody can say.
        let known = Set(rows.open.flatMap { $0.jobs.filter { !$0.state.isTerminal }.map(\.id) })
        for id in rows.more == nil ? runs.keys.sorted() : [] { recordMissing(id, known, at: now) }
        if drain == nil { completeAdopted(adopted, at: now) }
    }

    private mutating func compared(_ run: RunTrack, with open: OpenRun, at now: Moment) -> RunTrack {
        var run = run
        for row in open.jobs {
            guard let index = run.jobs.firstIndex(where: { $0.id == row.id }) else {
                if !row.state.isTerminal { adopt(row, of: open, into: &run, at: now) }
                continue
            }
            run.jobs[index].hasEndedRow = row.state.isTerminal
            guard run.jobs[index].state.isTerminal, !row.state.isTerminal, !run.jobs[index].isRecordedAgain else {
                continue
            }
            // Its end was told, and is not there.
            run.jobs[index].isRecordedAgain = true
            run.jobs[index].revision = max(run.jobs[index].revision, row.revision) + 1
            note(JournalEntry(job: run.record(of: run.jobs[index], at: now)), at: now)
        }
        return run
    }

    /// Records jobs without an open row again, with a higher revision, each of them once. If that does not open a row, then
    /// there is one that has ended (swept, or given up), and it stands: recording more would be refused for ever.
    private mutating func recordMissing(_ id: RunID, _ known: Set<JobID>, at now: Moment) {
        guard var run = runs[id] else { return }
        for index in run.jobs.indices where known.contains(run.jobs[index].id) && !run.jobs[index].state.isTerminal {
            run.jobs[index].isRecordedAgain = false
        }
        let missing = run.jobs.indices.filter {
            !run.jobs[$0].state.isTerminal && !run.jobs[$0].hasEndedRow && !known.contains(run.jobs[$0].id)
        }
        let fresh = missing.filter { !run.jobs[$0].isRecordedAgain }
        for index in missing where run.jobs[index].isRecordedAgain { run.jobs[index].hasEndedRow = true }
        if !run.finished, !fresh.isEmpty { note(JournalEntry(run: run.record(.running, plan: true)), at: now) }
        for index in fresh {
            run.jobs[index].isRecordedAgain = true
            run.jobs[index].revision += 1
            note(JournalEntry(job: run.record(of: run.jobs[index], at: now)), at: now)
        }
        // They may have ended without anybody hearing of it.
        for index in missing { run.jobs[index].lastHeard = now.monotonic - JobTrack.quietMilliseconds }
        runs[id] = run
    }
}
