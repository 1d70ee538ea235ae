import Foundation
import HostileProvider
import OMSModel
import OMSRuntime
import ProviderVerifier
import Testing

/// The `oms` program against providers that are processes of their own.
@Suite("oms sp verify against real providers", .serialized)
struct RealProviderTests {
    static let jobs = """
        data_source: {uri: "file:///men-items.csv"}
        output_source: {uri: "sqlite:///verify.db"}
        parameters: {table: items}
        ---
        data_source: {uri: "file:///men-random.csv.gz"}
        output_source: {uri: "sqlite:///verify.db"}
        parameters: {table: log, pace_ms: 1000}
        """

    private func verify(_ arguments: [String]) throws -> (status: Int32, output: String) {
        try Program(Program.path("oms"), ["sp", "verify"] + arguments).finish()
    }

    private func referenceProvider(_ scratch: Scratch, port: Int = 0) throws -> (Program, Int) {
        let token = try scratch.write("token", "sesame\n")
        let program = try Program(
            Program.path("reference-sp"),
            [
                "--port", "\(port)", "--name", "alpha", "--token-file", token, "--data-root",
                Program.repository.appending(path: "examples/open-bandit/data").path, "--store-root", scratch.url.path,
                "--state", scratch.url.appending(path: "state.db").path,
            ])
        return (program, try program.port())
    }

    @Test("reference-sp conforms: every rule is probed, also over a sudden death")
    func reference() throws {
        let scratch = try Scratch()
        let (program, port) = try referenceProvider(scratch)
        let config = try scratch.write("jobs.yaml", Self.jobs)
        let pid = try scratch.write("pid", "\(program.process.processIdentifier)")
        let data = Program.repository.appending(path: "examples/open-bandit/data").path
        // kill -9, then the same provider again; the new one is ended by its number at the end of the test.
        let restart = """
            kill -9 $(cat \(pid)); \(try Program.path("reference-sp").path) --port \(port) --name alpha \
            --token-file \(scratch.url.path)/token --data-root \(data) --store-root \(scratch.url.path) \
            --state \(scratch.url.path)/state.db >/dev/null 2>&1 & echo $! > \(pid)
            """
        defer {
            let text = (try? String(contentsOfFile: pid, encoding: .utf8)) ?? ""
            if let process = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) { kill(process, SIGKILL) }
        }
        let (status, output) = try verify([
            "http://127.0.0.1:\(port)", "--service", "harvest", "--config", config, "--token-file",
            scratch.url.path + "/token", "--restart-command", restart, "--json",
        ])
        let report = try JSONDecoder().decode(JSONValue.self, from: Data(output.utf8))
        let rules = try #require(report["rules"]?.arrayValue)
        let bad = rules.filter { $0["outcome"] != "pass" && $0["id"] != "R-SUBMIT-8" }
        #expect(bad.isEmpty && status == 0, "\(bad)")
        #expect(report["verdict"] == "pass")
        #expect(report["capabilities"]?["fencing"] == true && report["capabilities"]?["tombstones"] == true)
    }

    @Test("the example of the guide conforms, as its README says")
    func example() throws {
        let scratch = try Scratch()
        let script = Program.repository.appending(path: "docs/reference/sp-interface/example_sp.py").path
        let free = try HostileProvider()
        let port = free.port
        free.stop()
        let program = try Program(
            URL(filePath: "/usr/bin/env"),
            ["python3", "-u", script, "--port", "\(port)", "--state", scratch.url.appending(path: "s.db").path])
        defer { program.process.terminate() }
        // It says nothing when it serves: asked until it answers, for ten seconds at most.
        let deadline = MonotonicClock.milliseconds + 10_000
        var result = try verify(["http://127.0.0.1:\(port)"])
        while result.status == 2, MonotonicClock.milliseconds < deadline {
            result = try verify(["http://127.0.0.1:\(port)"])
        }
        #expect(result.status == 0, "\(result.output)")
        let failed = result.output.split(separator: "\n").filter { $0.hasPrefix("FAIL") }
        #expect(failed.isEmpty, "\(result.output)")
    }

    @Test("exit status and text of a provider that breaks a rule; of none at all; of wrong options")
    func program() throws {
        let liar = try HostileProvider(lies: [.acceptsConflict])
        let (status, output) = try verify([liar.url])
        #expect(status == 1)
        let lines = output.split(separator: "\n").map(String.init)
        let index = try #require(lines.firstIndex { $0.hasPrefix("FAIL    R-SUBMIT-3") })
        #expect(lines[index].contains("section 2.2"))
        #expect(lines[index + 1].contains("another request with the same id gave 200"))
        #expect(lines[index + 2].contains("POST /jobs/ -> 200: {"))
        liar.stop()
        #expect(try verify([liar.url]).status == 2)
        #expect(try verify([liar.url, "--config", "/nonexistent"]).status == 2)
        #expect(try verify(["ftp://x"]).status == 64)
    }

    @Test("the guide names every rule that is probed")
    func guide() throws {
        let readme = try String(
            contentsOf: Program.repository.appending(path: "docs/reference/sp-interface/README.md"), encoding: .utf8)
        for rule in VerifyRule.all {
            #expect(readme.contains("**\(rule.id)**"), "\(rule.id) is not in docs/reference/sp-interface/README.md")
        }
        #expect(Set(VerifyRule.all.map(\.id)).count == VerifyRule.all.count)
        #expect(VerifyRule.markdown().split(separator: "\n").count == VerifyRule.all.count + 2)
    }
}
