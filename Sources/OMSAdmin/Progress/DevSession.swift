import FoundationEssentials
import Glibc
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime

/// What `oms dev` does once everything is up: declares the example, shows what happens, and with `--once` waits for the
/// results.
struct DevSession: Sendable {
    let console: Console
    let documents: DeclaredDocuments?
    let exampleFile: String
    let once: Duration?
    let json: String?
    let childChanges: AsyncStream<Void>

    func run(_ environment: DevEnvironment) async throws {
        for line in DevText.introduction(environment) { console.line(line) }
        let bus = try await BusConnection.open(environment.bus(.monitor), kinds: Board.kinds, persistent: true)
        var collector: ChainCollector?
        if documents != nil {
            let addresses = environment.providerAddresses
            let declared = try DeclaredDocuments(paths: [exampleFile]) { addresses[$0] ?? Executables.environment($0) }
            for document in try await declared.apply(over: environment.bus(.admin)) {
                console.line("\(document.kind.lowercased())/\(document.name) \(document.change)")
            }
            collector = ChainCollector(declared.parsed)
        }
        console.line("ready")
        let initial = once == nil ? nil : collector
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in childChanges { try await environment.describe("ready") }
            }
            group.addTask { try await follow(bus, until: initial) }
            try await group.next()
            group.cancelAll()
        }
        await bus.close()
        try Task.checkCancellation()
    }

    /// Returns when the collector is complete; without one when the task is cancelled.
    private func follow(_ bus: BusConnection, until initial: ChainCollector?) async throws {
        let state = Locked((board: Board(), collector: initial))
        let isDone = try await Deadline.run(once ?? .seconds(365 * 86_400)) { () -> Bool in
            for await event in bus.events {
                // What has come already would be shown first, and that may be more than can be shown.
                if Task.isCancelled { return false }
                let lines = state.withLock { Self.take(event, &$0.board, &$0.collector) }
                for line in lines { console.line(line) }
                console.show { state.withLock { $0.board.block() } }
                guard let collector = state.withLock({ $0.collector }) else { continue }
                if let failure = collector.failure { throw DevError(Self.sentence(failure).text) }
                if collector.isComplete { return true }
            }
            return false
        }
        try Task.checkCancellation()
        let (board, collector) = state.withLock { $0 }
        guard let collector else { return }
        console.endBlock()
        guard isDone == true else { throw DevError(Self.sentence(collector, board, once ?? .zero).text) }
        if let json {
            do {
                try Data((JSONText.render(OnceReport.json(collector)) + "\n").utf8).write(
                    to: URL(filePath: DataFolder.absolute(json)))
            } catch {
                throw DevError(
                    "cannot write \(json): \(String(cString: strerror(errno))); choose another file with --json")
            }
        }
        console.line(
            "every service of \(collector.expected.keys.sorted().map(\.text).joined(separator: ", ")) has a result")
    }

    private static func take(
        _ event: BusConnection.Event, _ board: inout Board, _ collector: inout ChainCollector?
    ) -> [TerminalText] {
        switch event {
        case .message(let message, _):
            if case .serviceResult(let tenant, _) = message.topic, case .result(let result) = message.payload {
                collector?.take(tenant, result)
            }
            return board.take(message)
        case .lost(let reason): return ["the connection to the broker is lost: \(reason)"]
        case .unreadable(let topic, let reason): return ["unreadable message on \(topic): \(reason)"]
        case .refused(let topic, let code): return ["the broker refused \(topic) (\(code))"]
        case .connected: return []
        }
    }

    private static func sentence(_ failure: (tenant: TenantID, result: ServiceResult)) -> TerminalText {
        let causes = failure.result.providers.compactMap { contribution in
            contribution.error.map { "\(contribution.provider): \($0.detail ?? $0.title ?? $0.type)" }
        }
        let cause = causes.isEmpty ? "no provider delivered by the deadline" : causes.joined(separator: "; ")
        return "\(failure.tenant)/\(failure.result.service) failed: \(cause)"
    }

    private static func sentence(_ collector: ChainCollector, _ board: Board, _ timeout: Duration) -> TerminalText {
        var lines: [TerminalText] = ["not every service has a result after \(timeout.components.seconds) s:"]
        for tenant in collector.expected.keys.sorted() where collector.chain(of: tenant) == nil {
            let missing = collector.missing(of: tenant)
            for service in missing { lines.append("  \(tenant)/\(service): \(board.excuse(tenant, service))") }
            if missing.isEmpty { lines.append("  \(tenant): its results are not of one chain yet") }
        }
        for provider in board.unhealthyProviders { lines.append("  provider \(provider)") }
        return lines.joined(separator: "\n")
    }
}
