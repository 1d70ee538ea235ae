import OMSModel
import OMSProtocol
import Testing

@testable import OMSCore

/// A gateway with one attached, healthy provider, and a provider's answers made by hand.
struct GatewayBench {
    var gateway: Gateway
    var calls: [ProviderCall] = []
    var events: [JobEvent] = []
    var health: [Health] = []
    var records: [LedgerEntry] = []
    var acks: [GatewayAck] = []
    var reports: [Gateway.Report] = []
    var now: Int64 = 0
    /// What regular questions are answered with.
    var status = GatewayBench.status()
    /// Of the provider's clock, in seconds.
    var clockAhead = 0
    /// As the registry announced them: a Work Manager does not begin before.
    var announced: [TenantID: Int] = [:]

    init(maxRunning: Int = 8, ledger: LedgerContents = LedgerContents()) {
        gateway = Gateway(id: "g1", boot: 5, release: "t", seed: 1, ledger: ledger, at: at(0))
        feed(Self.attach("alpha", maxRunning: maxRunning))
        for call in calls {
            switch call.kind {
            case .status: answer(call, 200, .status(Self.status()))
            case .services: answer(call, 200, .services(ServiceList(services: [])))
            default: Issue.record("unexpected \(call.kind)")
            }
        }
        calls = []
    }

    static func attach(_ provider: ProviderID = "alpha", maxRunning: Int? = nil, moved: Bool? = nil) -> Gateway.Event {
        .received(
            Message(
                .gatewayControl("g1"),
                .gatewayControl(
                    GatewayControl(
                        id: "1", command: .attach, provider: provider,
                        spec: ProviderSpec(baseURL: "http://sp", maxRunning: maxRunning), version: 1, moved: moved))))
    }

    static func status(startedAt: Int64 = 0) -> ProviderStatus {
        ProviderStatus(
            status: .pass, version: "1", time: at(0).wall, startedAt: at(startedAt).wall, uptimeSeconds: 1,
            accepting: true)
    }

    mutating func feed(_ event: Gateway.Event) {
        for effect in gateway.receive(event, at: at(now)) {
            switch effect {
            case .call(let call): calls.append(call)
            case .publish(let message):
                if case .jobEvent(let event) = message.payload { events.append(event) }
                if case .health(let report) = message.payload { health.append(report) }
                if case .gatewayAck(let ack) = message.payload { acks.append(ack) }
            case .record(let entry): records.append(entry)
            case .report(let report): reports.append(report)
            case .subscribe, .unsubscribe, .superseded: break
            }
        }
    }

    mutating func announce(_ epoch: Int, of tenant: TenantID = "men") {
        guard epoch > announced[tenant] ?? 0 else { return }
        announced[tenant] = epoch
        feed(
            .received(
                Message(
                    .wmEpoch(tenant), .wmEpoch(WMEpoch(epoch: epoch, fleet: "f", generation: 1, since: at(0).wall)))))
    }

    /// - Parameter isAnnounced: false: nobody but the sender knows of its epoch.
    mutating func command(
        _ command: JobCommand.Command, _ job: JobID, tenant: TenantID = "men", epoch: Int = 1,
        deadline: Int64 = 600_000,
        labels: [String: String] = ["run_id": "r"], isAnnounced: Bool = true
    ) {
        if isAnnounced { announce(epoch, of: tenant) }
        let request = JobRequest(
            id: job, service: "harvest", tenant: tenant, config: ServiceConfig(), deadline: at(deadline).wall,
            labels: labels)
        feed(
            .received(
                Message(
                    .jobCommand(tenant, "alpha"),
                    .jobCommand(
                        JobCommand(
                            id: "c", command: command, epoch: epoch, job: job,
                            request: command == .submit ? request : nil)))))
    }

    mutating func control(
        _ command: GatewayControl.Command, seals: [Seal]? = nil, sweep: Sweep? = nil, giveUps: [GivenUpJob]? = nil
    ) {
        feed(
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(
                        GatewayControl(id: "k", command: command, seals: seals, sweep: sweep, giveUps: giveUps)))))
    }

    mutating func answer(
        _ call: ProviderCall, _ status: Int, _ body: ProviderAnswer.Body, retryAfter: Int? = nil, cost: Int64 = 0
    ) {
        feed(
            .answer(
                call: call.id, latency: 1, cost: cost,
                .answered(status: status, retryAfterSeconds: retryAfter, etag: nil, body: body)))
    }

    mutating func fail(_ call: ProviderCall, _ phase: ProviderAnswer.Phase, _ fault: ProviderAnswer.Fault) {
        feed(.answer(call: call.id, latency: 1, .failed(phase, fault, "test")))
    }

    /// Lets time pass, waking whenever the gateway wants it; regular questions are answered well.
    mutating func pass(_ milliseconds: Int64) {
        let end = now + milliseconds
        while now < end {
            now = min(end, gateway.nextWake(at: at(now)) - 1_000_000)
            feed(.wake)
            answerRegular()
        }
    }

    mutating func answerRegular() {
        for call in calls {
            switch call.kind {
            case .status:
                var report = status
                report.time = at(now).wall.advanced(bySeconds: clockAhead)
                answer(call, 200, .status(report))
            case .services: answer(call, 304, .empty)
            case .sweep:
                answer(call, 200, .jobs(JobList(statistics: JobStatistics(asOf: at(now).wall, counts: [:]), jobs: [])))
            case .job, .batch, .submit, .stop: continue
            }
            calls.removeAll { $0.id == call.id }
        }
    }

    /// The one waiting call about a job.
    mutating func take() -> ProviderCall? {
        answerRegular()
        return calls.isEmpty ? nil : calls.removeFirst()
    }

    func job(_ id: JobID, _ state: JobState, revision: Int = 1, tenant: TenantID = "men", runID: String = "r")
        -> ProviderJob
    {
        ProviderJob(
            id: id, service: "harvest", tenant: tenant, state: state, revision: revision, created: at(0).wall,
            updated: at(now).wall, finished: state.isTerminal ? at(now).wall : nil, labels: ["run_id": runID])
    }
}

func jobID(_ number: Int) -> JobID { JobID(time: at(0).wall, of: "test", "\(number)") }
