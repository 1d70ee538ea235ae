import ArgumentParser
import OMSDev
import OMSModel
import OMSProtocol

/// `oms rollout start|abort|promote`: a scenario's change in waves.
struct RolloutCommand: AsyncParsableCommand {
    enum Verb: String, ExpressibleByArgument, CaseIterable { case start, abort, promote }

    static let configuration = CommandConfiguration(
        commandName: "rollout",
        abstract: "Brings a changed scenario to the tenants in waves, and takes it back when their results get worse.",
        discussion: """
            A wave is a share of the tenants that have the scenario in force. After --soak seconds and --min-runs ended runs \
            the next wave follows, if at most --abort-percent of the runs failed, over all and of each service; else all tenants \
            go back to the old scenario. When the last wave has kept its results the scenario is applied. 'oms get rollouts' \
            shows how far it is and what it waits for; 'abort' takes it back, 'promote' begins the next wave at once.
            """)

    @Argument(help: "start, abort or promote.")
    var verb: Verb
    @Option(name: [.customShort("f"), .customLong("file")], help: "With start: a file with one Scenario.")
    var file: String?
    @Option(help: "Rising percentages that end with 100.")
    var waves = "10,50,100"
    @Option(help: "Seconds that a wave must show itself.")
    var soak = 300
    @Option(help: "So many percent of failed runs take the change back.")
    var abortPercent = 10
    @Option(
        help: "So many runs must have ended in a wave before it is judged, and so many of a service before that one is."
    )
    var minRuns = 1
    @Option(help: "Seconds after which a wave that has not shown enough is taken back.")
    var deadline = 86_400
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
            let answer = try await OperatorClient.with(endpoint) {
                try await $0.command("rollout.\(verb.rawValue)", [:])
            }
            switch answer["phase"]?.stringValue {
            case "aborted": return Terminal.print("the roll-out is taken back")
            case "done": return Terminal.print("the change is what the scenario is now")
            default: return Terminal.print("wave \(answer["wave"]?.intValue ?? 0) has begun")
            }
        }
        let documents = try DeclaredDocuments(paths: [file], variables: Executables.environment)
        let params: JSONObject = [
            "documents": .array(documents.values),
            "waves": .array(waves.split(separator: ",").map { .int(Int64($0) ?? 0) }), "soak_s": .int(Int64(soak)),
            "abort_percent": .int(Int64(abortPercent)), "min_runs": .int(Int64(minRuns)),
            "deadline_s": .int(Int64(deadline)),
        ]
        do {
            let answer = try await OperatorClient.with(endpoint) { try await $0.command("rollout", params) }
            Terminal.print(
                "rollout \(answer["rollout"]?.stringValue ?? "?") of scenario \(answer["scenario"]?.stringValue ?? "?")"
            )
        } catch let error as RefusedError {
            guard let fields = error.problem.errors, !fields.isEmpty else { throw error }
            throw DevError(documents.sentence(fields))
        }
    }
}
