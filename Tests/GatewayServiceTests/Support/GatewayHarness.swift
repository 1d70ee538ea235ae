import Curl
import Foundation
import Logging
import OMSBus
import OMSCore
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

@testable import GatewayService

/// The gateway as it runs in service (core, shell, HTTP pool), with this object in place of the broker.
final class GatewayHarness: Sendable {
    /// Everything that the gateway told the world.
    struct Seen: Sendable {
        var events: [JobID: [JobEvent]] = [:]
        var health: [ProviderID: [Health]] = [:]
        var catalogs: [ProviderID: [Catalog]] = [:]
        var illegal: [String] = []
        /// When the terminal event of a job came, in milliseconds of the monotonic clock.
        var endedAt: [JobID: Int64] = [:]

        func state(_ job: JobID) -> JobState? { events[job]?.last?.state }
        func terminal(_ job: JobID) -> [JobEvent] { events[job]?.filter { $0.state.isTerminal } ?? [] }
    }

    private struct State {
        var seen = Seen()
        /// Each looks at every change and says whether it is done.
        var waiters: [Int: @Sendable (Seen?) -> Bool] = [:]
        var lastWaiter = 0
    }

    let loop = EventLoop(name: "gateway-test")
    let shell: GatewayShell
    private let state = Locked(State())
    private let credentials: String?

    /// Times short enough for tests, in the proportions of the real ones.
    static let quick: GatewayTiming = {
        var timing = GatewayTiming()
        timing.callMilliseconds = 400
        timing.statusCallMilliseconds = 300
        timing.probeMilliseconds = 200
        timing.servicesMilliseconds = 500
        timing.quietMilliseconds = 1_500
        timing.absenceMilliseconds = 100
        timing.backoffBaseMilliseconds = 30
        timing.backoffCapMilliseconds = 300
        return timing
    }()

    init(
        timing: GatewayTiming = quick, credentials: String? = nil,
        limits change: (inout HTTPPoolConfiguration) -> Void = { _ in }
    ) {
        var limits = GatewayCommand.poolLimits
        limits.addressPolicy = AddressPolicy(allowedPrivate: [CIDR("127.0.0.0/8")].compactMap { $0 })
        change(&limits)
        let core = Gateway(
            id: "g1", boot: 1, release: "test", seed: 1, timing: timing, at: ServiceHost.now)
        let state = state
        self.credentials = credentials
        shell = GatewayShell(
            loop: loop, core: core, pool: HTTPPool(limits), credentials: CredentialStore(directory: credentials),
            ledger: nil, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { effect in Self.note(effect, state) }
    }

    func stop() async {
        await shell.stop()
        loop.shutdown()
    }

    // MARK: Commands, as the registry and a Work Manager would send them

    func attach(_ provider: ProviderID, _ url: String, maxRunning: Int = 8, credential: String? = nil) async {
        var spec = ProviderSpec(baseURL: url, maxRunning: maxRunning)
        spec.credential = credential
        spec.pollSeconds = 1
        await shell.feed(
            .received(
                Message(
                    .gatewayControl("g1"),
                    .gatewayControl(
                        GatewayControl(id: "a", command: .attach, provider: provider, spec: spec, version: 1)))))
    }

    func submit(
        _ job: JobID, at provider: ProviderID = "sp", tenant: TenantID = "acme", duration: Int = 20,
        deadlineSeconds: Double = 60, runID: String = "r"
    ) async {
        let request = JobRequest(
            id: job, service: "count", tenant: tenant,
            config: ServiceConfig(parameters: ["duration_ms": .int(Int64(duration))]),
            deadline: ServiceHost.now.wall.advanced(byMilliseconds: Int64(deadlineSeconds * 1000)),
            labels: ["run_id": runID])
        await command(.submit, job, request, at: provider, tenant)
    }

    func stop(_ job: JobID, at provider: ProviderID = "sp", tenant: TenantID = "acme") async {
        await command(.stop, job, nil, at: provider, tenant)
    }

    private func command(
        _ command: JobCommand.Command, _ job: JobID, _ request: JobRequest?, at provider: ProviderID, _ tenant: TenantID
    ) async {
        let epoch = WMEpoch(epoch: 1, fleet: "f", generation: 1, since: ServiceHost.now.wall)
        await shell.feed(.received(Message(.wmEpoch(tenant), .wmEpoch(epoch))))
        await shell.feed(
            .received(
                Message(
                    .jobCommand(tenant, provider),
                    .jobCommand(JobCommand(id: "c", command: command, epoch: 1, job: job, request: request)))))
    }

    // MARK: Watching

    var seen: Seen { state.withLock { $0.seen } }

    private static func note(_ effect: Gateway.Effect, _ state: Locked<State>) {
        state.withLock { state in
            switch effect {
            case .publish(let message):
                switch (message.topic, message.payload) {
                case (_, .jobEvent(let event)):
                    state.seen.events[event.job, default: []].append(event)
                    if event.state.isTerminal, state.seen.endedAt[event.job] == nil {
                        state.seen.endedAt[event.job] = MonotonicClock.milliseconds
                    }
                case (.providerHealth(let provider), .health(let health)):
                    state.seen.health[provider, default: []].append(health)
                case (.providerCatalog(let provider), .catalog(let catalog)):
                    state.seen.catalogs[provider, default: []].append(catalog)
                default: break
                }
            case .report(.illegal(_, _, let what)): state.seen.illegal.append(what)
            default: break
            }
            for (id, waiter) in state.waiters where waiter(state.seen) { state.waiters[id] = nil }
        }
    }

    struct Late: Error, CustomStringConvertible {
        var description: String
    }

    /// Waits until `find` finds something in what was seen.
    func wait<Found: Sendable>(
        _ what: String, seconds: Double = 15, _ find: @escaping @Sendable (Seen) -> Found?
    ) async throws -> Found {
        let found: Found? = await withCheckedContinuation { continuation in
            let id = state.withLock { state -> Int? in
                if let found = find(state.seen) {
                    continuation.resume(returning: found)
                    return nil
                }
                state.lastWaiter += 1
                state.waiters[state.lastWaiter] = { seen in
                    guard let seen else {
                        continuation.resume(returning: nil)
                        return true
                    }
                    guard let found = find(seen) else { return false }
                    continuation.resume(returning: found)
                    return true
                }
                return state.lastWaiter
            }
            guard let id else { return }
            loop.post { [loop, state] in
                loop.schedule(after: .milliseconds(Int64(seconds * 1000))) {
                    state.withLock { if let waiter = $0.waiters.removeValue(forKey: id) { _ = waiter(nil) } }
                }
            }
        }
        guard let found else { throw Late(description: "\(what) did not come within \(seconds) s; \(summary)") }
        return found
    }

    func end(of job: JobID, seconds: Double = 15) async throws -> JobEvent {
        try await wait("the end of \(job)", seconds: seconds) { $0.terminal(job).first }
    }

    private var summary: String {
        let seen = seen
        return "events: \(seen.events.mapValues { $0.map(\.state.rawValue) }), "
            + "health: \(seen.health.mapValues { $0.last.map { "\($0.status) \($0.error?.detail ?? "")" } ?? "" })"
    }
}

private let counter = Locked(0)

func newJob() -> JobID {
    let number = counter.withLock { count -> Int in
        count += 1
        return count
    }
    return JobID(time: ServiceHost.now.wall, of: "gateway-test", "\(number)")
}
