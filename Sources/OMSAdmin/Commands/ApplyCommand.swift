import ArgumentParser
import OMSDev
import OMSModel

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Declares providers, scenarios and tenants from YAML files.",
        discussion: """
            All documents of all files are applied together or not at all; applying them again changes nothing. \
            ${NAME} in a text is replaced by the environment variable NAME. A change that would replace or end running Work \
            Managers is shown first and asks; without a terminal it needs --yes. If a document was changed by somebody else \
            since it was looked at, nothing is changed.
            """)

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: "A YAML file with documents (kind, name, spec), or a folder of them. Repeatable.")
    var files: [String]

    @Flag(help: "Only check the files; nothing is sent.")
    var dryRun = false

    @Flag(help: "Do it without asking, also if Work Managers are replaced or ended.")
    var yes = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let documents = try DeclaredDocuments(paths: files, variables: Executables.environment)
        if dryRun {
            Terminal.print("\(documents.values.count) documents are valid; nothing was sent")
            return
        }
        try await ChangeRequest(values: documents.values, yes: yes).run(connection.endpoint(), documents.sentence)
    }
}
