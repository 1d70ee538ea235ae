/// Why something does not do what its scenario says, and what would change that. The one list: the registry writes it into
/// `oms.reason_code`, a test sees to it that every code in use is here.
package enum ReasonCode: String, CaseIterable, Sendable {
    // a tenant
    case suspended
    case noScenario = "no-scenario"
    case noFleet = "no-fleet"
    case fleetLost = "fleet-lost"
    case heartbeatsMissed = "heartbeats-missed"
    case refused
    case forced
    case waitsForSeal = "waits-for-seal"
    case waitsForProof = "waits-for-proof"
    case crashLoop = "crash-loop"
    case waitsForJobs = "waits-for-jobs"
    case messageTooLarge = "message-too-large"
    // a service
    case runFailed = "run-failed"
    case waitsForUpstream = "waits-for-upstream"
    case waitsForStop = "waits-for-stop"
    case journalFull = "journal-full"
    case badSchedule = "bad-schedule"
    case queued
    case jobHolds = "job-holds"
    // a job, a tick
    case pending, submitting, stopping, unknown, skipped, superseded
    // a provider
    case fail, unreachable, quarantined

    /// What would unblock it.
    package var remedy: String {
        switch self {
        case .suspended: "oms resume"
        case .noScenario: "make one of the named providers available, or declare a scenario that needs less"
        case .noFleet: "start wm-fleet, or let a drained one take tenants: oms fleet undrain"
        case .fleetLost: "start the fleet again; with another fleet online the tenant moves after replace_after_s"
        case .heartbeatsMissed: "look at the fleet's log; it is replaced after replace_after_s"
        case .refused: "look at the fleet's log; a new epoch follows by itself"
        case .forced: "nothing: the gateways are ending its jobs"
        case .waitsForSeal: "start the named gateway again; one that stays away counts as gone after 45 s"
        case .waitsForProof: "start its fleet again, or: oms operation force TENANT --evidence ..."
        case .crashLoop: "look at the fleet's log; it is tried again by itself, or at once: oms replace"
        case .waitsForJobs: "the end of the named job, or: oms job give-up JOB --evidence ..., or: oms operation force"
        case .messageTooLarge:
            "make the scenario smaller (parameters by reference, fewer services), or raise the broker's max_packet_size"
        case .runFailed: "see the named errors; the next tick tries again"
        case .waitsForUpstream: "what the named service waits for"
        case .waitsForStop: "the run before is being stopped"
        case .journalFull: "bring the registry or PostgreSQL back"
        case .badSchedule: "correct the frequency in the scenario and apply it again"
        case .queued: "the end of the run before"
        case .jobHolds: "the end of the named job at its provider, or: oms job give-up JOB --evidence ..."
        case .pending: "it is sent when its provider's gateway answers"
        case .submitting: "a free place at the provider, or the end of its fault"
        case .stopping: "its end at the provider, or: oms job give-up JOB --evidence ..."
        case .unknown: "the gateway is asking the provider; it needs an answer"
        case .skipped: "nothing: the tick is over; see the policy `overlap`"
        case .superseded: "nothing: a newer tick stands for it"
        case .fail: "mend what the provider says of itself; it is asked every 5 s"
        case .quarantined:
            "mend the provider, then oms provider release NAME, or change its document and apply it: it is called again"
        case .unreachable: "the provider, its network, or its base_url; it is asked every 5 s"
        }
    }
}
