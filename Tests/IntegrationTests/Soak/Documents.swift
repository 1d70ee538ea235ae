import Foundation
import HostileProvider
import OMSDev
import OMSRuntime

/// YAML for tests with scripted providers.
enum Documents {
    static func providers(_ providers: [HostileProvider], maxRunning: Int = 20) -> String {
        providers.enumerated().map { index, provider in
            "kind: Provider\nname: sp-\(index + 1)\n"
                + "spec: {base_url: \"\(provider.url)\", poll_s: 1, max_running: \(maxRunning)}\n---\n"
        }.joined()
    }

    /// - Parameter when: `frequency: {...}` or `after: [...]`.
    static func service(
        _ name: String, _ when: String, _ milliseconds: Int, _ action: String, _ providers: String
    ) -> String {
        "    \(name): {type: count, \(when), timeout_s: \(milliseconds / 1000 + 20), deadline_s: \(milliseconds / 1000 + 60), "
            + "on_replace: \(action), parameters: {duration_ms: \(milliseconds)}, "
            + "providers: {use: one, only: [\(providers)]}}\n"
    }

    static func scenario(_ name: String, _ services: [String]) -> String {
        "kind: Scenario\nname: \(name)\nspec:\n  services:\n" + services.joined() + "---\n"
    }

    static func tenant(_ name: String, _ scenario: String, replaceAfter: Int = 30) -> String {
        "kind: Tenant\nname: \(name)\nspec: {scenarios: [\(scenario)], replace_after_s: \(replaceAfter)}\n---\n"
    }
}

/// What an operator does.
extension DevEnvironment {
    func tell(_ arguments: [String]) async throws -> Finished {
        try await run(Place.binaries + "/oms", arguments, environment: operatorVariables, deadline: 30)
    }

    /// Tells the registry, again and again until it has heard: the operator too has to do with the faults.
    func insist(_ arguments: [String], seconds: Int = 60) async throws {
        let deadline = MonotonicClock.milliseconds + Int64(seconds) * 1000
        var words = ""
        while MonotonicClock.milliseconds < deadline {
            let finished = try await tell(arguments)
            if finished.status == 0 { return }
            words = finished.errors
        }
        throw DevError("'oms \(arguments.joined(separator: " "))' did not work within \(seconds) s: \(words)")
    }

    func apply(_ documents: String) async throws {
        let file = folder.file("documents-\(UInt32.random(in: 0 ... .max)).yaml")
        try documents.write(toFile: file, atomically: true, encoding: .utf8)
        try await insist(["apply", "-f", file])
    }
}

/// Services and scripted providers without faults in between: for tests that make one of their own.
struct SmallWorld: Sendable {
    let environment: DevEnvironment
    let providers: [HostileProvider]
    let database: Database

    static func with(
        fleets: Int = 1, gateways: Int = 1, registries: Int = 1, providers count: Int = 1,
        _ change: (inout DevOptions) -> Void = { _ in },
        beforeServices prepare: ((DevEnvironment) throws -> Void)? = nil, _ body: (SmallWorld) async throws -> Void
    ) async throws {
        var options = DevOptions()
        (options.fleets, options.gateways, options.registries) = (fleets, gateways, registries)
        options.binaryFolder = try Place.binaries
        options.longestRestartDelay = .milliseconds(500)
        change(&options)
        if prepare != nil { options.extent = .servers }
        let providers = try (0..<count).map { _ in try HostileProvider() }
        defer { for provider in providers { provider.stop() } }
        try await DevEnvironment.with(options) { environment in
            if let prepare {
                try prepare(environment)
                try await environment.startServices()
            }
            let database = try await Database.open(environment.postgresConfiguration())
            try await SoakChecker.guardHistory(database)
            try await body(SmallWorld(environment: environment, providers: providers, database: database))
            await database.close()
        }
    }

    /// Lets everything end and compares all logs.
    /// - Parameter documents: the same with no service that fires any more.
    func checkStory(
        after documents: String, _ database: Database? = nil, forgotten: [String]? = nil
    ) async throws -> [(String, Int)] {
        try await environment.apply(documents)
        let database = database ?? self.database
        try await database.wait(until: SoakChecker.isSettled, seconds: 120)
        var checker = SoakChecker(database, providers)
        checker.forgotten = forgotten
        try await checker.check()
        for violation in checker.violations.prefix(20) { print("  - \(violation)") }
        if let first = checker.violations.first {
            throw DevError("\(checker.violations.count) violations, the first: \(first)")
        }
        return checker.counts
    }

    /// A tenant's services that fire now and then, in every way of being replaced.
    static func flow(_ tenants: [String], _ world: SmallWorld, replaceAfter: Int = 30, isOver: Bool = false) -> String {
        func every(_ seconds: Int) -> String { "frequency: {\(isOver ? "on_demand: true" : "every_s: \(seconds)")}" }
        let all = (1...world.providers.count).map { "sp-\($0)" }
        return Documents.providers(world.providers)
            + Documents.scenario(
                "flow",
                [
                    Documents.service("stopped", every(1), 300, "stop", all[0]),
                    Documents.service("adopted", every(2), 1_200, "adopt", all[all.count - 1]),
                    Documents.service("awaited", every(3), 800, "wait", all[0]),
                    Documents.service("chained", "after: [stopped, awaited]", 100, "stop", all[all.count - 1]),
                ]) + tenants.map { Documents.tenant($0, "flow", replaceAfter: replaceAfter) }.joined()
    }

    static let succeeding = "SELECT count(*) FROM report.job WHERE state = 'succeeded'"
}
