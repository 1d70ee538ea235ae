import OMSModel

/// A pace for what others can cause: so many at once, then one each interval.
struct Allowance: Hashable, Sendable {
    let burst: Int64
    let intervalMilliseconds: Int64
    /// When everything that was taken would be earned again (monotonic).
    private var earnedAt: Int64 = 0

    init(burst: Int, intervalMilliseconds: Int64) {
        self.burst = Int64(burst)
        self.intervalMilliseconds = intervalMilliseconds
    }

    /// When the next one may be taken (monotonic).
    var next: Int64 { earnedAt.minus((burst - 1) * intervalMilliseconds) }

    mutating func take(at now: Int64) -> Bool {
        guard next <= now else { return false }
        earnedAt = max(earnedAt, now).plus(intervalMilliseconds)
        return true
    }
}

/// How much of the processor a provider's answers may take: what is beyond it is paid for with silence.
struct ReadingBudget: Sendable {
    /// A tenth of a core, in microseconds per millisecond.
    static let rate: Int64 = 100
    /// 6 s of processor time at once: what a minute earns.
    static let burst: Int64 = 6_000_000
    /// One answer, or a debt, beyond this is no oversight: the circuit opens.
    static let graveAnswer: Int64 = 1_000_000
    static let graveDebt: Int64 = 12_000_000

    private(set) var debt: Int64 = 0
    private var paidAt: Int64 = 0

    /// - Parameter microseconds: processor time that reading one answer took.
    /// - Returns: from when on the provider may be asked again (monotonic).
    mutating func spend(_ microseconds: Int64, at now: Int64) -> Int64 {
        debt = max(0, debt.minus(max(0, now.minus(paidAt)).times(Self.rate))).plus(max(0, microseconds))
        paidAt = now
        return debt <= Self.burst ? now : now.plus((debt - Self.burst) / Self.rate)
    }

    func isGrave(_ microseconds: Int64) -> Bool { microseconds > Self.graveAnswer || debt > Self.graveDebt }
}

/// Jobs that wait for a call to their provider to end: stops before questions, each in the order in which they came.
struct CallLine: Sendable {
    private var stops: [JobID] = []
    private var reads: [JobID] = []
    private var firstStop = 0
    private var firstRead = 0
    private var members: Set<JobID> = []

    var isEmpty: Bool { members.isEmpty }
    func contains(_ job: JobID) -> Bool { members.contains(job) }

    mutating func add(_ job: JobID, isStop: Bool) {
        guard members.insert(job).inserted else { return }
        if isStop { stops.append(job) } else { reads.append(job) }
    }

    mutating func next() -> JobID? {
        defer { forgetServed() }
        while firstStop < stops.count || firstRead < reads.count {
            let job: JobID
            if firstStop < stops.count {
                job = stops[firstStop]
                firstStop += 1
            } else {
                job = reads[firstRead]
                firstRead += 1
            }
            if members.remove(job) != nil { return job }
        }
        return nil
    }

    mutating func remove(_ job: JobID) { members.remove(job) }

    private mutating func forgetServed() {
        if firstStop > 256 || firstStop == stops.count {
            stops.removeFirst(firstStop)
            firstStop = 0
        }
        if firstRead > 256 || firstRead == reads.count {
            reads.removeFirst(firstRead)
            firstRead = 0
        }
    }
}
