import Foundation
import OMSCore
import OMSModel
import Testing

@testable import OMSAdmin

@Suite("The documents' JSON Schema")
struct DocumentSchemaTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test("the committed file is what the code makes")
    func committed() throws {
        let file = try String(contentsOf: Self.root.appending(path: "docs/reference/oms.schema.json"), encoding: .utf8)
        #expect(
            file == JSONText.render(DocumentSchema.value) + "\n",
            "docs/reference/oms.schema.json is out of date: run 'oms contract schema > docs/reference/oms.schema.json'")
    }

    /// The readers complain of an unknown field with the list of those that they know.
    private func known(_ document: JSONValue, at pointer: String) -> Set<String> {
        let errors = DocumentReader.read(document).errors
        guard let text = errors.first(where: { $0.pointer == pointer + "/zzzzzzzzzzzz" })?.detail,
            let list = text.split(separator: "known here: ").last
        else { return [] }
        return Set(list.split(separator: ", ").map(String.init))
    }

    private func fields(_ schema: JSONValue) -> Set<String> {
        Set(schema["properties"]?.objectValue?.keys.map { $0 } ?? [])
    }

    private func document(_ kind: JSONValue, _ spec: JSONValue) -> JSONValue {
        ["kind": kind, "name": "x", "spec": spec]
    }

    private func service(_ more: JSONValue) -> JSONValue {
        document("Scenario", ["services": ["x": more]])
    }

    @Test("has exactly the fields that the readers know, at every level")
    func complete() {
        let odd: JSONValue = ["zzzzzzzzzzzz": 1]
        #expect(known(document("Provider", odd), at: "/spec") == fields(DocumentSchema.provider))
        #expect(known(document("Tenant", odd), at: "/spec") == fields(DocumentSchema.tenant))
        #expect(known(document("Scenario", odd), at: "/spec") == fields(DocumentSchema.scenario))
        #expect(known(service(odd), at: "/spec/services/x") == fields(DocumentSchema.service))
        for (field, schema) in [
            ("frequency", DocumentSchema.frequency), ("providers", DocumentSchema.policy),
            ("merge", DocumentSchema.merge), ("timeouts", DocumentSchema.timeouts),
        ] {
            #expect(
                known(service(.object([field: odd])), at: "/spec/services/x/\(field)") == fields(schema), "\(field)")
        }
    }

    @Test("every document of the example fits it")
    func example() throws {
        let documents = try DeclaredDocuments(
            paths: [Self.root.appending(path: "examples/open-bandit/oms.yaml").path], variables: { _ in "http://x" })
        #expect(documents.values.count == 7)
        for value in documents.values {
            let kind = value["kind"]?.stringValue
            let schema =
                kind == "Provider"
                ? DocumentSchema.provider : kind == "Tenant" ? DocumentSchema.tenant : DocumentSchema.scenario
            #expect(SchemaCheck.errors(value["spec"] ?? .null, schema) == [])
        }
    }
}
