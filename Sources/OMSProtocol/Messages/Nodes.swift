package import OMSModel

/// Birth, goodbye or last will of a process. A reader ignores a `lost` whose `boot` is not the current one.
package struct Presence: Hashable, Codable, Sendable {
    package enum State: String, Codable, Sendable, CaseIterable {
        case online, draining, offline, lost
        /// A registry that waits for the active one to go.
        case standby
    }

    package var state: State
    /// Milliseconds since 1970 at process start: a greater one is a newer incarnation.
    package var boot: Int64
    package var since: Timestamp
    package var release: String
    /// Majors of the message formats that the process speaks.
    package var protocols: [Int]
    /// Of a fleet: the tenant whose Work Manager the process before was looking after when it died.
    package var suspect: TenantID?
    /// Of a gateway: the providers whose answers earlier processes died of.
    package var suspectProviders: [SuspectProvider]?

    package init(
        state: State, boot: Int64, since: Timestamp, release: String, protocols: [Int], suspect: TenantID? = nil,
        suspectProviders: [SuspectProvider]? = nil
    ) {
        self.suspectProviders = suspectProviders
        self.suspect = suspect
        self.state = state
        self.boot = boot
        self.since = since
        self.release = release
        self.protocols = protocols
    }

    enum CodingKeys: String, CodingKey {
        case state, boot, since, release, protocols, suspect
        case suspectProviders = "suspect_providers"
    }
}

/// A gateway died while it read or handled this provider's answers.
package struct SuspectProvider: Hashable, Codable, Sendable {
    package var provider: ProviderID
    /// Of the provider's document. With a later one the count begins anew.
    package var version: Int
    package var deaths: Int

    /// So many deaths, and it is not called any more.
    package static let limit = 2
    package static let maxDeaths = 1_000

    package init(provider: ProviderID, version: Int, deaths: Int) {
        self.provider = provider
        self.version = version
        self.deaths = deaths
    }

    package static func text(deaths: Int) -> String {
        "quarantined: the gateway died \(deaths == 2 ? "twice" : "\(deaths) times") while reading its answer"
    }
}

/// A command to a gateway. Safe to repeat: the registry sends it until the acknowledgement comes.
package struct GatewayControl: Hashable, Codable, Sendable {
    package enum Command: String, Codable, Sendable, CaseIterable {
        case attach, detach
        /// Refuse every command below these epochs from now on, and say when no call of a lower one is under way.
        case seal
        /// Stop what lower epochs of a tenant left at the providers, and say how each job ended.
        case sweep
        /// An operator says that jobs are over, whatever their provider says or does not say.
        case giveUp = "give-up"
    }

    package var id: String
    package var command: Command
    /// With `attach` and `detach`.
    package var provider: ProviderID?
    /// With `attach`.
    package var spec: ProviderSpec?
    /// Version of the provider's document: a repeated attach of the same one changes nothing.
    package var version: Int?
    /// With `attach`: the process that is meant. One that comes late must not give a provider to the next process, when it
    /// has been given to another gateway meanwhile.
    package var boot: Int64?
    /// With `attach`: another gateway had the provider before. What it sent, this one does not know.
    package var moved: Bool?
    /// With `attach`: so many processes, of all gateways, died of this provider's answers. From `SuspectProvider.limit` on it is
    /// not called.
    package var deaths: Int?
    /// With `seal`: at most `maxSeals` of them.
    package var seals: [Seal]?
    /// With `sweep`.
    package var sweep: Sweep?
    /// With `give-up`: at most `maxGiveUps` of them.
    package var giveUps: [GivenUpJob]?

    package static let maxSeals = 1_000
    package static let maxGiveUps = 50

    package init(
        id: String, command: Command, provider: ProviderID? = nil, spec: ProviderSpec? = nil, version: Int? = nil,
        boot: Int64? = nil, moved: Bool? = nil, deaths: Int? = nil, seals: [Seal]? = nil, sweep: Sweep? = nil,
        giveUps: [GivenUpJob]? = nil
    ) {
        self.giveUps = giveUps
        self.deaths = deaths
        self.boot = boot
        self.moved = moved
        self.id = id
        self.command = command
        self.provider = provider
        self.spec = spec
        self.version = version
        self.seals = seals
        self.sweep = sweep
    }

    enum CodingKeys: String, CodingKey {
        case id, command, provider, spec, version, boot, moved, seals, sweep
        case giveUps = "give_ups"
    }
}

/// A job that an operator gave up, and what the operator knows of it.
package struct GivenUpJob: Hashable, Codable, Sendable {
    package var job: JobID
    package var tenant: TenantID
    package var provider: ProviderID
    package var by: String
    package var evidence: String

    /// Characters of `evidence`: it travels in every answer about the job.
    package static let maxEvidence = 500

    package init(job: JobID, tenant: TenantID, provider: ProviderID, by: String, evidence: String) {
        self.job = job
        self.tenant = tenant
        self.provider = provider
        self.by = by
        self.evidence = evidence
    }
}

/// The only epoch of a tenant whose commands may count from now on.
package struct Seal: Hashable, Codable, Sendable {
    package var tenant: TenantID
    package var epoch: Int
    /// In a command: also name the jobs of epochs from this one up to below `epoch` that went out, ended or not. Their
    /// Work Manager may have died before its journal told of them. In the answer: from which epoch on the list was made.
    package var list: Int?
    /// In the answer: how many were named, in `GatewayAck.left` of this and earlier answers. With fewer at hand the seal does
    /// not count yet.
    package var listed: Int?
    /// In the answer: the highest epoch that is known to have begun.
    package var begun: Int?

    package init(tenant: TenantID, epoch: Int, list: Int? = nil, listed: Int? = nil, begun: Int? = nil) {
        self.tenant = tenant
        self.epoch = epoch
        self.list = list
        self.listed = listed
        self.begun = begun
    }
}

/// A job that went out for a Work Manager of a sealed epoch: enough to write its row, if the journal never told of it.
package struct LeftJob: Hashable, Codable, Sendable {
    package var job: JobID
    package var tenant: TenantID
    package var provider: ProviderID
    /// Of the Work Manager that last asked about it.
    package var epoch: Int
    package var run: RunID
    /// As the tenant's scenario calls it.
    package var service: ServiceID
    package var attempt: Int
    package var deadline: Timestamp
    /// The runs that caused it; nil: it was due by itself, or somebody asked for it.
    package var upstream: [RunID]?

    package init(
        job: JobID, tenant: TenantID, provider: ProviderID, epoch: Int, run: RunID, service: ServiceID, attempt: Int,
        deadline: Timestamp, upstream: [RunID]? = nil
    ) {
        self.job = job
        self.tenant = tenant
        self.provider = provider
        self.epoch = epoch
        self.run = run
        self.service = service
        self.attempt = attempt
        self.deadline = deadline
        self.upstream = upstream
    }
}

/// What a gateway is to end on behalf of a tenant whose Work Manager did not end it.
package struct Sweep: Hashable, Codable, Sendable {
    package var tenant: TenantID
    /// The sealed epoch: jobs of lower ones are meant.
    package var epoch: Int
    /// What the registry knows of. The gateway adds what else it knows of the tenant.
    package var jobs: [SweepJob]
    /// Left running: the next epoch adopts them.
    package var keep: [JobID]
    /// Nothing but `jobs`: there is too much to keep to name it.
    package var only: Bool?

    package static let maxJobs = 1_000
    package static let maxKeep = 2_000

    package init(tenant: TenantID, epoch: Int, jobs: [SweepJob], keep: [JobID], only: Bool? = nil) {
        self.only = only
        self.tenant = tenant
        self.epoch = epoch
        self.jobs = jobs
        self.keep = keep
    }
}

package struct SweepJob: Hashable, Codable, Sendable {
    package var job: JobID
    package var provider: ProviderID

    package init(job: JobID, provider: ProviderID) {
        self.job = job
        self.provider = provider
    }
}

package struct GatewayAck: Hashable, Codable, Sendable {
    package var id: String
    package var command: GatewayControl.Command
    package var provider: ProviderID?
    package var version: Int?
    package var boot: Int64
    /// With `seal`: these hold. The others of the command follow when their last call has ended.
    package var sealed: [Seal]?
    /// With `seal`, for those that ask for a list; a long list comes in several answers, the last of which has `sealed`.
    package var left: [LeftJob]?
    package var swept: SweepReport?
    /// With `give-up`: these have their end.
    package var gaveUp: [JobID]?
    /// With `give-up`: these go on as they should, and were not given up.
    package var refused: [SweptJob]?
    /// With `give-up`, unasked: what the provider says of jobs that were given up.
    package var signs: [SweptJob]?
    package var error: Problem?

    package init(
        id: String, command: GatewayControl.Command, provider: ProviderID? = nil, version: Int? = nil, boot: Int64,
        sealed: [Seal]? = nil, left: [LeftJob]? = nil, swept: SweepReport? = nil, gaveUp: [JobID]? = nil,
        refused: [SweptJob]? = nil,
        signs: [SweptJob]? = nil, error: Problem? = nil
    ) {
        self.gaveUp = gaveUp
        self.refused = refused
        self.signs = signs
        self.left = left
        self.id = id
        self.command = command
        self.provider = provider
        self.version = version
        self.boot = boot
        self.sealed = sealed
        self.swept = swept
        self.error = error
    }

    enum CodingKeys: String, CodingKey {
        case id, command, provider, version, boot, sealed, left, swept, refused, signs, error
        case gaveUp = "gave_up"
    }
}

/// How far a sweep is: the jobs that have ended, and those that have not. Of many that have ended, several reports tell.
package struct SweepReport: Hashable, Codable, Sendable {
    package var tenant: TenantID
    package var epoch: Int
    package var ended: [SweptJob]
    /// The first ones, if there are many: all that is left is in the registry's rows.
    package var remaining: [SweptJob]

    package init(tenant: TenantID, epoch: Int, ended: [SweptJob], remaining: [SweptJob]) {
        self.tenant = tenant
        self.epoch = epoch
        self.ended = ended
        self.remaining = remaining
    }
}

package struct SweptJob: Hashable, Codable, Sendable {
    package var job: JobID
    package var provider: ProviderID
    package var state: JobState
    /// What keeps it from ending, or the error that it ended with.
    package var error: Problem?

    package init(job: JobID, provider: ProviderID, state: JobState, error: Problem? = nil) {
        self.job = job
        self.provider = provider
        self.state = state
        self.error = error
    }
}

package struct Catalog: Hashable, Codable, Sendable {
    package var gateway: NodeID
    package var fetched: Timestamp
    package var etag: String?
    /// The last fetch failed: this is what was known before.
    package var stale: Bool
    package var services: [ServiceDescription]

    package init(
        gateway: NodeID, fetched: Timestamp, etag: String? = nil, stale: Bool, services: [ServiceDescription]
    ) {
        self.gateway = gateway
        self.fetched = fetched
        self.etag = etag
        self.stale = stale
        self.services = services
    }
}

package struct Health: Hashable, Codable, Sendable {
    package enum Status: String, Codable, Sendable, CaseIterable {
        case pass, warn, fail, unreachable, unknown
        /// Not called: a gateway died of its answers, twice.
        case quarantined
    }
    package enum Circuit: String, Codable, Sendable, CaseIterable {
        case closed, open
        case halfOpen = "half-open"
    }

    package var status: Status
    package var checked: Timestamp
    package var latencyMilliseconds: Int?
    package var circuit: Circuit
    package var gateway: NodeID
    /// Incarnation of the gateway: when it changes, Work Managers tell it their open jobs again.
    package var boot: Int64
    package var report: ProviderStatus?
    package var error: Problem?
    /// While jobs wait for a place, or go on after their stop.
    package var places: Places?

    /// Who takes the provider's places.
    package struct Places: Hashable, Codable, Sendable {
        /// So many jobs may be there at once now.
        package var limit: Int
        package var taken: Int
        package var waiting: Int
        /// Go on after their stop, and take no place any more.
        package var stuck: Int
        /// For people: who has the places.
        package var text: String

        package init(limit: Int, taken: Int, waiting: Int, stuck: Int, text: String) {
            self.limit = limit
            self.taken = taken
            self.waiting = waiting
            self.stuck = stuck
            self.text = text
        }
    }

    package init(
        status: Status, checked: Timestamp, latencyMilliseconds: Int? = nil, circuit: Circuit, gateway: NodeID,
        boot: Int64, report: ProviderStatus? = nil, error: Problem? = nil
    ) {
        self.status = status
        self.checked = checked
        self.latencyMilliseconds = latencyMilliseconds
        self.circuit = circuit
        self.gateway = gateway
        self.boot = boot
        self.report = report
        self.error = error
    }

    enum CodingKeys: String, CodingKey {
        case status, checked, circuit, gateway, boot, report, error, places
        case latencyMilliseconds = "latency_ms"
    }
}
