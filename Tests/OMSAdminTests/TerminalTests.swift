import Foundation
import OMSModel
import OMSProtocol
import Testing

@testable import OMSAdmin

/// What a provider says on its way to an operator's terminal.
@Suite("Terminals")
struct TerminalTests {
    private static let hostile = "\u{1B}]0;x\u{07}\u{1B}[2J\r\nlevel=error msg=forged\u{202E}\u{9B}1m"

    private func expectHarmless(_ text: TerminalText, _ lines: Int, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(
            text.text.unicodeScalars.allSatisfy { $0 == "\n" || TerminalText.isHarmless($0) },
            sourceLocation: sourceLocation)
        #expect(text.lines.count == lines, sourceLocation: sourceLocation)
        #expect(text.text.contains("forged"), "it was not shown at all", sourceLocation: sourceLocation)
    }

    @Test("a table's cells, names of columns and nested values")
    func table() {
        let rows: [JSONValue] = [
            ["text": .string(Self.hostile), "id": 1], .object([Self.hostile: 2]),
            ["nested": ["a": .string(Self.hostile)]],
        ]
        expectHarmless(Table.render(rows), 4)
    }

    @Test("a cell of a megabyte is cut")
    func longCell() {
        let text = Table.render([["text": .string(String(repeating: "x", count: 1 << 20))]])
        #expect(text.lines.last?.columns == 300 && text.text.hasSuffix("..."))
    }

    @Test("a result: outputs, their names, errors of providers, records")
    func result() {
        let time = Timestamp(milliseconds: 0)
        var result = ServiceResult(
            run: RunID(time: time, of: "r"), service: "s", type: "t", state: .partial, due: time, finished: time,
            strategy: .concat, providers: [],
            outputs: ["list": ["value": [["a": .string(Self.hostile)]]]])
        result.outputs[Self.hostile] = ["value": .string(Self.hostile)]
        result.providers = [
            ProviderContribution(
                provider: "alpha", outcome: .failed, error: Problem(.providerMalformed, Self.hostile))
        ]
        expectHarmless(ResultText.render(result), 6)
    }

    @Test("what happens, one line each, and the picture of how things stand, whatever number the progress is")
    func board() {
        var board = Board()
        let health = Health(
            status: .fail, checked: Timestamp(milliseconds: 0), circuit: .open, gateway: "g1", boot: 1,
            error: Problem(.providerMalformed, Self.hostile))
        for line in board.take(Message(.providerHealth("alpha"), .health(health))) { expectHarmless(line, 1) }
        for text in board.unhealthyProviders { expectHarmless(text, 1) }
        let event = OperatorEvent(kind: "tenant.changed", tenant: "men", text: Self.hostile)
        for line in board.take(Message(.event, .event(event))) { expectHarmless(line, 1) }
        expectHarmless(board.excuse("men", "s"), 1)
        let job = JobID(time: Timestamp(milliseconds: 0), of: "j")
        for progress in [1e300, -1e300, .nan, .infinity, 55.5] {
            let active = ActiveOperation(
                service: "s", run: RunID(time: Timestamp(milliseconds: 0), of: "r"), job: job, provider: "alpha",
                state: .running, ageSeconds: 1, progress: progress)
            let status = WMStatus(
                beat: 1, epoch: 1, fleet: "f", boot: 1, state: .active, generation: 1, seq: 1, uptimeSeconds: 1,
                jobs: ["running": 1], active: [active], waiting: [])
            _ = board.take(Message(.wmStatus("men"), .wmStatus(status)))
            #expect(board.block().count > 1)
        }
    }

    @Test("JSON for programs: escaped, and the same value")
    func json() throws {
        let value: JSONValue = [Self.hostile: .string(Self.hostile + "é\u{E0041}\u{200D}日")]
        for pretty in [true, false] {
            let text = JSONText.render(value, pretty: pretty)
            #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || TerminalText.isHarmless($0) })
            #expect(text.contains(#"\u202e\u009b1m"#) && text.contains("é") && text.contains(#"\udb40\udc41"#))
            let again = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String]
            #expect(again == [Self.hostile: Self.hostile + "é\u{E0041}\u{200D}日"])
        }
    }

    @Test("the registry's refusals, and errors with lines of files")
    func errors() throws {
        let refused = RefusedError(problem: Problem(.badRequest, Self.hostile))
        expectHarmless(TerminalText(lines: "\(refused)"), 1)
        let documents = try DeclaredDocuments(
            files: [YAMLFile("kind: Tenant\nname: x\nspec: {scenarios: [a]}\n", path: "x.yaml") { _ in nil }])
        let sentence = documents.sentence([
            FieldError(pointer: "/documents/0/spec", detail: Self.hostile),
            FieldError(pointer: Self.hostile, detail: "b"),
        ])
        expectHarmless(TerminalText(lines: sentence), 2)
    }

    @Test("there is no other way to a terminal in the command's sources")
    func onlyWay() throws {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources")
        var found: [String] = []
        var files = 0
        for module in ["OMSAdmin", "oms", "OMSDev", "ProviderVerifier"] {
            let folder = sources.appending(path: module)
            for case let file as String in FileManager.default.enumerator(atPath: folder.path) ?? .init()
            where file.hasSuffix(".swift") && file != "Client/Terminal.swift" {
                files += 1
                let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
                for line in text.split(separator: "\n") {
                    let isWay =
                        line.firstMatch(of: /(^|[^.\w])(print|debugPrint|dump|fputs|puts|printf)\(/) != nil
                        || ["standardOutput", "standardError", "STDOUT_FILENO, ", "STDERR_FILENO, "].contains {
                            line.contains($0)
                        }
                    if isWay, !line.contains("ioctl(") { found.append("\(module)/\(file): \(line)") }
                }
            }
        }
        #expect(files > 40)
        #expect(found == [])
    }
}
