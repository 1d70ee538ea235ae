import Logging
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime
import Postgres

/// What PostgreSQL refuses, it refuses the next time too. So each refusal is judged: either everything of the kind would be
/// refused, then journals wait and an operator is told; or it is this one fact, then it is kept aside whole, and its row gets
/// what can be stored, so that it is not told again for ever and a job that ended has ended.
extension Store {
    /// Several different facts of which not even the barest form passes, for one reason: that is no accident any more.
    private static let barrenFacts = 3

    /// For a piece that PostgreSQL refuses: entry by entry, so that one bad fact neither blocks its tenant nor vanishes.
    func commitOneByOne(_ piece: Piece) -> StoreReply {
        var committed: Int?
        var setAside: [SetAside] = []
        do {
            for single in piece.singles {
                do {
                    committed = try inTerm { try Self.commit($0, [single])[0] }
                    barren = [:]
                } catch let error as PostgresError
                    where error.isAboutStatement && error.sqlState != PostgresError.tookTooLong
                {
                    let (seq, kept) = try keepAside(single, error)
                    committed = seq
                    if let kept { setAside.append(kept) }
                }
            }
        } catch {
            let problem = failed(error)
            // What passed before it is said; the rest comes again.
            guard let committed else { return .failed(problem) }
            return .committed(committed, setAside: setAside, rest: problem)
        }
        return .committed(committed ?? 0, setAside: setAside)
    }

    /// - Returns: the number up to which the journal is committed, and what is to be told of it (nil: it is known already).
    private func keepAside(_ single: Piece, _ refusal: PostgresError) throws -> (Int, SetAside?) {
        // 1. Is it this fact, or would an ordinary one be refused as well?
        if let outage = try probe() { throw outage }
        // 2. As much of it as passes.
        var last = refusal
        for reduction in Reduction.allCases {
            do {
                let kept = try inTerm { try Self.quarantine($0, single, refusal, keeping: reduction) }
                told(single, refusal, kept.1)
                return kept
            } catch let error as PostgresError where error.isAboutStatement { last = error }
        }
        // 3. Nothing passes, not even what OMS itself says of it.
        let state = last.sqlState ?? ""
        barren[state, default: []].insert("\(single.tenant)/\(single.journal.entries[0].fact)")
        if barren[state]?.count ?? 0 >= Self.barrenFacts { throw last }
        let kept = try inTerm { try Self.quarantine($0, single, refusal, keeping: nil) }
        told(single, refusal, kept.1)
        return kept
    }

    private func told(_ single: Piece, _ error: PostgresError, _ kept: SetAside?) {
        guard kept != nil else { return }
        tell("quarantine \(single.tenant)", .error, "journal entry quarantined, see oms quarantine list", error)
    }

    /// What ordinary facts of every kind meet. Nothing of it stays.
    /// - Returns: why they are refused; nil: they pass.
    private func probe() throws -> PostgresError? {
        struct Undone: Error {}
        do {
            try inTerm { (database) -> Void in
                try Self.apply(database, [Self.ordinary])
                throw Undone()
            }
        } catch is Undone {
            return nil
        } catch let error as PostgresError where error.isAboutStatement { return error }
        return nil
    }

    private static var ordinary: Piece {
        let now = Timestamp(milliseconds: WallClock.milliseconds)
        let (service, type): (ServiceID, ServiceType) = ("probe", "probe")
        let run = RunID(time: now, of: "probe")
        let tick = TickRecord(service: service, due: now, outcome: .skipped, time: now, reason: "probe")
        let job = JobRecord(
            id: JobID(time: now, of: "probe"), run: run, service: service, type: type, provider: "probe", attempt: 1,
            state: .succeeded, revision: 1, time: now, created: now, started: now, finished: now, deadline: now,
            progress: 1, message: "probe", outputs: [:], error: Problem(.internal, "probe"))
        let record = RunRecord(
            id: run, service: service, type: type, state: .failed, due: now, started: now, deadline: now,
            finished: now, generation: 1, consumed: [run], error: Problem(.internal, "probe"))
        let reason = ReasonRecord(subject: "probe", code: "probe", text: "probe", since: now, cleared: false)
        return Piece(
            tenant: "probe",
            journal: Journal(
                epoch: 1, firstSeq: 1,
                entries: [.init(tick: tick), .init(run: record), .init(job: job), .init(reason: reason)]))
    }

    // MARK: - Other requests with facts from outside

    /// One odd status must not keep those of all others away, nor come back for ever.
    func observe(_ observations: [Observation]) throws {
        do {
            try inTerm { try Self.observe($0, observations) }
        } catch let error as PostgresError where error.blame == .data {
            for observation in observations {
                do {
                    try inTerm { try Self.observe($0, [observation]) }
                } catch let error as PostgresError where error.blame == .data {
                    // The next one of the same thing stands for it; a report shows the one before meanwhile.
                    tell("observation", .error, "what was seen cannot be stored and is left out of reports", error)
                }
            }
        }
    }

    /// A gateway names what went out; one odd name must not hold up the seal that all wait for.
    func recover(_ recovery: Recovery) throws -> [TenantID: Int] {
        do {
            return try inTerm { try Self.recover($0, recovery) }
        } catch let error as PostgresError where error.blame == .data {
            var counts: [TenantID: Int] = [:]
            for job in recovery.jobs {
                var single = recovery
                single.jobs = [job]
                let one = single
                do {
                    counts.merge(try inTerm { try Self.recover($0, one) }, uniquingKeysWith: +)
                } catch let error as PostgresError where error.blame == .data {
                    try inTerm { try Self.quarantine($0, job, error) }
                    tell(
                        "recover", .error, "a job that a gateway named cannot be stored, see oms quarantine list", error
                    )
                }
            }
            return counts
        }
    }

    /// How the gateways ended jobs; the end of an epoch does not wait for words that cannot be stored.
    func close(_ closing: EpochClosing) throws {
        do {
            try inTerm { try Self.close($0, closing) }
        } catch let error as PostgresError where error.blame == .data {
            tell("close", .error, "reasons of jobs' ends cannot be stored and are left out", error)
            var bare = closing
            for index in bare.swept.indices {
                bare.swept[index].error = Problem(.notStorable, "what the gateway said of it cannot be stored")
            }
            for index in bare.quarantined.indices { bare.quarantined[index].error = nil }
            let rest = bare
            try inTerm { try Self.close($0, rest) }
        }
    }
}
