import ArgumentParser
import OMSDev
import OMSModel
import OMSProtocol

/// `oms rollout start|abort`: a scenario's change in waves.
struct RolloutCommand: AsyncParsableCommand {
    enum Verb: String, ExpressibleByArgument, CaseIterable { case start, abort }

    static let configuration = CommandConfiguration(
        commandName: "rollout",
        abstract: "Brings a changed scenario to the tenants in waves, and takes it back when their results get worse.",
        discussion: """
            A wave is a share of the tenants that have the scenario in force. After --soak seconds and --min-runs ended runs \
            the next wave follows, if at most --abort-percent of the runs failed; else all tenants go back to the old scenario. \
            When the last wave has kept its results the scenario is applied. 'oms get rollouts' shows how far it is.
            """)

    @Argument(help: "start or abort.")
    var verb: Verb
    @Option(name: [.customShort("f"), .customLong("file")], help: "With start: a file with one Scenario.")
    var file: String?
    @Option(help: "Rising percentages that end with 100.")
    var waves = "10,50,100"
    @Option(help: "Seconds that a wave must show itself.")
    var soak = 300
    @Option(help: "So many percent of failed runs take the change back.")
    var abortPercent = 10
    @Option(help: "So many runs must have ended in a wave before it is judged.")
    var minRuns = 1
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if verb == .start, file == nil { throw ValidationError("start needs -f FILE with the changed scenario") }
        if waves.split(separator: ",").contains(where: { Int($0) == nil }) {
            throw ValidationError("--waves must be percentages such as 10,50,100, not '\(waves)'")
        }
    }

    func run() async throws {
        let endpoint = try connection.endpoint()
        guard verb == .start, let file else {
            _ = try await OperatorClient.with(endpoint) { try await $0.command("rollout.abort", [:]) }
            return print("the roll-out is taken back")
        }
        let documents = try DeclaredDocuments(paths: [file], variables: Executables.environment)
        let params: [String: JSONValue] = [
            "documents": .array(documents.values),
            "waves": .array(waves.split(separator: ",").map { .int(Int64($0) ?? 0) }), "soak_s": .int(Int64(soak)),
            "abort_percent": .int(Int64(abortPercent)), "min_runs": .int(Int64(minRuns)),
        ]
        do {
            let answer = try await OperatorClient.with(endpoint) { try await $0.command("rollout", params) }
            print(
                "rollout \(answer["rollout"]?.stringValue ?? "?") of scenario \(answer["scenario"]?.stringValue ?? "?")"
            )
        } catch let error as RefusedError {
            guard let fields = error.problem.errors, !fields.isEmpty else { throw error }
            throw DevError(documents.sentence(fields))
        }
    }
}
