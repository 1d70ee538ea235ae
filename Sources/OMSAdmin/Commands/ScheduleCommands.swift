import ArgumentParser
import FoundationEssentials
import OMSCore
import OMSDev
import OMSModel
import OMSProtocol

struct NextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "Previews when a tenant's services are due, changes of the clock (DST) marked.",
        discussion: """
            Computed from the configuration in force. Services with 'after' have no times of their own; what a tick \
            does while the run before has not ended is the service's 'overlap'.
            """)

    @Argument var tenant: String

    @Option(help: "Only of this service.")
    var service: String?

    @Option(help: "So many ticks.")
    var count = 20

    @Option(help: "From this time on (RFC 3339); default now.")
    var from: String?

    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if !(1...1_000).contains(count) { throw ValidationError("--count must be from 1 to 1000, not \(count)") }
        if let from, Timestamp(from) == nil {
            throw ValidationError("--from '\(from)' is no time; write for example 2026-03-29T00:00:00Z")
        }
    }

    func run() async throws {
        guard let tenantID = TenantID(tenant) else { throw DevError("'\(tenant)' is no tenant's name; \(nameRule)") }
        let params: JSONObject = ["tenant": .string(tenant), "limit": 1]
        let found = try await OperatorClient.with(connection.endpoint()) { client in
            try await client.query("configs", params)["rows"]?[0]
        }
        guard let value = found?["config"], value != .null else {
            throw DevError("\(tenant) has no configuration in force; 'oms why \(tenant)' says why")
        }
        let config = try JSON.decode(WorkManagerConfig.self, from: value)
        if let service, !config.services.contains(where: { $0.id.text == service }) {
            let known = config.services.map(\.id.text).joined(separator: ", ")
            throw DevError("\(tenant) has no service '\(service)'; it has \(known)")
        }
        let start =
            from.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let rows = try Preview.rows(
            config, of: tenantID, only: service.flatMap { ServiceID($0) }, after: start, count: count)
        if output == .json { return Terminal.print(json: .array(rows)) }
        Terminal.print(rows.isEmpty ? "no service of \(tenant) is due by itself" : Table.render(rows))
    }
}

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a tenant's service now, besides its schedule.",
        discussion: "Refused while a run of the service has not ended; that run is named.")

    @Argument var tenant: String
    @Argument var service: String
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        let params: JSONObject = [
            "tenant": .string(tenant), "service": .string(service), "due": .string(now.description),
        ]
        _ = try await OperatorClient.with(connection.endpoint()) { try await $0.command("run", params) }
        Terminal.print(
            "\(tenant)/\(service) is running; 'oms get runs --tenant \(tenant) --service \(service)' shows it")
    }
}
