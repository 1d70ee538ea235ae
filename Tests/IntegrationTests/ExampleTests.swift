import Foundation
import OMSDev
import OMSModel
import Postgres
import Testing

/// The example as a newcomer runs it, with its figures checked by an independent computation.
@Suite("The example", .serialized, .timeLimit(.minutes(5)))
struct ExampleTests {
    private struct Result: Decodable {
        struct Tenant: Decodable {
            struct Ranking: Decodable {
                struct Provider: Decodable {
                    var provider: String
                    var outcome: String
                }
                struct Item: Decodable {
                    var item: JSONValue
                    var score: Double
                    var ranks: [String: Int]
                }
                var providers: [Provider]
                var items: [Item]
            }
            var harvested_rows: [String: Int]
            var ranking: Ranking
            var comparison: JSONValue
        }
        var tenants: [String: Tenant]
    }

    private struct Independent: Decodable {
        struct Arm: Decodable {
            var rows: Int
            var clicks: Int
        }
        var arms: [String: Arm]
        var p: Double
    }

    @Test("runs once, ends by itself within 90 s, and its figures are right")
    func once() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "oms-result-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let began = Date()
        let finished = try await oms(
            "dev", "--demo", "--example", Place.example, "--once", "--json", file.path, deadline: 120)
        try #require(finished.status == 0, "\(finished.output.suffix(2_000)) \(finished.errors.suffix(2_000))")
        #expect(Date().timeIntervalSince(began) < 90)

        let result = try JSONDecoder().decode(Result.self, from: Data(contentsOf: file))
        let check = try await run(
            "/usr/bin/env", ["python3", Place.root + "/Tests/IntegrationTests/independent.py", Place.example + "/data"])
        try #require(check.status == 0, "\(check.errors)")
        let independent = try JSONDecoder().decode([String: Independent].self, from: Data(check.output.utf8))
        #expect(Set(result.tenants.keys) == ["men", "women"])
        for (name, expected) in independent {
            let tenant = try #require(result.tenants[name])
            #expect(tenant.harvested_rows == expected.arms.mapValues(\.rows), "\(name)")
            let comparison = tenant.comparison
            #expect(comparison["control"]?["clicks"]?.intValue == expected.arms["random"].map { Int64($0.clicks) })
            #expect(comparison["treatment"]?["clicks"]?.intValue == expected.arms["bts"].map { Int64($0.clicks) })
            let p = try #require(comparison["p_value"]?.doubleValue)
            #expect(abs(p - expected.p) < 1e-9, "\(name): \(p) against \(expected.p)")
            #expect(tenant.ranking.providers.map(\.provider).sorted() == ["beta", "gamma"])
            #expect(tenant.ranking.providers.allSatisfy { $0.outcome == "used" })
            #expect(tenant.ranking.items.count == 10)
            for item in tenant.ranking.items {
                let score = item.ranks.values.reduce(0) { $0 + 1 / Double(60 + $1) }
                #expect(abs(item.score - score) < 1e-12, "reciprocal rank fusion of \(item.ranks)")
            }
        }
        // The issue's own figures, in case the data itself should change.
        #expect(independent["men"]?.arms.mapValues(\.clicks) == ["random": 46, "bts": 69])
        #expect(abs((independent["men"]?.p ?? 0) - 0.0315) < 0.0005)
        #expect(independent["women"]?.p == 1)
    }

    @Test("a missing data file fails the harvest with a sentence that names the file, and the exit code says so")
    func missingData() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "oms-example-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.copyItem(atPath: Place.example, toPath: folder.path)
        try FileManager.default.removeItem(at: folder.appending(path: "data/men-bts.csv.gz"))
        let finished = try await oms(
            "dev", "--demo", "--example", folder.path, "--once", "--timeout", "60", deadline: 90)
        #expect(finished.status == 1)
        #expect((finished.output + finished.errors).contains("men-bts.csv.gz"), "\(finished.errors.suffix(1_000))")
    }

    @Test("without PostgreSQL's programs there is one sentence that names the place and the remedy")
    func noPostgres() async throws {
        let finished = try await oms("dev", environment: ["OMS_PG_BIN": "/nowhere"], deadline: 20)
        #expect(finished.status == 1)
        #expect(finished.errors.contains("no executable 'postgres' in /nowhere"), "\(finished.errors)")
        #expect(finished.errors.contains("apt install postgresql-15"))
    }

    @Test("a port that is taken is named")
    func portTaken() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, size) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, pointer, &size) == 0
            }
        }
        try #require(bound)
        let port = UInt16(bigEndian: address.sin_port)
        let finished = try await oms("dev", "--mqtt-port", "\(port)", deadline: 20)
        #expect(finished.status == 1)
        #expect(finished.errors.contains("port \(port) of 127.0.0.1 is taken"), "\(finished.errors)")
        #expect(finished.errors.contains("--mqtt-port"))
    }
}
