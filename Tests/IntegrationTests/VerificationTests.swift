import Foundation
import OMSDev
import OMSModel
import Postgres
import Testing

/// The conformance kit against a registered provider, its report kept by the registry.
@Suite("Verification", .serialized, .timeLimit(.minutes(3)))
struct VerificationTests {
    @Test("a passed run is recorded with its evidence, one for an unknown provider is refused")
    func recorded() async throws {
        var options = DevOptions()
        options.extent = .demo
        options.exampleFolder = Place.example
        options.binaryFolder = try Place.binaries
        try await DevEnvironment.with(options) { environment in
            let variables = environment.operatorVariables
            let applied = try await oms("apply", "-f", Place.example + "/oms.yaml", environment: variables)
            try #require(applied.status == 0, "\(applied.errors)")
            let url = try #require(environment.providerAddresses["ALPHA_URL"])
            let config = Place.root + "/examples/verify/reference-sp.yaml"
            let verified = try await oms(
                "sp", "verify", url, "--service", "harvest", "--config", config, "--record", "alpha",
                environment: variables, deadline: 120)
            #expect(verified.status == 0, "\(verified.output.suffix(3_000)) \(verified.errors)")
            let database = try await Database.open(environment.postgresConfiguration())
            let rows = try await database.connection.query(
                """
                SELECT passed, failed_rules, jsonb_array_length(report->'rules') AS rules FROM report.verification
                WHERE provider = 'alpha'
                """
            ).rows
            #expect(rows.count == 1)
            #expect(rows.first?.bool("passed") == true)
            #expect(rows.first?.int("failed_rules") == 0)
            #expect((rows.first?.int("rules") ?? 0) > 40)
            await database.close()
        }
    }
}
