import ArgumentParser
import OMSDev
import OMSModel
import OMSProtocol

enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case table, json }

/// The rows of one query.
private func rows(_ client: OperatorClient, _ method: String, _ params: JSONObject) async throws -> [JSONValue] {
    try await client.query(method, params)["rows"]?.arrayValue ?? []
}

struct GetCommand: AsyncParsableCommand {
    enum Subject: String, ExpressibleByArgument, CaseIterable {
        case providers, tenants, jobs, runs, results, why, ticks, epochs, operations, receipts, quarantined, nodes,
            catalogs, verifications, history, rollouts
        case givenUp = "given-up"
    }

    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Lists what the registry knows: tenants, jobs, operations, receipts and more.")

    @Argument(help: "What to list.")
    var subject: Subject

    @Option(help: "Only of this tenant.")
    var tenant: String?

    @Option(help: "Only of this service.")
    var service: String?

    @Option(help: "At most so many rows.")
    var limit = 50

    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if !(1...1_000).contains(limit) { throw ValidationError("--limit must be from 1 to 1000, not \(limit)") }
    }

    func run() async throws {
        var params: JSONObject = ["limit": .int(Int64(limit))]
        if let tenant { params["tenant"] = .string(tenant) }
        if let service { params["service"] = .string(service) }
        let found = try await OperatorClient.with(connection.endpoint()) {
            try await rows($0, subject.rawValue, params)
        }
        if output == .json { return Terminal.print(json: .array(found)) }
        Terminal.print(Table.render(found))
    }
}

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows the tenants, the providers, and what does not run and why.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let endpoint = try connection.endpoint()
        let text = try await OperatorClient.with(endpoint) { client in
            var parts: [TerminalText] = []
            for (title, method) in [("Tenants", "tenants"), ("Providers", "providers"), ("Waiting", "why")] {
                parts.append("\(title)\n\(Table.render(try await rows(client, method, ["limit": 100])))")
            }
            return parts.joined(separator: "\n\n")
        }
        Terminal.print(text)
    }
}

struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Says why something does not run, since when, and what would unblock it.",
        discussion: "Of all, of one tenant, or of TENANT/service/NAME (its ticks too) or TENANT/job/ID.")

    @Argument(help: "TENANT, TENANT/service/NAME or TENANT/job/ID.")
    var subject: String?

    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        var params: JSONObject = ["limit": 100]
        if let subject {
            let parts = subject.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            switch parts.count {
            case 1: break
            case 3 where parts[1] == "service": params["service"] = .string(parts[2])
            case 3 where parts[1] == "job": params["service"] = .string("job/\(parts[2])")
            default: throw DevError("'\(subject)' is none of TENANT, TENANT/service/NAME, TENANT/job/ID")
            }
            guard TenantID(parts[0]) != nil else { throw DevError("'\(parts[0])' is no tenant's name; \(nameRule)") }
            params["tenant"] = .string(parts[0])
        }
        let filter = params
        let found = try await OperatorClient.with(connection.endpoint()) { try await rows($0, "why", filter) }
        if output == .json { return Terminal.print(json: .array(found)) }
        Terminal.print(found.isEmpty ? "nothing waits" : Table.render(found))
    }
}

struct ResultCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "result", abstract: "Shows the latest merged result of a tenant's service.")

    @Argument var tenant: String
    @Argument var service: String
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        guard let tenantID = TenantID(tenant) else { throw DevError("'\(tenant)' is no tenant's name; \(nameRule)") }
        guard let serviceID = ServiceID(service) else {
            throw DevError("'\(service)' is no service's name; \(nameRule)")
        }
        let bus = try await BusConnection.open(
            connection.endpoint(), kinds: [], topics: [.serviceResult(tenantID, serviceID)])
        // Retained, so it is there at once or not at all.
        let result = try await Deadline.run(.seconds(2)) { () -> ServiceResult? in
            for await case .message(let message, _) in bus.events {
                if case .result(let result) = message.payload { return result }
            }
            return nil
        }
        await bus.close()
        guard let result = result ?? nil else {
            throw DevError("\(tenant)/\(service) has no result yet; 'oms why \(tenant)/service/\(service)' may say why")
        }
        Terminal.print(ResultText.render(result))
    }
}
