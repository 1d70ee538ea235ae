import ArgumentParser
import FoundationEssentials
import Glibc
import OMSDev
import OMSModel
import OMSProtocol

/// `oms plan -f`: what a change would do, for whom, and at what price.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Shows what applying the files would do: tenants changed while they run, Work Managers replaced, "
            + "operations stopped. Changes nothing.")

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: "A YAML file, or a folder of them. Repeatable.")
    var files: [String]

    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let documents = try DeclaredDocuments(paths: files, variables: Executables.environment)
        let preview = try await documents.preview(over: connection.endpoint())
        if output == .json { return Terminal.print(json: preview.value) }
        Terminal.print(preview.text)
    }
}

/// `oms rollback KIND NAME`: an earlier version of a document becomes the newest one.
struct RollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Applies an earlier version of a document again, as a new version.",
        discussion: "'oms get history' lists the versions. Without --to it is the one before the present one.")

    @Argument(help: "Provider, Scenario or Tenant.")
    var kind: String
    @Argument var name: String
    @Option(help: "The version to go back to.")
    var to: Int?
    @Flag(help: "Do it without asking, also if Work Managers are replaced.")
    var yes = false
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let endpoint = try connection.endpoint()
        let params: JSONObject = ["kind": .string(kind), "name": .string(name), "limit": 500]
        let versions = try await OperatorClient.with(endpoint) {
            try await $0.query("history", params)["rows"]?.arrayValue ?? []
        }
        let numbers = versions.compactMap { $0["version"]?.intValue }
        guard let newest = numbers.max() else { throw DevError("there is no \(kind) '\(name)'; see 'oms get history'") }
        let wanted = to.map(Int64.init) ?? newest - 1
        guard let row = versions.first(where: { $0["version"]?.intValue == wanted }), let spec = row["spec"] else {
            throw DevError(
                "\(kind)/\(name) has no version \(wanted); it has \(numbers.sorted().map(String.init).joined(separator: ", "))"
            )
        }
        let document: JSONValue = ["kind": .string(kind), "name": .string(name), "spec": spec]
        try await ChangeRequest(values: [document], yes: yes).run(endpoint) { errors in
            errors.map { TerminalText(line: "\($0.pointer): \($0.detail)").text }.joined(separator: "\n")
        }
    }
}

/// `oms explain TENANT`: every effective value and its origin.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract:
            "Shows every value that holds for a tenant's services, and where it comes from: default, scenario, tenant.")

    @Argument var tenant: String
    @Option(help: "Of this scenario; default: the one in force.")
    var scenario: String?
    @Option(help: "Only of this service.")
    var service: String?
    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        var params: JSONObject = ["tenant": .string(tenant)]
        if let scenario { params["scenario"] = .string(scenario) }
        let asked = params
        var rows = try await OperatorClient.with(connection.endpoint()) {
            try await $0.query("explain", asked)["rows"]?.arrayValue ?? []
        }
        if let service { rows.removeAll { $0["service"]?.stringValue != service } }
        if output == .json { return Terminal.print(json: .array(rows)) }
        Terminal.print(Table.render(rows))
    }
}

/// A change with its preview, its confirmation and its optimistic versions.
struct ChangeRequest {
    var values: [JSONValue]
    var yes: Bool

    func run(_ endpoint: BusEndpoint, _ sentence: ([FieldError]) -> String) async throws {
        let preview = try await Self.preview(values, endpoint, sentence)
        if preview.isDestructive, !yes { try Self.confirm(preview) }
        for document in try await apply(endpoint, preview.versions, sentence) {
            let kind = document["kind"]?.stringValue?.lowercased() ?? "?"
            let name = document["name"]?.stringValue ?? "?"
            Terminal.print("\(kind)/\(name) \(document["change"]?.stringValue ?? "?")")
        }
    }

    static func preview(
        _ values: [JSONValue], _ endpoint: BusEndpoint, _ sentence: ([FieldError]) -> String
    ) async throws -> ChangePreview {
        do {
            return ChangePreview(
                value: try await OperatorClient.with(endpoint) {
                    try await $0.query("plan", ["documents": .array(values)])
                })
        } catch let error as RefusedError {
            guard let fields = error.problem.errors, !fields.isEmpty else { throw error }
            throw DevError(sentence(fields))
        }
    }

    private func apply(
        _ endpoint: BusEndpoint, _ versions: JSONValue, _ sentence: ([FieldError]) -> String
    ) async throws -> [JSONValue] {
        do {
            let result = try await OperatorClient.with(endpoint) {
                try await $0.command("apply", ["documents": .array(values), "expected": versions])
            }
            return result["documents"]?.arrayValue ?? []
        } catch let error as RefusedError {
            guard let fields = error.problem.errors, !fields.isEmpty else { throw error }
            throw DevError(sentence(fields))
        }
    }

    private static func confirm(_ preview: ChangePreview) throws {
        Terminal.print(preview.text)
        guard isatty(STDIN_FILENO) == 1 else {
            throw DevError(
                "this ends running Work Managers; look at it with 'oms plan', and say --yes if that is meant")
        }
        Terminal.print(unended: "Apply? [y/N] ")
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw DevError("nothing was changed")
        }
    }
}

/// The registry's answer to `plan`.
struct ChangePreview: Sendable {
    var value: JSONValue

    var isDestructive: Bool { value["destructive"]?.boolValue ?? false }
    var versions: JSONValue { value["versions"] ?? [:] }

    var text: TerminalText {
        let counts = value["counts"]?.objectValue ?? [:]
        let words = [
            ("hot", "changed while running"), ("replace", "replaced"), ("start", "started"), ("stop", "ended"),
            ("unsatisfied", "without a scenario that can be satisfied"),
        ].compactMap { key, word in counts[key]?.intValue.map { "\($0) \(word)" } }
        let unchanged = value["unchanged"]?.intValue ?? 0
        let stopped = value["stopped_operations"]?.intValue ?? 0
        let summary: TerminalText = """
            Tenants: \((words + ["\(unchanged) unchanged"]).joined(separator: ", ")). \
            Running operations that would be stopped: \(stopped).
            """
        let rows = value["tenants"]?.arrayValue ?? []
        return rows.isEmpty ? summary : "\(Table.render(rows))\n\(summary)"
    }
}

extension DeclaredDocuments {
    func preview(over endpoint: BusEndpoint) async throws -> ChangePreview {
        try await ChangeRequest.preview(values, endpoint, sentence)
    }
}
