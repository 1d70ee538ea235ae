import ArgumentParser
import OMSDev
import OMSModel
import OMSProtocol
import OMSRuntime

enum OutputFormat: String, ExpressibleByArgument, CaseIterable { case table, json }

/// The rows of one query. What the registry says of all its answers, such as that the database takes nothing now and the
/// rows may be old, goes to the error output.
func rows(_ client: OperatorClient, _ method: String, _ params: JSONObject) async throws -> [JSONValue] {
    let answer = try await client.query(method, params)
    if let notice = answer["notice"]?.stringValue {
        Notices.say("what follows may be old: \(notice)")
    }
    return answer["rows"]?.arrayValue ?? []
}

/// Each once in a command, however many questions it asks.
enum Notices {
    private static let said = Locked(Set<String>())

    static func say(_ text: String) {
        guard said.withLock({ $0.insert(text).inserted }) else { return }
        Terminal.printError("oms: \(text)")
    }

    static var isEmpty: Bool { said.withLock { $0.isEmpty } }
}

struct GetCommand: AsyncParsableCommand {
    enum Subject: String, ExpressibleByArgument, CaseIterable {
        case providers, tenants, jobs, runs, results, why, ticks, epochs, operations, receipts, quarantined, quarantine,
            nodes,
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
        let found = try await OperatorClient.with(connection.endpoint()) { client in
            let found = try await rows(client, "why", filter)
            guard found.isEmpty, let tenant = filter["tenant"] else { return found }
            // A misspelt name must not look like a tenant that is well.
            let known = try await rows(client, "tenants", ["tenant": tenant, "limit": 1])
            guard !known.isEmpty || !Notices.isEmpty else {
                throw DevError("no tenant '\(tenant.stringValue ?? "")' is known; see 'oms get tenants'")
            }
            return found
        }
        if output == .json { return Terminal.print(json: .array(found)) }
        // With a notice something does wait, and the notice says what.
        if !found.isEmpty {
            Terminal.print(Table.render(found))
        } else if Notices.isEmpty {
            Terminal.print("nothing waits")
        }
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
