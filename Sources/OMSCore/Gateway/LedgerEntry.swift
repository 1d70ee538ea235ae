package import OMSModel
package import OMSProtocol

/// What the gateway must remember beyond its own death. A batch of effects that holds an `intent` or a `fence` is
/// carried out only after these are on disk: intent before effect.
package enum LedgerEntry: Hashable, Sendable {
    /// Commands of the tenant below this epoch are refused, now and after a restart.
    case fence(TenantID, Int)
    /// An epoch of the tenant that has begun: a fence may be one above it.
    case begun(TenantID, Int)
    /// A request is about to leave.
    case intent(LedgerJob)
    /// The provider has shown the job: a later 404 means that it forgot it.
    case acknowledged(JobID)
    /// The job has ended; nothing is left to resolve. It is remembered for a while (see `JobMemory`).
    case ended(JobID, JobState)
    /// An operator gave it up: that is its end, whatever the provider says later.
    case givenUp(GivenUpJob)

    /// The provider's document was changed since this gateway died of its answers: it is called again.
    case forgiven(ProviderID)

    /// Effects wait for it. The others may be lost: what they say is found out again.
    package var isBlocking: Bool {
        switch self {
        case .fence, .intent, .givenUp: true
        case .begun, .acknowledged, .ended, .forgiven: false
        }
    }
}

/// A job that may be at a provider.
package struct LedgerJob: Hashable, Sendable {
    package var tenant: TenantID
    package var provider: ProviderID
    package var epoch: Int
    package var request: JobRequest
    package var acknowledged: Bool

    package init(tenant: TenantID, provider: ProviderID, epoch: Int, request: JobRequest, acknowledged: Bool = false) {
        self.tenant = tenant
        self.provider = provider
        self.epoch = epoch
        self.request = request
        self.acknowledged = acknowledged
    }
}

/// What a new gateway process finds in its ledger.
package struct LedgerContents: Hashable, Sendable {
    package var fences: [TenantID: Int]
    package var begun: [TenantID: Int]
    /// Intents without an end: each is resolved before anything else happens to it.
    package var open: [LedgerJob]
    /// In the order in which they ended.
    package var ended: [Ended]
    package var givenUp: [GivenUp] = []

    package struct GivenUp: Hashable, Sendable {
        package var job: GivenUpJob
        /// How long ago, in milliseconds; 0 if the clock was set back since.
        package var age: Int64

        package init(job: GivenUpJob, age: Int64) {
            self.job = job
            self.age = age
        }
    }
    /// Providers whose answers ended earlier processes.
    package var suspects: [SuspectProvider]

    package struct Ended: Hashable, Sendable {
        package var left: LeftJob
        package var state: JobState
        /// How long ago, in milliseconds; 0 if the clock was set back since.
        package var age: Int64

        package init(left: LeftJob, state: JobState, age: Int64) {
            self.left = left
            self.state = state
            self.age = age
        }
    }

    package init(
        fences: [TenantID: Int] = [:], begun: [TenantID: Int] = [:], open: [LedgerJob] = [], ended: [Ended] = [],
        suspects: [SuspectProvider] = []
    ) {
        self.fences = fences
        self.begun = begun
        self.open = open
        self.ended = ended
        self.suspects = suspects
    }

    /// Without what cannot be true: rows of a release that believed any epoch, or of a damaged file. What is said of such an
    /// epoch could be read by nobody, and its tenant would wait for ever. A fence is made anew before a provider is attached.
    var plausible: LedgerContents {
        var contents = self
        contents.fences = fences.filter { Self.isPlausible($0.value) }
        contents.begun = begun.filter { Self.isPlausible($0.value) }
        // What has begun lies behind a fence.
        for (tenant, epoch) in contents.begun where fences[tenant] != nil && contents.fences[tenant] == nil {
            contents.fences[tenant] = epoch
        }
        // These are not forgotten: they may be at work, and have to be found out.
        for index in open.indices { contents.open[index].epoch = Self.within(open[index].epoch) }
        for index in ended.indices {
            contents.ended[index].left.epoch = Self.within(ended[index].left.epoch)
            contents.ended[index].age = min(max(ended[index].age, 0), Self.longestAge)
        }
        contents.suspects = suspects.filter { NumberBounds.figure.contains(Int64($0.version)) && $0.deaths >= 0 }
        for index in givenUp.indices { contents.givenUp[index].age = min(max(givenUp[index].age, 0), Self.longestAge) }
        return contents
    }

    private static let longestAge = NumberBounds.milliseconds(Int(NumberBounds.seconds.upperBound))

    private static func isPlausible(_ epoch: Int) -> Bool { NumberBounds.epoch.contains(Int64(epoch)) }

    private static func within(_ epoch: Int) -> Int {
        Int(min(max(Int64(epoch), NumberBounds.epoch.lowerBound), NumberBounds.epoch.upperBound))
    }
}
