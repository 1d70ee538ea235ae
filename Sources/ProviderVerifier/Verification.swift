import OMSModel
import OMSRuntime

/// One run of the conformance kit: sends probes, remembers what they showed of each rule.
package actor Verification {
    struct Stop: Error { var reason: String }

    struct Verdict {
        var probes = 0
        var failures: [(reason: String, exchanges: [Exchange])] = []
        var warnings: [(reason: String, exchanges: [Exchange])] = []
        var skipped: String?
    }

    struct Watched {
        var state: String
        var revision: Int64
        var updated: Timestamp?
        var body: JSONValue
        /// Seen in a terminal state.
        var final: Exchange?
    }

    let options: VerifyOptions
    let client: ProviderClient
    var verdicts: [VerifyRule: Verdict] = [:]
    var watched: [String: Watched] = [:]
    var requests = 0
    var unanswered = 0
    var features: Set<String> = []
    var services: [JSONValue] = []
    var capabilities: JSONObject = [:]
    var status: JSONValue = .null
    /// Jobs that were taken, with the request.
    var submitted: [(id: String, tenant: String)] = []
    /// Where jobs of the probes belong, so that no tenant of the provider sees them.
    let tenant: String
    private let seed: UInt64
    private var lastID = 0

    package init(_ options: VerifyOptions) {
        self.options = options
        client = ProviderClient(options)
        seed = .random(in: 0 ... .max)
        tenant = "oms-verify-" + String(seed % 0xFFFF_FFFF, radix: 16)
    }

    /// Probes everything. Never throws: what could not be found out is in the report.
    package func run() async -> VerifyReport {
        var aborted: String?
        do {
            try await checkStatus()
            try await checkCatalogue()
            try await checkHTTP()
            let work = try await findWork()
            try await checkRefusals(work)
            try await checkSubmit(work)
            try await checkTimes(work)
            try await checkList(work)
            try await checkPaging(work)
            try await checkStop(work)
            try await checkFeatures(work)
            try await checkLimits(work)
            try await checkRestart(work)
            try await checkFigures()
        } catch let stop as Stop {
            aborted = stop.reason
        } catch {
            aborted = "\(error)"
        }
        await tidyUp()
        client.shutdown()
        return report(aborted)
    }

    private func report(_ aborted: String?) -> VerifyReport {
        let items = VerifyRule.all.map { rule -> VerifyReport.Item in
            let verdict = verdicts[rule] ?? Verdict()
            if let first = verdict.failures.first {
                let more = verdict.failures.count > 1 ? " (and \(verdict.failures.count - 1) more)" : ""
                return .init(
                    rule: rule, outcome: rule.level == .should ? .warn : .fail, reason: first.reason + more,
                    exchanges: first.exchanges)
            }
            if let first = verdict.warnings.first {
                return .init(rule: rule, outcome: .warn, reason: first.reason, exchanges: first.exchanges)
            }
            if verdict.probes > 0 { return .init(rule: rule, outcome: .pass, reason: nil, exchanges: []) }
            let reason = verdict.skipped ?? (aborted == nil ? "nothing showed it" : "the probing ended before")
            return .init(rule: rule, outcome: .skipped, reason: reason, exchanges: [])
        }
        return VerifyReport(
            baseURL: client.baseURL, items: items, aborted: aborted, requests: requests, capabilities: capabilities)
    }

    // MARK: - Judging

    /// Counts a probe of a rule, and a failure if it did not hold.
    @discardableResult
    func expect(
        _ rule: VerifyRule, _ holds: Bool, _ reason: @autoclosure () -> String, _ replies: Reply...
    ) -> Bool {
        verdicts[rule, default: Verdict()].probes += 1
        if !holds { verdicts[rule, default: Verdict()].failures.append((reason(), replies.map(\.exchange))) }
        return holds
    }

    func warn(_ rule: VerifyRule, _ reason: String, _ replies: Reply...) {
        verdicts[rule, default: Verdict()].warnings.append((reason, replies.map(\.exchange)))
    }

    func skip(_ rules: VerifyRule..., because reason: String) {
        for rule in rules { verdicts[rule, default: Verdict()].skipped = reason }
    }

    // MARK: - Asking

    /// Sends a probe and looks at everything that is true of every answer.
    func ask(
        _ method: String, _ path: String, headers: [String: String] = [:], json: JSONValue? = nil, body: [UInt8]? = nil
    ) async throws -> Reply {
        requests += 1
        let reply: Reply
        if let json {
            reply = await client.send(method, path, headers: headers, json: json)
        } else {
            reply = await client.send(method, path, headers: headers, body: body)
        }
        if reply.isUnsent, requests == 1 { throw Stop(reason: reply.exchange.line) }
        judge(reply)
        if reply.status == 0 {
            unanswered += 1
            if requests == 1 { throw Stop(reason: reply.exchange.line) }
            if unanswered >= 3 { throw Stop(reason: "\(unanswered) probes had no readable answer") }
        }
        return reply
    }

    private func judge(_ reply: Reply) {
        let isCompressed = reply.header("content-encoding").map { $0.lowercased() != "identity" } ?? false
        expect(.complete, reply.status != 0, "no readable answer", reply)
        guard reply.status != 0 else { return }
        expect(.complete, !isCompressed, "it has a Content-Encoding that nobody asked for", reply)
        expect(.noRedirect, reply.status == 304 || !(300..<400).contains(reply.status), "it is a redirect", reply)
        let type = reply.header("content-type")?.split(separator: ";").first.map { String($0).lowercased() } ?? ""
        if reply.isSuccess {
            expect(.jsonForm, reply.json != nil, "the body is not JSON", reply)
            expect(.jsonForm, type == "application/json", "Content-Type is '\(type)'", reply)
        } else if reply.status >= 400, !(reply.exchange.path == "/status" && reply.status == 503) {
            let shape = Shape.problem(reply.json)
            expect(.problems, reply.json != nil && shape.problems.isEmpty, "it is no problem: \(shape.problems)", reply)
            expect(.problems, type == "application/problem+json", "Content-Type is '\(type)'", reply)
            if let status = reply["status"]?.intValue {
                expect(.problems, Int(status) == reply.status, "its member status is \(status)", reply)
            }
            if reply.status == 429 || reply.status == 503 {
                let seconds = reply.header("retry-after").flatMap { Int($0) }
                expect(.retryAfter, seconds != nil, "Retry-After in seconds is missing", reply)
            }
        }
    }

    /// Looks at a job that was shown, and compares it with what was shown before.
    @discardableResult
    func note(_ job: JSONValue?, _ reply: Reply, id expected: String? = nil) -> JSONValue? {
        let shape = Shape.job(job)
        guard
            expect(.jobForm, shape.problems.isEmpty, shape.problems.joined(separator: "; "), reply),
            let job, let id = job["id"]?.stringValue, let state = job["state"]?.stringValue,
            let revision = job["revision"]?.intValue
        else { return nil }
        expect(.unknownMembers, shape.nulls.isEmpty, "null instead of absent: \(shape.nulls)", reply)
        if let expected { expect(.jobForm, id == expected, "asked for \(expected), got \(id)", reply) }
        if let outputs = job["outputs"] { noteOutputs(outputs, reply) }
        let updated = job["updated"]?.stringValue.flatMap { Timestamp($0) }
        if let before = watched[id] {
            let same = before.state == state
            expect(
                .ranks, Self.rank(state) >= Self.rank(before.state), "\(before.state) became \(state)", reply)
            expect(.revisions, revision >= before.revision, "revision \(before.revision) became \(revision)", reply)
            expect(
                .revisions, same || revision > before.revision,
                "\(before.state) became \(state) with the same revision", reply)
            if let old = before.updated, let updated { expect(.revisions, updated >= old, "updated fell", reply) }
            if before.final != nil {
                expect(.ends, same, "it ended as \(before.state) and is now \(state)", reply)
                expect(.retention, job == before.body, "an ended job changed", reply)
            }
        }
        watched[id] = Watched(
            state: state, revision: revision, updated: updated, body: job,
            final: Shape.terminal.contains(state) ? reply.exchange : nil)
        return job
    }

    private func noteOutputs(_ outputs: JSONValue, _ reply: Reply) {
        let isRight =
            outputs.objectValue.map { members in
                members.values.allSatisfy { ($0["value"] == nil) != ($0["href"]?.stringValue == nil) }
            } ?? false
        expect(.outputs, isRight, "an output has neither value nor href, or both", reply)
    }

    static func rank(_ state: String) -> Int {
        JobState(rawValue: state)?.rank ?? 0
    }

    // MARK: - Small helpers of the checks

    func newID() -> String {
        lastID += 1
        return JobID(time: Timestamp(milliseconds: WallClock.milliseconds), of: "verify", "\(seed)", "\(lastID)")
            .description
    }

    /// Waits between two questions. The interface is polled by design; the pace is that of `Retry-After` at best.
    func pause(_ milliseconds: Int) async throws { try await Task.sleep(for: .milliseconds(milliseconds)) }

    /// Stops what the probes left running.
    private func tidyUp() async {
        for (id, _) in submitted where watched[id]?.final == nil {
            requests += 1
            _ = await client.send("POST", "/jobs/\(id)", json: ["action": "stop", "grace_s": 0, "reason": "verified"])
        }
    }
}
