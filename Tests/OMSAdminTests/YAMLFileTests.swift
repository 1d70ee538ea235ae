import Foundation
import OMSAdmin
import OMSCore
import OMSDev
import OMSModel
import Testing

@Suite struct YAMLFileTests {
    private func read(_ text: String, _ variables: [String: String] = [:]) throws -> YAMLFile {
        try YAMLFile(text, path: "x.yaml", variables: { variables[$0] })
    }

    private func sentence(_ text: String, _ variables: [String: String] = [:]) -> String {
        do {
            _ = try DeclaredDocuments(files: [read(text, variables)])
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func everyFieldKnowsItsLine() throws {
        let file = try read(
            """
            kind: Provider
            name: alpha
            spec:
              base_url: http://x
            ---
            # the second
            kind: Tenant
            name: men
            spec:
              scenarios:
                - a
                - b
            """)
        #expect(file.documents.count == 2)
        #expect(file.documents[0].line(of: "/spec/base_url") == 4)
        #expect(file.documents[1].line(of: "/spec/scenarios") == 10)
        #expect(file.documents[1].line(of: "/spec/scenarios/1") == 12)
    }

    @Test func aMissingFieldIsReportedWhereItShouldStand() {
        let text = "kind: Provider\nname: alpha\nspec:\n  poll_s: 2\n"
        #expect(sentence(text) == "x.yaml:3: /spec/base_url: is missing")
    }

    @Test func everyMistakeOfAllDocumentsIsNamed() {
        let text = """
            kind: Provider
            name: alpha
            spec: {base_url: "ftp://x"}
            ---
            kind: Provider
            name: beta
            spec:
              base_url: http://x
              pol_s: 3
            """
        let lines = sentence(text).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix("x.yaml:3: /spec/base_url: 'ftp://x'") == true)
        #expect(lines.last == "x.yaml:9: /spec/pol_s: unknown field; did you mean 'poll_s'?")
    }

    @Test func answersOfTheRegistryAreMappedBackToLines() throws {
        let text =
            "kind: Tenant\nname: men\nspec:\n  scenarios: [a]\n---\n"
            + "kind: Tenant\nname: women\nspec:\n  scenarios: [b]\n"
        let documents = try DeclaredDocuments(files: [read(text)])
        let errors = [FieldError(pointer: "/documents/1/spec/scenarios/0", detail: "scenario 'b' is unknown")]
        #expect(documents.sentence(errors) == "x.yaml:9: /spec/scenarios/0: scenario 'b' is unknown")
    }

    @Test func badYAMLIsNamedWithItsLine() {
        #expect(sentence("kind: Provider\nname: [\n").hasPrefix("x.yaml:3: not valid YAML"))
        #expect(
            sentence("kind: Tenant\nname: a\nname: b\nspec: {}\n").contains(
                "x.yaml:3: the key 'name' stands in line 2 already"))
    }

    @Test func typesFollowYAML12() throws {
        let values = try read("{a: no, b: 12:30, c: 1.5, d: \"7\", e: 7, f: true, g: null, h: 1e3, i: 0x1F}").documents[
            0
        ].value
        #expect(values["a"] == "no")
        #expect(values["b"] == "12:30")
        #expect(values["c"] == .double(1.5))
        #expect(values["d"] == "7")
        #expect(values["e"] == .int(7))
        #expect(values["f"] == .bool(true))
        #expect(values["g"] == .null)
        #expect(values["h"] == .double(1000))
        #expect(values["i"] == "0x1F")
    }

    @Test func variablesAreFilledInAndAnUnsetOneIsNamedWithItsLine() throws {
        let value = try read("a: ${X}/y\nb: $${X}\nc: '${X}${X}'\n# ${IGNORED}\n", ["X": "1"]).documents[0].value
        #expect(value == ["a": "1/y", "b": "${X}", "c": "11"])
        #expect(
            sentence("kind: Provider\nname: a\nspec:\n  base_url: ${NOPE}\n").hasPrefix(
                "x.yaml:4: the variable NOPE is not set"))
    }

    @Test func anEmptyFileIsNotApplied() {
        #expect(sentence("# nothing\n---\n").hasPrefix("nothing to apply"))
    }

    @Test func theExampleIsValid() throws {
        let path = #filePath.replacing("Tests/OMSAdminTests/YAMLFileTests.swift", with: "examples/open-bandit/oms.yaml")
        let documents = try DeclaredDocuments(paths: [path]) { _ in "http://127.0.0.1:1" }
        #expect(documents.parsed.count == 7)
    }

    /// What the documentation shows can be applied as it stands.
    @Test(arguments: ["documents.md": 3, "schedules.md": 1, "merging.md": 1, "providers.md": 1])
    func theDocumentationIsValid(page: String, count: Int) throws {
        let path = #filePath.replacing("Tests/OMSAdminTests/YAMLFileTests.swift", with: "docs/operate/" + page)
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        let blocks = text.components(separatedBy: "```yaml\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
        let files = try blocks.map { try YAMLFile($0, path: page) { _ in "x" } }
        let parsed = try DeclaredDocuments(files: files).parsed
        #expect(parsed.count == count)
        // What is kept as JSON, and merged with a tenant's own fields, is read by the same rules.
        for case .scenario(let id, let spec) in parsed {
            let again = DocumentReader.read([
                "kind": "Scenario", "name": .string(id.text), "spec": JSONValue(encoding: spec),
            ])
            #expect(again.errors.isEmpty && again.document == .scenario(id, spec), "\(again.errors)")
        }
    }
}
