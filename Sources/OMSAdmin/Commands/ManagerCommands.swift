import ArgumentParser
import Foundation
import OMSDev
import OMSModel
import OMSProtocol

/// Whether and how long a command waits for what it began.
struct WaitOptions: ParsableArguments {
    @Flag(help: "Wait until the operation has ended.")
    var wait = false
    @Option(
        help: ArgumentHelp(
            "With --wait: for how long, such as 90s, 5m or 1h; then exit code 3, and the operation goes on.",
            discussion: "By default as long as the Work Manager may take, and three minutes for what follows."))
    var timeout: TimeSpan?

    func validate() throws {
        if timeout != nil, !wait { throw ValidationError("--timeout says how long --wait waits; give both") }
    }
}

/// `oms replace`: ends a tenant's Work Manager and starts the next epoch.
struct ReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace",
        abstract: "Replaces a tenant's Work Manager: drain, seal, start of the next epoch.",
        discussion: """
            Running jobs are stopped, adopted or waited for as each service says (on_replace). With --wait it returns when \
            the new Work Manager is active, exit code 0, when the operation was aborted, exit code 1, or after the \
            --timeout, exit code 3: the operation goes on.
            """)

    @Argument var tenant: String
    @Option(help: "Why; kept with the operation.")
    var reason: String?
    @Option(help: "Seconds that the Work Manager may take to end its jobs (default 120).")
    var deadline: Int?
    @OptionGroup var waiting: WaitOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await ManagerOperations.run(
            "replace", tenant, reason: reason, deadline: deadline, waiting, connection.endpoint())
    }
}

struct OffboardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "offboard",
        abstract: "Ends a tenant's Work Manager and removes the tenant; its history and the receipt stay.")

    @Argument var tenant: String
    @Option(help: "Why; kept with the operation.")
    var reason: String?
    @Option(help: "Seconds that the Work Manager may take to end its jobs (default 120).")
    var deadline: Int?
    @OptionGroup var waiting: WaitOptions
    @Flag(help: "Do it: without this nothing is changed.")
    var yes = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        guard yes else {
            throw DevError("offboard ends all work of tenant \(tenant) for good; say --yes if that is meant")
        }
        try await ManagerOperations.run(
            "offboard", tenant, reason: reason, deadline: deadline, waiting, connection.endpoint())
    }
}

struct SuspendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend", abstract: "Ends a tenant's Work Manager, or one service's schedule, until `oms resume`."
    )

    @Argument(help: "TENANT, or TENANT/service/NAME.")
    var tenant: String
    @OptionGroup var connection: ConnectionOptions

    func run() async throws { try await ManagerOperations.suspend("suspend", tenant, connection.endpoint()) }
}

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Takes back what `oms suspend` did.")

    @Argument(help: "TENANT, or TENANT/service/NAME.")
    var tenant: String
    @OptionGroup var connection: ConnectionOptions

    func run() async throws { try await ManagerOperations.suspend("resume", tenant, connection.endpoint()) }
}

/// `oms operation abort|retry|force`: the verbs about what is under way.
struct OperationCommand: AsyncParsableCommand {
    enum Verb: String, ExpressibleByArgument, CaseIterable { case abort, retry, force }

    static let configuration = CommandConfiguration(
        commandName: "operation",
        abstract: "Aborts, retries or forces the operation under way on a tenant's Work Manager.",
        discussion: """
            abort takes a drain back (jobs that were stopped stay stopped). retry begins the present step again and gives \
            a drain its time anew. force vouches for the end of a process that cannot be proven (proof: strict).
            """)

    @Argument(help: "abort, retry or force.")
    var verb: Verb
    @Argument var tenant: String
    @Option(help: "With retry: seconds that the drain may take.")
    var deadline: Int?
    @Option(help: "With force: how you know that the Work Manager's process has ended; kept with the operation.")
    var evidence: String?
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if verb == .force, evidence?.isEmpty ?? true {
            throw ValidationError("force needs --evidence: how do you know that the process has ended?")
        }
    }

    func run() async throws {
        var more: JSONObject = [:]
        if let deadline { more["deadline_s"] = .int(Int64(deadline)) }
        if let evidence { more["evidence"] = .string(evidence) }
        try await ManagerOperations.tell("operation.\(verb.rawValue)", tenant, more, connection.endpoint())
    }
}

/// `oms fleet drain|undrain FLEET`.
struct FleetDrainCommand: AsyncParsableCommand {
    enum Verb: String, ExpressibleByArgument, CaseIterable { case drain, undrain }

    static let configuration = CommandConfiguration(
        commandName: "fleet", abstract: "Moves all tenants off a fleet, or lets it take tenants again.")

    @Argument(help: "drain or undrain.")
    var verb: Verb
    @Argument var fleet: String
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let params: JSONObject = ["fleet": .string(fleet)]
        _ = try await OperatorClient.with(connection.endpoint()) {
            try await $0.command("fleet.\(verb.rawValue)", params)
        }
        let what = verb == .drain ? "is being emptied; 'oms get operations' shows how far" : "takes tenants"
        Terminal.print("fleet/\(fleet) \(what)")
    }
}

enum ManagerOperations {
    /// - Parameter subject: `TENANT` or `TENANT/service/NAME`.
    static func suspend(_ method: String, _ subject: String, _ endpoint: BusEndpoint) async throws {
        let parts = subject.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        case 1: try await tell(method, subject, [:], endpoint)
        case 3 where parts[1] == "service": try await tell(method, parts[0], ["service": .string(parts[2])], endpoint)
        default: throw DevError("'\(subject)' is neither TENANT nor TENANT/service/NAME")
        }
    }

    static func tell(
        _ method: String, _ tenant: String, _ more: JSONObject, _ endpoint: BusEndpoint
    ) async throws {
        guard TenantID(tenant) != nil else { throw DevError("'\(tenant)' is no tenant's name; \(nameRule)") }
        let params = more.merging(["tenant": .string(tenant)]) { $1 }
        let answer = try await OperatorClient.with(endpoint) { try await $0.command(method, params) }
        Terminal.print(text(answer) ?? "tenant/\(tenant) \(method)")
    }

    static func run(
        _ method: String, _ tenant: String, reason: String?, deadline: Int?, _ waiting: WaitOptions,
        _ endpoint: BusEndpoint
    ) async throws {
        var more: JSONObject = [:]
        if let reason { more["reason"] = .string(reason) }
        if let deadline { more["deadline_s"] = .int(Int64(deadline)) }
        guard waiting.wait else { return try await tell(method, tenant, more, endpoint) }
        let began = ContinuousClock.now
        // Listen first: the end may come soon.
        let bus = try await BusConnection.open(endpoint, kinds: [.event])
        try await tell(method, tenant, more, endpoint)
        // The end is told once, at QoS 0: it may be lost, and `proof: strict` may wait for an operator.
        let limit = waiting.timeout?.duration ?? .seconds((deadline ?? 120) + waitBeyondDeadlineSeconds)
        let end = try await Deadline.run(max(.zero, limit - (ContinuousClock.now - began))) { () -> String? in
            for await case .message(let message, _) in bus.events {
                guard case .event(let event) = message.payload, event.tenant?.text == tenant else { continue }
                Terminal.print(TerminalText(line: event.text))
                if ends.contains(event.kind) { return event.kind }
            }
            return nil
        }
        await bus.close()
        switch end {
        case "operation.aborted"??: throw ExitCode.failure
        case .some(.some): return
        case .some(nil):
            throw DevError("the connection to the broker was lost; 'oms get operations' shows how far it is")
        case nil:
            Terminal.printError(
                """
                oms \(method): not ended within \(waiting.timeout?.description ?? "\(limit)"); it goes on: \
                'oms get operations' and 'oms why' show how far it is
                """)
            throw timedOut
        }
    }

    private static let ends: Set<String> = ["operation.done", "operation.aborted", "tenant.removed"]
    /// Not the 1 of what failed: nothing has.
    private static let timedOut = ExitCode(3)
    /// Seal, sweep and start follow the drain; each has a limit of its own.
    private static let waitBeyondDeadlineSeconds = 180

    private static func text(_ answer: JSONValue) -> TerminalText? {
        guard let id = answer["operation"]?.stringValue, let phase = answer["phase"]?.stringValue,
            let kind = answer["kind"]?.stringValue
        else { return nil }
        return "operation \(id): \(kind), \(phase)"
    }
}
