import Foundation
import HostileProvider
import OMSDev
import OMSModel
import OMSRuntime

/// The system under the soak: several of each service behind links that can fail, providers that keep a log.
struct SoakWorld: Sendable {
    let environment: DevEnvironment
    let proxy: FaultProxy
    let providers: [HostileProvider]

    static let tenants = (1...8).map { "tenant-\($0)" }

    static func options() throws -> DevOptions {
        var options = DevOptions()
        // The servers first: the services find them through the links.
        options.extent = .servers
        (options.registries, options.gateways, options.fleets) = (2, 2, 2)
        options.binaryFolder = try Place.binaries
        options.longestRestartDelay = .seconds(1)
        return options
    }

    /// Everything with everything running.
    static func start(_ environment: DevEnvironment, providers count: Int = 3) async throws -> SoakWorld {
        let proxy = FaultProxy()
        for target in SoakPlan.services {
            var detour = DevEnvironment.Detour(mqtt: try proxy.link(target.rawValue, to: environment.mqttPort))
            if target == .registry1 || target == .registry2 {
                detour.postgres = try proxy.link(SoakPlan.databaseLink(target), to: environment.postgresPort)
            }
            environment.lead(target.rawValue, over: detour)
        }
        try await environment.startServices()
        let providers = try (0..<count).map { _ in try HostileProvider() }
        return SoakWorld(environment: environment, proxy: proxy, providers: providers)
    }

    func stop() { for provider in providers { provider.stop() } }

    // MARK: - What runs

    /// - Parameter isOver: no service fires any more, what is open goes on.
    func documents(isOver: Bool) -> String {
        var text = ""
        for (index, provider) in providers.enumerated() {
            text += """
                kind: Provider
                name: sp-\(index + 1)
                spec: {base_url: "\(provider.url)", poll_s: 1, max_running: 20}
                ---

                """
        }
        func service(_ name: String, every: Int, _ milliseconds: Int, _ action: String, _ providers: String) -> String {
            "    \(name): {type: count, frequency: {every_s: \(isOver ? 864_000 : every)}, timeout_s: 20, "
                + "deadline_s: 60, on_replace: \(action), parameters: {duration_ms: \(milliseconds)}, "
                + "providers: {use: one, only: [\(providers)]}}\n"
        }
        func after(_ name: String, _ upstream: String, _ action: String, _ providers: String) -> String {
            "    \(name): {type: count, after: [\(upstream)], timeout_s: 20, deadline_s: 60, on_replace: \(action), "
                + "parameters: {duration_ms: 200}, providers: {use: one, only: [\(providers)]}}\n"
        }
        text += "kind: Scenario\nname: early\nspec:\n  services:\n"
        text += service("stopped", every: 3, 900, "stop", "sp-1")
        text += service("adopted", every: 4, 2_500, "adopt", "sp-2")
        text += service("awaited", every: 5, 3_000, "wait", "sp-3, sp-1")
        text += after("chained", "stopped, adopted", "stop", "sp-3")
        text += "---\nkind: Scenario\nname: late\nspec:\n  services:\n"
        text += service("awaited", every: 3, 400, "wait", "sp-2")
        text += service("adopted", every: 5, 1_500, "adopt", "sp-3, sp-2")
        text += service("stopped", every: 2, 250, "stop", "sp-1")
        text += after("chained", "awaited", "adopt", "sp-1")
        for (index, tenant) in Self.tenants.enumerated() {
            let scenario = index % 2 == 0 ? "early" : "late"
            // Some are moved by force within the length of a pause, some wait.
            let patience = index % 3 == 0 ? 30 : 5
            text += """
                ---
                kind: Tenant
                name: \(tenant)
                spec: {scenarios: [\(scenario)], replace_after_s: \(patience)}

                """
        }
        return text
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

    func tell(_ arguments: [String]) async throws -> Finished {
        try await run(
            Place.binaries + "/oms", arguments, environment: environment.operatorVariables, deadline: 30)
    }

    func apply(isOver: Bool) async throws {
        let file = environment.folder.file("soak-\(isOver ? "over" : "begin").yaml")
        try documents(isOver: isOver).write(toFile: file, atomically: true, encoding: .utf8)
        try await insist(["apply", "-f", file])
    }
}
