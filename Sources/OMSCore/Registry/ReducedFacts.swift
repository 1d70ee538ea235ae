import OMSModel
package import OMSProtocol

/// What is left of a fact of which PostgreSQL refuses a part, from the mildest to the barest. What OMS itself says of it, its
/// name, its state and its place among the others, stays in all of them: a job whose end cannot be stored at all would be
/// open for ever.
package enum Reduction: Int, CaseIterable, Comparable, Sendable {
    /// Without times that lie outside of any sane range.
    case times
    /// Without what the provider delivered.
    case outputs
    /// Without anything that came from outside.
    case texts

    package static func < (a: Reduction, b: Reduction) -> Bool { a.rawValue < b.rawValue }
}

extension JournalEntry {
    /// Names the thing that the entry speaks of: a later word about the same thing has the same name.
    package var fact: String {
        if let job { return "job/\(job.id)" }
        if let run { return "run/\(run.id)" }
        if let tick { return "tick/\(tick.service)/\(tick.due)" }
        if let reason { return "reason/\(reason.subject)" }
        return "nothing"
    }

    /// - Parameter note: What a reader of the row is told: that something is missing, and where it is.
    package func reduced(_ reduction: Reduction, note: String) -> JournalEntry {
        JournalEntry(
            tick: tick?.reduced(reduction), run: run?.reduced(reduction, note), job: job?.reduced(reduction, note),
            reason: reason?.reduced(reduction, note))
    }
}

extension Timestamp {
    /// 2000 to 2199: before it there was no OMS, and nobody plans beyond it.
    private static let sane: ClosedRange<Int64> = 946_684_800_000...7_258_118_399_999

    var isSane: Bool { Self.sane.contains(milliseconds) }

    fileprivate func sane(or other: Timestamp) -> Timestamp {
        if isSane { return self }
        return other.isSane
            ? other : Timestamp(milliseconds: min(max(milliseconds, Self.sane.lowerBound), Self.sane.upperBound))
    }
}

/// - Returns: the error that stands in the row: of the original only whether it may be tried again.
private func notStorable(_ note: String, _ original: Problem?) -> Problem {
    Problem(.notStorable, note, retryable: original?.retryable)
}

extension JobRecord {
    func reduced(_ reduction: Reduction, _ note: String) -> JobRecord {
        var job = self
        // The id begins with the moment at which its run was due.
        job.time = time.sane(or: id.time)
        job.created = created.sane(or: id.time)
        job.deadline = deadline.sane(or: job.time)
        job.started = started.flatMap { $0.isSane ? $0 : nil }
        job.finished = finished.map { $0.sane(or: job.time) }
        job.error = notStorable(note, error)
        if reduction >= .outputs {
            job.outputs = nil
            job.progress = nil
        }
        if reduction >= .texts { job.message = nil }
        return job
    }
}

extension RunRecord {
    func reduced(_ reduction: Reduction, _ note: String) -> RunRecord {
        var run = self
        run.due = due.sane(or: id.time)
        run.started = started.sane(or: run.due)
        run.deadline = deadline.sane(or: run.started)
        run.finished = finished.map { $0.sane(or: run.started) }
        run.error = notStorable(note, error)
        if reduction >= .outputs { run.result = nil }
        // Without its plan a run that is open cannot be carried on by the next Work Manager; one that has ended need not be.
        if reduction >= .texts, state.isTerminal { run.plan = nil }
        return run
    }
}

extension TickRecord {
    func reduced(_ reduction: Reduction) -> TickRecord {
        var tick = self
        tick.time = time.sane(or: due)
        if reduction >= .outputs { tick.count = nil }
        if reduction >= .texts { tick.reason = nil }
        return tick
    }
}

extension ReasonRecord {
    func reduced(_ reduction: Reduction, _ note: String) -> ReasonRecord {
        var reason = self
        if reduction >= .texts, !cleared { reason.text = note }
        return reason
    }
}

/// What an operator decides about a fact that was set aside.
package enum QuarantineVerdict: Hashable, Sendable {
    /// It is put into its row as it came.
    case retry
    case discard(reason: String)
}

/// A fact of which PostgreSQL refused a part: kept whole in `oms.quarantine` until somebody decides.
package struct SetAside: Hashable, Sendable {
    package var id: Int64
    package var fact: String
    /// PostgreSQL's words.
    package var error: String
    /// Its row has what could be stored; false: it has none.
    package var hasRow: Bool
    /// Older ones of the same tenant that had to go for it.
    package var dropped: Int

    package init(id: Int64, fact: String, error: String, hasRow: Bool, dropped: Int = 0) {
        self.dropped = dropped
        self.id = id
        self.fact = fact
        self.error = error
        self.hasRow = hasRow
    }
}
