import OMSModel
import OMSRuntime

/// `/status`, `/services` and what holds for all paths.
extension Verification {
    func checkStatus() async throws {
        let first = try await ask("GET", "/status")
        let shape = Shape.status(first.json)
        expect(
            .statusForm, first.status == 200 || first.status == 503, "status \(first.status)", first)
        expect(.statusForm, shape.problems.isEmpty, shape.problems.joined(separator: "; "), first)
        expect(.unknownMembers, shape.nulls.isEmpty, "null instead of absent: \(shape.nulls)", first)
        let isFail = first["status"]?.stringValue == "fail"
        expect(.statusForm, isFail == (first.status == 503), "fail and 503 go together", first)
        expect(.fastStatus, first.exchange.milliseconds <= 1_000, "it took \(first.exchange.milliseconds) ms", first)
        guard first.isSuccess else { throw Stop(reason: "/status says that it cannot work: \(first.exchange.text)") }
        status = first.json ?? .null
        features = Set(first["features"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        capabilities["features"] = .array(features.sorted().map { .string($0) })
        if let time = first["time"]?.stringValue.flatMap({ Timestamp($0) }) {
            let off = time.milliseconds - WallClock.milliseconds
            expect(.clock, abs(off) <= 5_000, "the clock is \(off / 1000) s off", first)
            if let start = first["started_at"]?.stringValue.flatMap({ Timestamp($0) }),
                let uptime = first["uptime_s"]?.intValue
            {
                let age = (time.milliseconds - start.milliseconds) / 1000
                expect(.startedAt, abs(age - uptime) <= 5, "uptime_s is \(uptime), time - started_at is \(age)", first)
            }
        }
        if first["retention_s"] == nil {
            warn(.retention, "retention_s is not declared; OMS counts on 24 hours", first)
        }
        try await pause(1_100)
        let second = try await ask("GET", "/status")
        expect(
            .startedAt, first["started_at"] == second["started_at"], "started_at changed without a start", first, second
        )
        checkSum(second)
    }

    func checkSum(_ reply: Reply) {
        let jobs = reply["jobs"]
        func figure(_ name: String) -> Int64 { jobs?[name]?.intValue ?? 0 }
        let sum = figure("succeeded_today") + figure("failed_today") + figure("stopped_today")
        expect(
            .figures, figure("executed_today") == sum, "executed_today is \(figure("executed_today")), the sum \(sum)",
            reply)
    }

    func checkCatalogue() async throws {
        let first = try await ask("GET", "/services")
        guard let list = first["services"]?.arrayValue else {
            expect(.catalogue, false, "the body must be {\"services\": [...]}", first)
            throw Stop(reason: "there is no catalogue")
        }
        services = list
        var shape = Shape(first.json)
        for (index, service) in list.enumerated() { shape.merge(Shape.service(service, "/services/\(index)")) }
        expect(.catalogue, shape.problems.isEmpty, shape.problems.joined(separator: "; "), first)
        expect(.unknownMembers, shape.nulls.isEmpty, "null instead of absent: \(shape.nulls)", first)
        let ids = list.compactMap { $0["id"]?.stringValue }
        expect(.catalogue, Set(ids).count == ids.count, "an id comes twice", first)
        let second = try await ask("GET", "/services")
        expect(.stableCatalogue, first.json == second.json, "it changed between two questions", first, second)
        if let etag = second.header("etag") {
            let third = try await ask("GET", "/services", headers: ["If-None-Match": etag])
            expect(.etag, third.status == 304, "If-None-Match of \(etag) gave \(third.status)", second, third)
        } else {
            expect(.etag, false, "there is no ETag", second)
        }
        if let id = ids.first {
            let one = try await ask("GET", "/services/\(id)")
            expect(
                .oneService, one.status == 200 && (one.json == list.first || first.json != second.json),
                "it differs from the list", one)
        }
        let unknown = try await ask("GET", "/services/oms-verify-no-such-service")
        expect(.oneService, unknown.status == 404, "status \(unknown.status)", unknown)
        expect(.slugs, unknown.slug == "no-such-service", "type is \(unknown.slug ?? "missing")", unknown)
    }

    func checkHTTP() async throws {
        for path in ["/services", "/services/", "/jobs", "/jobs/", "/status", "/status/"] {
            let reply = try await ask("GET", path)
            expect(.noRedirect, reply.status == 200, "status \(reply.status)", reply)
        }
        let strange = try await ask("GET", "/status?oms_verify=1", headers: ["OMS-Verify": "unknown"])
        expect(.unknownMembers, strange.status == 200, "an unknown parameter or header gave \(strange.status)", strange)
        let nowhere = try await ask("GET", "/oms-verify-nothing-here")
        expect(.methods, nowhere.status == 404, "an unknown path gave \(nowhere.status)", nowhere)
        let method = try await ask("PUT", "/status", json: [:])
        expect(
            .methods, method.status == 405 && method.header("allow") != nil,
            "PUT /status gave \(method.status), Allow: \(method.header("allow") ?? "missing")", method)
        let version = try await ask("GET", "/services", headers: ["OMS-SP-Version": "999"])
        expect(.version, version.status == 412, "version 999 gave \(version.status)", version)
        guard client.token != nil else {
            return skip(.token, because: "no token was given (--token-file)")
        }
        for token in ["", "Bearer oms-verify-wrong"] {
            let reply = try await ask("GET", "/jobs/", headers: ["Authorization": token])
            expect(.token, reply.status == 401, "\(token.isEmpty ? "no" : "a wrong") token gave \(reply.status)", reply)
        }
    }
}
