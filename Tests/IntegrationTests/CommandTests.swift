import Foundation
import Glibc
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime
import Testing

/// The `oms` program as an operator uses it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CommandTests {
    private static let example = #filePath.replacing(
        "Tests/IntegrationTests/CommandTests.swift", with: "examples/open-bandit")

    /// Runs `oms` with a supervisor of its own; returns what it wrote.
    private func oms(_ arguments: [String], environment: [String: String] = [:], deadline: Duration) async throws -> (
        status: ChildExit, output: String
    ) {
        let logs = try DataFolder(nil)
        let loop = EventLoop(name: "oms")
        let supervisor = ProcessSupervisor(loop: loop)
        var spec = ChildSpec(
            name: "oms", executable: try Executables.own("oms"), arguments: arguments, logFile: logs.log("oms"))
        spec.environment.merge(environment) { _, new in new }
        let result: Result<ChildExit, any Error>
        do { result = .success(try await supervisor.run(spec, deadline: deadline)) } catch { result = .failure(error) }
        let output = DataFolder.read(spec.logFile) ?? ""
        await supervisor.stopAll()
        loop.shutdown()
        logs.unlock()
        logs.remove()
        return (try result.get(), output)
    }

    @Test func onceEndsWithTheResultsOfBothTenants() async throws {
        let file = "/tmp/oms-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).json"
        defer { unlink(file) }
        let (status, output) = try await oms(
            ["dev", "--once", "--example", Self.example, "--json", file, "--timeout", "120"], deadline: .seconds(200))
        try #require(status.isSuccess, "\(output)")
        let report = try JSONDecoder().decode(JSONValue.self, from: Data((DataFolder.read(file) ?? "").utf8))
        for tenant in ["men", "women"] {
            let result = report["tenants"]?[tenant]
            #expect(result?["harvested_rows"] == ["random": 10000, "bts": 10000])
            let providers = result?["ranking"]?["providers"]?.arrayValue ?? []
            #expect(providers == ["beta", "gamma"].map { ["provider": .string($0), "outcome": "used"] })
            #expect(result?["ranking"]?["items"]?.arrayValue?.count == 10)
            #expect(result?["comparison"]?["control"]?["n"]?.intValue == 10_000)
        }
    }

    @Test func commandsAnswerInARunningSystem() async throws {
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = Self.example
        try await DevEnvironment.with(options) { environment in
            let variables = [
                "OMS_MQTT_PORT": "\(environment.mqttPort)", "OMS_MQTT_PASSWORD_FILE": environment.passwordFile(.admin),
            ].merging(environment.providerAddresses) { first, _ in first }
            let apply = ["apply", "-f", Self.example + "/oms.yaml"]
            let first = try await oms(apply, environment: variables, deadline: .seconds(30))
            #expect(first.status.isSuccess && first.output.contains("tenant/men created"), "\(first.output)")
            let second = try await oms(apply, environment: variables, deadline: .seconds(30))
            #expect(second.status.isSuccess && second.output.contains("tenant/men unchanged"), "\(second.output)")
            // The tenant is planned and its Work Manager begins a moment later.
            var isActive = false
            for _ in 0..<60 where !isActive {
                let tenants = try await oms(
                    ["get", "tenants", "--tenant", "men", "-o", "json"], environment: variables, deadline: .seconds(30))
                isActive = tenants.output.contains(#""manager_state" : "active""#)
            }
            #expect(isActive)
            for (arguments, expected) in [
                (["status"], "Providers"), (["get", "tenants"], "men"),
                (["get", "providers", "-o", "json"], "\"alpha\""),
                (["get", "jobs"], ""), (["get", "runs"], ""), (["get", "results"], ""),
                (["why", "men/service/recommend"], ""),
                (["next", "men", "--count", "3"], "harvest-random"),
                (["next", "men", "--service", "recommend"], "no service of men is due by itself"),
            ] {
                let answer = try await oms(arguments, environment: variables, deadline: .seconds(30))
                #expect(
                    answer.status.isSuccess && (expected.isEmpty || answer.output.contains(expected)),
                    "\(arguments): \(answer.output)")
            }
            // A run is asked for; while the example's own runs are under way it is refused, and the run is named.
            let wish = try await oms(["run", "men", "harvest-random"], environment: variables, deadline: .seconds(30))
            #expect(
                wish.status.isSuccess
                    ? wish.output.contains("men/harvest-random is running") : wish.output.contains("overlap: run"),
                "\(wish.output)")
            let noService = try await oms(["run", "men", "nope"], environment: variables, deadline: .seconds(30))
            #expect(
                !noService.status.isSuccess && noService.output.contains("no such service is in force"),
                "\(noService.output)")
            let unknown = try await oms(["why", "men/recommend"], environment: variables, deadline: .seconds(30))
            #expect(!unknown.status.isSuccess && unknown.output.contains("is none of TENANT"), "\(unknown.output)")

            // Nobody answers any more.
            await environment.supervisor.stop(DevEnvironment.registryName)
            let silence = try await oms(["status"], environment: variables, deadline: .seconds(30))
            #expect(!silence.status.isSuccess)
            #expect(
                silence.output.contains("no answer from the registry within 5 s; is oms-registry running"),
                "\(silence.output)")
        }
    }

    @Test func aSecondFleetAndANewLifeOfTheFirstAreEachWaitedFor() async throws {
        try await DevEnvironment.with(DevOptions()) { environment in
            try await environment.startAndWait(environment.fleet(name: "fleet-b", id: "fleet-2"), kind: .fleetPresence)
            #expect(await environment.pid(of: "fleet-b") != nil)
            let first = await environment.pid(of: DevEnvironment.fleetName)
            await environment.supervisor.stop(DevEnvironment.fleetName)
            try await environment.startAndWait(environment.fleet(), kind: .fleetPresence)
            #expect(await environment.pid(of: DevEnvironment.fleetName) != first)
        }
    }
}
