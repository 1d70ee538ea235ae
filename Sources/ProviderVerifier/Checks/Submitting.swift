import OMSModel
import OMSRuntime

/// Jobs: submitting, refusing, watching.
extension Verification {
    /// Submits until the provider takes one: what nobody can submit, nobody can verify.
    func findWork() async throws -> Work {
        var reasons: [String] = []
        for service in services where service["available"]?.boolValue != false {
            guard let id = service["id"]?.stringValue, options.service == nil || options.service == id else { continue }
            let jobs = options.configs.isEmpty ? Work.examples(of: service) : options.configs.map(Work.given)
            let short = jobs.first ?? [:]
            let job = newID()
            let reply = try await submit(job, id, short)
            if reply.status == 201 {
                note(reply.json, reply, id: job)
                return Work(service: id, short: short, long: jobs.count > 1 ? jobs.last : nil)
            }
            reasons.append("\(id): \(reply.status) \(reply["detail"]?.stringValue ?? "")")
        }
        throw Stop(
            reason: "no job was taken (\(reasons.joined(separator: "; "))). Name a service and a configuration with "
                + "--service and --config, or give its parameters_schema and input_schema the member examples: first of "
                + "a short job, last of a long one")
    }

    func body(_ id: String, _ service: String, _ job: JSONValue, tenant: String? = nil, more: JSONObject = [:])
        -> JSONValue
    {
        var members: JSONObject = [
            "id": .string(id), "service": .string(service), "tenant": .string(tenant ?? self.tenant),
            "labels": ["run_id": .string(id), "probe": "ä \"quoted\""],
        ]
        members.merge(job.objectValue ?? [:]) { _, new in new }
        return .object(members.merging(more) { _, new in new })
    }

    func submit(
        _ id: String, _ service: String, _ job: JSONValue, tenant: String? = nil, headers: [String: String] = [:],
        more: JSONObject = [:]
    ) async throws -> Reply {
        let all = ["Idempotency-Key": "\"\(id)\"", "Prefer": "respond-async"].merging(headers) { _, new in new }
        // Full or draining is no fault: a few more tries, as the gateway would.
        for attempt in 0... {
            let reply = try await ask(
                "POST", "/jobs/", headers: all, json: body(id, service, job, tenant: tenant, more: more))
            if reply.isSuccess { submitted.append((id, tenant ?? self.tenant)) }
            guard reply.status == 429 || reply.status == 503, attempt < 5 else { return reply }
            try await pause(1000 * min(reply.header("retry-after").flatMap { Int($0) } ?? 1, 5))
        }
        preconditionFailure("the fifth attempt returns")
    }

    func read(_ id: String) async throws -> Reply {
        let reply = try await ask("GET", "/jobs/\(id)")
        if reply.isSuccess { note(reply.json, reply, id: id) }
        return reply
    }

    /// Reads until the condition holds; nil after the deadline.
    func watch(_ id: String, seconds: Int, until isDone: (String) -> Bool) async throws -> Reply? {
        let deadline = MonotonicClock.milliseconds + Int64(seconds) * 1000
        var wait = 20
        repeat {
            let reply = try await read(id)
            if reply.isSuccess, isDone(reply["state"]?.stringValue ?? "") { return reply }
            if reply.status == 404 || reply.status == 410 { return nil }
            try await pause(wait)
            wait = min(wait * 2, 500)
        } while MonotonicClock.milliseconds < deadline
        return nil
    }

    func checkSubmit(_ work: Work) async throws {
        let id = newID()
        let first = try await submit(id, work.service, work.short)
        guard expect(.durable, first.status == 201, "a new job gave \(first.status)", first) else { return }
        note(first.json, first, id: id)
        let location = first.header("location") ?? ""
        expect(.durable, location.hasSuffix("/jobs/\(id)"), "Location is '\(location)'", first)
        expect(
            .labels, first["labels"] == body(id, work.service, work.short)["labels"],
            "labels are \(first["labels"] ?? .null)",
            first)
        let read = try await read(id)
        expect(.durable, read.status == 200, "after 201 the job is \(read.status)", first, read)

        let again = try await submit(id, work.service, work.short)
        expect(.idempotent, again.status == 200, "the same request again gave \(again.status)", first, again)
        note(again.json, again, id: id)
        expect(.idempotent, again["created"] == first["created"], "created changed: it is another job", first, again)

        let seconds = work.short["config"]?["timeout_s"]?.intValue ?? 100
        let conflict = try await submit(id, work.service, work.short.configured("timeout_s", .int(seconds + 1)))
        expect(.conflict, conflict.status == 409, "another request with the same id gave \(conflict.status)", conflict)
        if conflict.status == 409 {
            expect(.slugs, conflict.slug == "id-conflict", "type is \(conflict.slug ?? "missing")", conflict)
        }
        try await checkRace(work)

        guard try await watch(id, seconds: 60, until: Shape.terminal.contains) != nil else {
            // The example may simply be long; what is known of its end comes from the stop.
            if first.isSuccess, try await self.read(id).status != 200 {
                expect(.retention, false, "a job that was taken is not found", first)
            }
            return skip(.retention, because: "the short job did not end within 60 s")
        }
        for _ in 0..<2 {
            try await pause(100)
            let late = try await self.read(id)
            expect(.retention, late.status == 200, "an ended job is \(late.status)", late)
        }
        let repeated = try await submit(id, work.service, work.short)
        expect(.idempotent, repeated.status == 200, "after the end the same request gave \(repeated.status)", repeated)
        note(repeated.json, repeated, id: id)
    }

    /// Eight at the same moment: a check and an insert that are not one step let several through.
    private func checkRace(_ work: Work) async throws {
        let id = newID()
        let client = client
        let json = body(id, work.service, work.short)
        submitted.append((id, tenant))
        requests += 8
        let replies = await withTaskGroup(of: Reply.self) { group in
            for _ in 0..<8 {
                group.addTask { await client.send("POST", "/jobs/", json: json) }
            }
            return await group.reduce(into: [Reply]()) { $0.append($1) }
        }
        let created = replies.filter { $0.status == 201 }
        let known = replies.filter { $0.status == 200 }
        let worst = created.last ?? replies[0]
        if replies.contains(where: { $0.status == 429 || $0.status == 503 }) { return }
        expect(
            .idempotent, created.count == 1 && known.count == 7,
            "eight equal submits at once gave \(replies.map(\.status))", worst)
        expect(
            .idempotent, Set(replies.compactMap { $0["created"]?.stringValue }).count == 1,
            "eight equal submits at once made several jobs", worst)
        capabilities["idempotency"] = .string(
            verdicts[.idempotent]?.failures.isEmpty == true ? "client-key" : "none")
    }
}
