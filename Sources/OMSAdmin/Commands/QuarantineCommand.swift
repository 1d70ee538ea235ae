import ArgumentParser
import OMSDev
import OMSModel
import OMSProtocol

/// `oms quarantine list|retry|discard`: facts of which PostgreSQL refused a part.
struct QuarantineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine",
        abstract: "Lists facts of which PostgreSQL refused a part, and puts them back or discards them.",
        discussion: """
            Such a fact is kept whole, and its row has what could be stored. Mend what refused it, and retry; or discard it, \
            and say why. Both are kept, with who decided (report.quarantine).
            """,
        subcommands: [List.self, Retry.self, Discard.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists them, the undecided ones first.")

        @Option(help: "Only of this tenant.")
        var tenant: String?
        @Option(help: "At most so many rows (1 to 500).")
        var limit = 50
        @Option(name: .shortAndLong, help: "table or json.")
        var output = OutputFormat.table
        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            if !(1...500).contains(limit) { throw ValidationError("--limit must be from 1 to 500, not \(limit)") }
        }

        func run() async throws {
            var params: JSONObject = ["limit": .int(Int64(limit))]
            if let tenant { params["tenant"] = .string(tenant) }
            let asked = params
            let found = try await OperatorClient.with(connection.endpoint()) { try await rows($0, "quarantine", asked) }
            if output == .json { return Terminal.print(json: .array(found)) }
            Terminal.print(Table.render(found))
        }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Puts one into its row as it came.")

        @Argument(help: "Its id, as oms quarantine list shows it.")
        var id: Int64
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            let params: JSONObject = ["id": .int(id)]
            _ = try await OperatorClient.with(connection.endpoint()) {
                try await $0.command("quarantine.retry", params)
            }
            Terminal.print("quarantine \(id) is in its row as it came")
        }
    }

    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Settles one that is not needed.")

        @Argument(help: "Its id, as oms quarantine list shows it.")
        var id: Int64
        @Option(help: "Why it is not needed; kept with it.")
        var reason: String
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            let params: JSONObject = ["id": .int(id), "reason": .string(reason)]
            _ = try await OperatorClient.with(connection.endpoint()) {
                try await $0.command("quarantine.discard", params)
            }
            Terminal.print("quarantine \(id) is discarded; its words stay until the history of that time goes")
        }
    }
}
