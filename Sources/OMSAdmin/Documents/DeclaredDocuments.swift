import FoundationEssentials
import OMSCore
package import OMSDev
package import OMSModel

/// What `oms apply` sends: the documents of some files, checked here as the registry will check them again.
package struct DeclaredDocuments: Sendable {
    package var files: [YAMLFile]

    /// - Throws: `DevError` with one line `file:line: /field: what is wrong` per mistake.
    package init(paths: [String], variables: @escaping (String) -> String?) throws {
        files = try paths.flatMap(Self.expand).map { try YAMLFile(contentsOf: $0, variables: variables) }
        try check()
    }

    package init(files: [YAMLFile]) throws {
        self.files = files
        try check()
    }

    /// A folder stands for the YAML files in it, in the order of their names.
    private static func expand(_ path: String) throws -> [String] {
        var isFolder: Bool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder else { return [path] }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
            .filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") }.sorted()
        if names.isEmpty { throw DevError("the folder \(path) holds no .yaml file") }
        return names.map { path + "/" + $0 }
    }

    private func check() throws {
        if all.isEmpty {
            throw DevError(
                "nothing to apply: \(files.map(\.path).joined(separator: ", ")) holds no document (kind, name, spec)")
        }
        let errors = all.enumerated().flatMap { index, entry in
            DocumentReader.read(entry.document.value).errors.map {
                FieldError(pointer: "/documents/\(index)\($0.pointer)", detail: $0.detail)
            }
        }
        if !errors.isEmpty { throw DevError(sentence(errors)) }
        let entries = all
        let together = DocumentSet.errors(parsed) { index in
            guard entries.indices.contains(index) else { return "?" }
            let (file, document) = entries[index]
            return "\(file.path):\(document.line(of: "/name"))"
        }
        if !together.isEmpty { throw DevError(sentence(together)) }
        // What the registry will judge with all that it knows, as far as these files tell.
        var sizes = DeclaredSizes.errors(of: values)
        if sizes.isEmpty { sizes = DeclaredSizes.errors(of: parsed, DeclaredSizes.Surroundings()) }
        if !sizes.isEmpty { throw DevError(sentence(sizes)) }
    }

    private var all: [(file: YAMLFile, document: YAMLFile.Document)] {
        files.flatMap { file in file.documents.map { (file, $0) } }
    }

    package var values: [JSONValue] { all.map(\.document.value) }
    package var parsed: [OMSModel.Document] { all.compactMap { DocumentReader.read($0.document.value).document } }

    /// - Parameter errors: With pointers that begin at the request, `/documents/3/spec/base_url`.
    package func sentence(_ errors: [FieldError]) -> String {
        let lines = errors.map { error -> (String, Int, String) in
            let parts = error.pointer.split(separator: "/", maxSplits: 2)
            guard parts.count >= 2, parts[0] == "documents", let index = Int(parts[1]), all.indices.contains(index)
            else {
                return (files.first?.path ?? "", 0, "\(error.pointer): \(error.detail)")
            }
            let pointer = parts.count > 2 ? "/" + parts[2] : ""
            let (file, document) = all[index]
            return (file.path, document.line(of: pointer), "\(pointer.isEmpty ? "/" : pointer): \(error.detail)")
        }
        return lines.map { TerminalText(line: "\($0.0):\($0.1): \($0.2)").text }.joined(separator: "\n")
    }

    /// The registry applies everything or nothing, in however many messages it comes.
    package func apply(over endpoint: BusEndpoint) async throws -> [Applied] {
        do {
            let result = try await OperatorClient.with(endpoint) {
                try await $0.command("apply", ["documents": .array(values)])
            }
            return (result["documents"]?.arrayValue ?? []).map { row in
                Applied(
                    kind: row["kind"]?.stringValue ?? "?", name: row["name"]?.stringValue ?? "?",
                    change: row["change"]?.stringValue ?? "?")
            }
        } catch let error as RefusedError {
            guard let fields = error.problem.errors, !fields.isEmpty else { throw error }
            throw DevError(sentence(fields))
        }
    }

    package struct Applied: Sendable {
        package var kind: String
        package var name: String
        package var change: String
    }
}
