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
        func every(_ seconds: Int) -> String { "frequency: {\(isOver ? "on_demand: true" : "every_s: \(seconds)")}" }
        var text = Documents.providers(providers)
        text += Documents.scenario(
            "early",
            [
                Documents.service("stopped", every(3), 900, "stop", "sp-1"),
                Documents.service("adopted", every(4), 2_500, "adopt", "sp-2"),
                Documents.service("awaited", every(5), 3_000, "wait", "sp-3, sp-1"),
                Documents.service("chained", "after: [stopped, adopted]", 200, "stop", "sp-3"),
            ])
        text += Documents.scenario(
            "late",
            [
                Documents.service("awaited", every(3), 400, "wait", "sp-2"),
                Documents.service("adopted", every(5), 1_500, "adopt", "sp-3, sp-2"),
                Documents.service("stopped", every(2), 250, "stop", "sp-1"),
                Documents.service("chained", "after: [awaited]", 200, "adopt", "sp-1"),
            ])
        for (index, tenant) in Self.tenants.enumerated() {
            // Some are moved by force within the length of a pause, some wait.
            text += Documents.tenant(tenant, index % 2 == 0 ? "early" : "late", replaceAfter: index % 3 == 0 ? 30 : 5)
        }
        return text
    }

    func apply(isOver: Bool) async throws { try await environment.apply(documents(isOver: isOver)) }
}
