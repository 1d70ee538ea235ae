import OMSModel

@testable import OMSProtocol

/// One message of each kind, with every member that can be there.
enum Samples {
    static let time = Timestamp(milliseconds: 1_700_000_000_000)
    static let job = JobID(time: time, of: "job")
    static let run = RunID(time: time, of: "run")
    static let problem = Problem(
        .invalidConfig, "top must be from 1 to 1000", status: 422, retryable: false,
        errors: [FieldError(pointer: "/config/parameters/top", detail: "must be from 1 to 1000")])
    static let outputs: JSONObject = ["rows": ["value": 10_000]]
    static let presence = Presence(
        state: .online, boot: 1_700_000_000_000, since: time, release: "0.1.0", protocols: [1], suspect: "men")
    static let plan = ServicePlan(
        id: "recommend", type: "recommend", frequency: nil, after: ["harvest"], anchor: time, timeoutSeconds: 60,
        deadlineSeconds: 180, maxAttempts: 2,
        dataSource: DataLocation(uri: "sqlite:///men.db", type: "application/x-sqlite3"),
        outputSource: DataLocation(uri: "file:///out.json", credential: "store"), parameters: ["top": 10],
        providers: [
            ProviderChoice(provider: "beta", service: "recommend"), ProviderChoice(provider: "gamma", service: "rank"),
        ],
        merge: MergeRule(strategy: .reciprocalRankFusion, output: "ranking", itemKey: "item", k: 60, top: 10),
        onReplace: .wait)
    static let config = WorkManagerConfig(tenant: "men", generation: 3, scenario: "open-bandit", services: [plan])
    static let resume = WorkManagerResume(
        ticks: ["harvest": time], succeeded: ["harvest": RunReference(run: run, due: time)],
        consumed: ["recommend": [run]],
        open: [
            OpenRun(
                run: run, service: "recommend", due: time, started: time, deadline: time, consumed: [run],
                finished: false,
                plan: plan,
                jobs: [
                    OpenJob(
                        id: job, provider: "beta", attempt: 1, state: .running, revision: 3, retryable: true,
                        quarantined: true)
                ])
        ])
    static let result = ServiceResult(
        run: run, service: "recommend", type: "recommend", state: .partial, due: time, finished: time,
        strategy: .reciprocalRankFusion,
        providers: [
            ProviderContribution(provider: "beta", outcome: .used, job: job),
            ProviderContribution(provider: "gamma", outcome: .failed, job: job, error: problem),
        ], outputs: outputs, revision: 2)
    static let journal = Journal(
        epoch: 2, firstSeq: 7,
        entries: [
            JournalEntry(
                tick: TickRecord(
                    service: "harvest", due: time, outcome: .superseded, time: time, run: run, reason: "missed",
                    count: 4, through: time, manual: false)),
            JournalEntry(
                run: RunRecord(
                    id: run, service: "recommend", type: "recommend", state: .partial, due: time, started: time,
                    deadline: time, finished: time, generation: 3, consumed: [run], plan: plan, result: result,
                    error: problem)),
            JournalEntry(
                job: JobRecord(
                    id: job, run: run, service: "recommend", type: "recommend", provider: "beta", attempt: 1,
                    state: .failed, revision: 4, time: time, created: time, started: time, finished: time,
                    deadline: time, progress: 42.5, message: "reading", outputs: outputs, error: problem)),
            JournalEntry(
                reason: ReasonRecord(
                    subject: "service/recommend", code: "run-failed", text: "why", since: time, cleared: false)),
        ])
    static let request = JobRequest(
        id: job, service: "recommend", tenant: "men",
        config: ServiceConfig(
            timeoutSeconds: 60, dataSource: plan.dataSource, outputSource: plan.outputSource, parameters: ["top": 10]),
        deadline: time, labels: ["run_id": "\(run)"])
    static let report = ProviderStatus(
        status: .pass, version: "1", release: "0.1.0", time: time, startedAt: time, uptimeSeconds: 5, accepting: true,
        retentionSeconds: 86_400, features: ["results"],
        jobs: ProviderJobFigures(
            queued: 1, running: 2, executedToday: 3, succeededToday: 2, failedToday: 1, stoppedToday: 0, maxRunning: 4,
            maxQueued: 200))

    static let messages: [Message] = [
        Message(.registryPresence("r1"), .presence(presence)),
        Message(.fleetPresence("f1"), .presence(presence)),
        Message(.gatewayPresence("g1"), .presence(presence)),
        Message(
            .gatewayControl("g1"),
            .gatewayControl(
                GatewayControl(
                    id: "1", command: .attach, provider: "alpha",
                    spec: ProviderSpec(
                        baseURL: "https://sp.example.org", credential: "alpha-token", pollSeconds: 1, maxRunning: 8),
                    version: 2, boot: 1, moved: true, seals: [Seal(tenant: "men", epoch: 3, list: 1)],
                    sweep: Sweep(
                        tenant: "men", epoch: 3, jobs: [SweepJob(job: job, provider: "alpha")], keep: [job])))),
        Message(
            .gatewayAck("g1"),
            .gatewayAck(
                GatewayAck(
                    id: "1", command: .attach, provider: "alpha", version: 2, boot: 1,
                    sealed: [Seal(tenant: "men", epoch: 3, listed: 1)],
                    left: [
                        LeftJob(
                            job: job, tenant: "men", provider: "alpha", epoch: 2, run: run, service: "recommend",
                            attempt: 1, deadline: time, upstream: [run])
                    ],
                    swept: SweepReport(
                        tenant: "men", epoch: 3,
                        ended: [SweptJob(job: job, provider: "alpha", state: .stopped, error: problem)],
                        remaining: [SweptJob(job: job, provider: "alpha", state: .unknown)]), error: problem))),
        Message(
            .wmControl("men"),
            .wmControl(
                WMControl(
                    id: "1", command: .bootstrap, epoch: 2, fleet: "f1", boot: 1, generation: 3, config: config,
                    resume: resume, deadline: time, final: true, reason: "first start"))),
        Message(
            .wmAck("men"),
            .wmAck(
                WMAck(
                    id: "1", command: .bootstrap, phase: .rejected, epoch: 2, generation: 3, fleet: "f1", remaining: 0,
                    lastSeq: 8, error: problem))),
        Message(.wmHeartbeat("men"), .heartbeat(Heartbeat(beat: 9, epoch: 2, intervalSeconds: 5, ackSeq: 6))),
        Message(
            .wmStatus("men"),
            .wmStatus(
                WMStatus(
                    beat: 9, epoch: 2, fleet: "f1", boot: 1, state: .active, generation: 3, seq: 8, uptimeSeconds: 60,
                    jobs: ["running": 1],
                    active: [
                        ActiveOperation(
                            service: "recommend", run: run, job: job, provider: "beta", state: .running, ageSeconds: 4,
                            progress: 42.5, message: "reading")
                    ],
                    waiting: [
                        Reason(subject: "service/optimise", code: "waits-for-upstream", text: "why", since: time)
                    ],
                    digest: "1-00000000000000ff"))),
        Message(.wmEpoch("men"), .wmEpoch(WMEpoch(epoch: 2, fleet: "f1", generation: 3, since: time))),
        Message(.wmState("men"), .wmState(WMState(state: .active, epoch: 2, generation: 3, fleet: "f1", since: time))),
        Message(.wmJournal("men"), .journal(journal)),
        Message(.wmCommitted("men"), .committed(Committed(epoch: 2, ackSeq: 10))),
        Message(.serviceResult("men", "recommend"), .result(result)),
        Message(
            .jobCommand("men", "beta"),
            .jobCommand(
                JobCommand(
                    id: "2-1", command: .submit, epoch: 2, job: job, request: request, again: true, graceSeconds: 10,
                    reason: "why"))
        ),
        Message(
            .jobEvent("men", "beta"),
            .jobEvent(
                JobEvent(
                    job: job, epoch: 2, state: .failed, providerRevision: 4, time: time, started: time, finished: time,
                    progress: 42.5, message: "reading", outputs: outputs, error: problem))),
        Message(
            .providerCatalog("alpha"),
            .catalog(
                Catalog(
                    gateway: "g1", fetched: time, etag: "\"1\"", stale: false,
                    services: [
                        ServiceDescription(
                            id: "harvest", type: "harvest", version: "1.0.0", name: "Harvest", description: "imports",
                            tags: ["csv"], available: true, idempotency: .clientKey, cancel: .cooperative,
                            stoppable: true, resultRetentionSeconds: 3600, safeToRunTwice: true, dataSchemes: ["file"],
                            limits: ServiceLimits(
                                minIntervalSeconds: 1, maxTimeoutSeconds: 60, maxRunning: 2, maxQueued: 9),
                            defaults: ServiceConfig(frequency: Frequency(everySeconds: 60), timeoutSeconds: 60),
                            parametersSchema: ["type": "object"], inputSchema: ["type": "null"], outputSchema: [:])
                    ]))),
        Message(
            .providerHealth("alpha"),
            .health(
                Health(
                    status: .warn, checked: time, latencyMilliseconds: 3, circuit: .halfOpen, gateway: "g1", boot: 1,
                    report: report, error: problem))),
        Message(.query, .request(ClientRequest(id: "q1", client: "cli-1", method: "jobs", params: ["tenant": "men"]))),
        Message(
            .command, .request(ClientRequest(id: "q2", client: "cli-1", method: "apply", params: ["documents": []]))),
        Message(
            .response("cli-1"), .response(ClientResponse(id: "q1", status: 200, result: ["rows": []], error: problem))),
        Message(.event, .event(OperatorEvent(kind: "wm.active", tenant: "men", text: "Work Manager of men is active"))),
    ]
}
