import ArgumentParser
import OMSDev
import OMSModel

/// `oms job give-up JOB`: the verb about one job.
struct JobVerbCommand: AsyncParsableCommand {
    enum Verb: String, ExpressibleByArgument, CaseIterable { case giveUp = "give-up" }

    static let configuration = CommandConfiguration(
        commandName: "job",
        abstract: "Gives up a job that its provider never ends.",
        discussion: """
            give-up ends a job that goes on after its stop, or that nobody can observe, without the provider's word: its run, \
            its service's next tick and a drain that waits for it go on, and its place is free. The gateway stops nothing and \
            asks nothing any more. A job that runs as it should is refused. Saying it twice changes nothing. What the provider \
            says of the job later is shown by 'oms get given-up', and is no second end.
            """)

    @Argument(help: "give-up.")
    var verb: Verb
    @Argument(help: "The job's id, as 'oms why' and 'oms get jobs' show it.")
    var job: String
    @Option(help: "How you know that the job does nothing any more; kept with it.")
    var evidence: String?
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if JobID(job) == nil { throw ValidationError("'\(job)' is no job's id; see 'oms get jobs'") }
        if evidence?.isEmpty ?? true {
            throw ValidationError("give-up needs --evidence: how do you know that the job does nothing any more?")
        }
    }

    func run() async throws {
        let params: JSONObject = ["job": .string(job), "evidence": .string(evidence ?? "")]
        let answer = try await OperatorClient.with(connection.endpoint()) {
            try await $0.command("job.give-up", params)
        }
        let tenant = answer["tenant"]?.stringValue ?? ""
        let provider = answer["provider"]?.stringValue ?? ""
        let name = "job \(job) of tenant/\(tenant) at provider/\(provider)"
        if answer["ended"] == .bool(true) {
            Terminal.print("\(name) is given up")
        } else {
            Terminal.print(
                "\(name): recorded; its gateway has not answered yet and is asked until it does ('oms get given-up')")
        }
    }
}
