import OMSModel
import OMSProtocol

/// Who asks: operators, who may give commands and ask over the commands' topic, and everybody who may read. Each has a
/// database session of its own, so that no reader's question stands before an operator's.
package enum Asker: String, CaseIterable, Hashable, Sendable { case operators, readers }

/// What can be asked of the database; `Store+Queries.swift` has a statement for each.
package enum Question: String, CaseIterable, Sendable {
    case tenants, providers, jobs, runs, results, configs, why, ticks, epochs, catalogs, verifications, history,
        rollouts,
        operations, receipts, quarantined, quarantine, nodes
    case givenUp = "given-up"
}

/// Questions that wait for a database session: few in all, few of each client, one client after the other. A client's name is
/// its own choice, so the bound on all of them counts as well.
struct QuestionQueue: Sendable {
    static let most = 32
    static let mostOfOne = 4

    private var waiting: [NodeID: [ClientRequest]] = [:]
    /// Clients with a question, the next one first.
    private var turns: [NodeID] = []
    private(set) var count = 0
    private(set) var isBusy = false
    /// What is computed here and not in the database: so many at once, one more per second.
    private var credit: Int64
    private var creditFrom: Int64?
    private let mostCredit: Int64
    private let perSecond: Int64

    init(_ asker: Asker) {
        mostCredit = asker == .operators ? 20_000 : 8_000
        perSecond = asker == .operators ? 10 : 2
        credit = mostCredit
    }

    /// - Returns: nil: it is in the queue, by this or by an earlier copy of it; else why it is not.
    mutating func add(_ request: ClientRequest) -> Problem? {
        let mine = waiting[request.client] ?? []
        if mine.contains(where: { $0.id == request.id }) { return nil }
        guard count < Self.most else {
            return Self.tooMany("\(count) questions wait for the database already, at most \(Self.most)")
        }
        guard mine.count < Self.mostOfOne else {
            return Self.tooMany("\(mine.count) questions of \(request.client) wait already, at most \(Self.mostOfOne)")
        }
        if mine.isEmpty { turns.append(request.client) }
        waiting[request.client] = mine + [request]
        count += 1
        return nil
    }

    /// The next question, if the session is free; it is busy then.
    mutating func next() -> ClientRequest? {
        guard !isBusy, let client = turns.first, var mine = waiting[client], let request = mine.first else {
            return nil
        }
        turns.removeFirst()
        mine.removeFirst()
        waiting[client] = mine.isEmpty ? nil : mine
        if !mine.isEmpty { turns.append(client) }
        count -= 1
        isBusy = true
        return request
    }

    mutating func answered() { isBusy = false }

    /// Nobody gets an answer any more; a session that is busy says when it is free.
    mutating func forget() {
        waiting = [:]
        turns = []
        count = 0
    }

    /// For questions that take the time of the registry itself.
    mutating func mayCompute(at now: Int64) -> Problem? {
        let passed = creditFrom.map { max(0, min(now - $0, 60_000)) } ?? 0
        creditFrom = now
        credit = min(mostCredit, credit + passed * perSecond)
        guard credit >= 1_000 else {
            return Self.tooMany("plans and explanations are asked for too often, at most \(perSecond) a second")
        }
        credit -= 1_000
        return nil
    }

    private static func tooMany(_ text: String) -> Problem {
        Problem(.busy, "\(text); ask again in a moment", status: 429, retryable: true)
    }
}
