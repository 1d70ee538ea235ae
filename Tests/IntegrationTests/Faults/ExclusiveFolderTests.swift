import Foundation
import OMSDev
import OMSProtocol
import Testing

/// A folder that belongs to one process: the second one says so and ends, whatever the first one is doing.
@Suite("Exclusive folders", .serialized, .timeLimit(.minutes(2)))
struct ExclusiveFolderTests {
    @Test("two fleets on one --state-dir, two gateways on one --ledger-dir: the second refuses")
    func second() async throws {
        var options = DevOptions()
        options.binaryFolder = try Place.binaries
        try await DevEnvironment.with(options) { environment in
            for (name, option, spec) in [
                (DevEnvironment.fleetName, "--state-dir", try environment.fleet()),
                (DevEnvironment.gatewayName, "--ledger-dir", try environment.gateway()),
            ] {
                let first = await environment.pid(of: name)
                try await expectRefusal(spec, option)
                #expect(await environment.kill(name, SIGSTOP))
                try await expectRefusal(spec, option)
                #expect(await environment.kill(name, SIGCONT))
                #expect(await environment.pid(of: name) == first, "the first one was disturbed")

                // Freed by death, also by kill -9: then another process may have it.
                await environment.supervisor.setRestart(.never, of: name)
                #expect(await environment.kill(name, SIGKILL))
                _ = await environment.supervisor.waitForExit(name, deadline: .seconds(10))
                try await environment.startAndWait(
                    spec, kind: name == DevEnvironment.fleetName ? .fleetPresence : .gatewayPresence)
            }
        }
    }

    private func expectRefusal(_ spec: ChildSpec, _ option: String) async throws {
        let refused = try await run(spec.executable, spec.arguments, deadline: 20)
        #expect(refused.status == 1)
        let lines = refused.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(refused.errors)")
        #expect(
            refused.errors.contains(option)
                && refused.errors.contains("in use by another process; stop that one, or give this one its own folder"),
            "\(refused.errors)")
    }
}
