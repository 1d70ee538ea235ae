import ArgumentParser
import OMSDev

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Declares providers, scenarios and tenants from YAML files.",
        discussion: """
            All documents of all files are applied together or not at all; applying them again changes nothing. \
            ${NAME} in a text is replaced by the environment variable NAME.
            """)

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: "A YAML file with documents (kind, name, spec). Repeatable.")
    var files: [String]

    @Flag(help: "Only check the files; nothing is sent.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let documents = try DeclaredDocuments(paths: files, variables: Executables.environment)
        if dryRun {
            print("\(documents.values.count) documents are valid; nothing was sent")
            return
        }
        for document in try await documents.apply(over: connection.endpoint()) {
            print("\(document.kind.lowercased())/\(document.name) \(document.change)")
        }
    }
}
