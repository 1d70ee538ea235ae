import OMSModel
import OMSRuntime

/// What a provider has to refuse, and that a refusal leaves nothing behind.
extension Verification {
    func checkRefusals(_ work: Work) async throws {
        let unknown = newID()
        let reply = try await submit(unknown, "oms-verify-no-such-service", work.short)
        expect(.refusals, reply.status == 404, "an unknown service gave \(reply.status)", reply)
        if reply.status == 404 {
            expect(.slugs, reply.slug == "no-such-service", "type is \(reply.slug ?? "missing")", reply)
        }
        try await expectNothing(unknown, after: reply)

        for body in ["{", "[]", "\"text\"", "{\"id\": \"\u{1}\"}"] {
            let reply = try await ask("POST", "/jobs/", body: Array(body.utf8))
            expect(.refusals, [400, 422].contains(reply.status), "the body \(body) gave \(reply.status)", reply)
            expect(.clientErrors, reply.status < 500, "the body \(body) gave \(reply.status)", reply)
        }
        try await expectRefused(
            work.short.configured("timeout_s", "soon"), work, pointer: "/config/timeout_s", .refusals)
        try await expectRefused(
            work.short.configured("parameters", .array([])), work, pointer: "/config/parameters", .refusals)
        if let (config, pointer) = violation(of: work) {
            try await expectRefused(config, work, pointer: pointer, .schemas)
        } else {
            skip(.schemas, because: "parameters_schema of \(work.service) has no typed property to violate")
        }
        for (member, value) in [("id", "not-a-uuid"), ("tenant", "No Name!"), ("tenant", "../etc")] {
            let id = newID()
            var members = body(id, work.service, work.short).objectValue ?? [:]
            members[member] = .string(value)
            let reply = try await ask("POST", "/jobs/", json: .object(members))
            expect(.names, [400, 422].contains(reply.status), "\(member) '\(value)' gave \(reply.status)", reply)
        }
        let keyed = newID()
        let key = try await submit(keyed, work.service, work.short, headers: ["Idempotency-Key": "\"\(newID())\""])
        expect(.idempotencyKey, key.status == 400, "another Idempotency-Key gave \(key.status)", key)

        let nobody = newID()
        let read = try await ask("GET", "/jobs/\(nobody)")
        expect(.unknownJob, read.status == 404, "an unknown job is \(read.status)", read)
        if read.status == 404 { expect(.slugs, read.slug == "no-such-job", "type is \(read.slug ?? "missing")", read) }
        let form = try await ask("GET", "/jobs/not-a-uuid")
        expect(.names, form.status == 404, "GET /jobs/not-a-uuid gave \(form.status)", form)
    }

    private func expectRefused(_ config: JSONValue, _ work: Work, pointer: String, _ rule: VerifyRule) async throws {
        let id = newID()
        let reply = try await submit(id, work.service, config)
        expect(rule, [400, 422].contains(reply.status), "a wrong \(pointer) gave \(reply.status)", reply)
        if reply.status == 422 {
            let pointers = reply["errors"]?.arrayValue?.compactMap { $0["pointer"]?.stringValue } ?? []
            expect(
                rule, pointers.contains { $0 == pointer || $0.hasPrefix(pointer + "/") || pointer.hasPrefix($0) },
                "errors does not name \(pointer), only \(pointers)", reply)
        }
        if !reply.isSuccess { try await expectNothing(id, after: reply) }
    }

    private func expectNothing(_ id: String, after refusal: Reply) async throws {
        guard (400..<500).contains(refusal.status) else { return }
        let reply = try await ask("GET", "/jobs/\(id)")
        expect(
            .refusedIsNothing, reply.status == 404, "after \(refusal.status) the job is \(reply.status)", refusal, reply
        )
    }

    /// The short configuration with one parameter of a type that its schema does not allow.
    private func violation(of work: Work) -> (config: JSONValue, pointer: String)? {
        let service = services.first { $0["id"]?.stringValue == work.service }
        let properties = service?["parameters_schema"]?["properties"]?.objectValue ?? [:]
        for (name, schema) in properties.sorted(by: { $0.key < $1.key }) {
            guard let type = schema["type"]?.stringValue, type != "object" else { continue }
            var parameters = work.short["config"]?["parameters"]?.objectValue ?? [:]
            parameters[name] = ["oms-verify": .string("an object instead of \(type)")]
            return (work.short.configured("parameters", .object(parameters)), "/config/parameters/\(name)")
        }
        return nil
    }

    /// Deadline and timeout.
    func checkTimes(_ work: Work) async throws {
        let late = newID()
        let past = Timestamp(milliseconds: WallClock.milliseconds - 60_000)
        let reply = try await submit(
            late, work.service, work.short, more: ["deadline": .string(past.description)])
        if expect(.deadline, reply.isSuccess, "a deadline in the past gave \(reply.status)", reply) {
            note(reply.json, reply, id: late)
            if let end = try await watch(late, seconds: 10, until: Shape.terminal.contains) {
                let slug = end["error"]?["type"]?.stringValue ?? "no error"
                expect(
                    .deadline,
                    end["state"]?.stringValue == "failed" && slug.hasSuffix(":deadline") && end["started"] == nil,
                    "a job past its deadline became \(end["state"]?.stringValue ?? "") (\(slug))", end)
            } else {
                expect(.deadline, false, "a job past its deadline did not end within 10 s", reply)
            }
        }
        guard let long = work.long else {
            return skip(.timeout, because: "there is no long job (a second example or --config)")
        }
        let slow = newID()
        let begun = try await submit(slow, work.service, long.configured("timeout_s", 1))
        guard begun.isSuccess else { return skip(.timeout, because: "a job with timeout_s 1 was not taken") }
        if let end = try await watch(slow, seconds: 30, until: Shape.terminal.contains) {
            let slug = end["error"]?["type"]?.stringValue ?? "no error"
            expect(
                .timeout, end["state"]?.stringValue == "failed" && slug.hasSuffix(":timeout"),
                "a job with timeout_s 1 became \(end["state"]?.stringValue ?? "") (\(slug))", end)
        } else {
            expect(.timeout, false, "a job with timeout_s 1 did not end within 30 s", begun)
        }
    }
}
