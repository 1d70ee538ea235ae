import OMSModel

/// Stop, and the optional features around it.
extension Verification {
    func stop(_ id: String, headers: [String: String] = [:]) async throws -> Reply {
        let reply = try await ask(
            "POST", "/jobs/\(id)", headers: headers, json: ["action": "stop", "grace_s": 5, "reason": "oms sp verify"])
        if reply.isSuccess { note(reply.json, reply, id: id) }
        return reply
    }

    func checkStop(_ work: Work) async throws {
        let service = services.first { $0["id"]?.stringValue == work.service }
        let cannot = service?["stoppable"]?.boolValue == false || service?["cancel"]?.stringValue == "none"

        let ended = newID()
        _ = try await submit(ended, work.service, work.short)
        if let end = try await watch(ended, seconds: 30, until: Shape.terminal.contains) {
            let late = try await stop(ended)
            expect(.stopAgain, late.status == 200, "a stop after the end gave \(late.status)", late)
            if late.isSuccess {
                expect(.stopKeeps, late["state"] == end["state"], "the stop changed an ended job", end, late)
            }
            let kept = try await read(ended)
            expect(.stopKeeps, kept.status == 200, "after a stop the ended job is \(kept.status)", kept)
        }
        let unknown = newID()
        let nothing = try await ask("POST", "/jobs/\(unknown)", json: ["action": "stop"])
        expect(.unknownJob, nothing.status == 404, "a stop of an unknown job gave \(nothing.status)", nothing)
        let other = try await ask("POST", "/jobs/\(ended)", json: ["action": "oms-verify"])
        expect(.refusals, [400, 422].contains(other.status), "another action gave \(other.status)", other)

        if cannot { return skip(.stopEnds, because: "\(work.service) says that it cannot be stopped") }
        guard let long = work.long else {
            return skip(.stopEnds, because: "there is no long job (a second example or --config)")
        }
        let id = newID()
        _ = try await submit(id, work.service, long)
        _ = try await watch(id, seconds: 10) { $0 == "running" || Shape.terminal.contains($0) }
        let first = try await stop(id)
        expect(.stopEnds, [200, 202].contains(first.status), "a stop gave \(first.status)", first)
        let again = try await stop(id)
        expect(.stopAgain, [200, 202].contains(again.status), "a second stop gave \(again.status)", first, again)
        if let end = try await watch(id, seconds: 20, until: Shape.terminal.contains) {
            capabilities["cancel"] = end["state"]?.stringValue == "stopped" ? "cooperative" : "none"
            expect(
                .stopEnds, end["state"]?.stringValue == "stopped",
                "a stopped job became \(end["state"]?.stringValue ?? "")", first, end)
        } else {
            capabilities["cancel"] = "none"
            let last = try await read(id)
            expect(
                last.status == 404 ? .stopKeeps : .stopEnds, false,
                "20 s after the stop it is \(last["state"]?.stringValue ?? "\(last.status)")", first, last)
        }
    }

    func checkFeatures(_ work: Work) async throws {
        if features.contains("tombstones") {
            try await checkTombstones(work)
        } else {
            skip(.tombstones, because: "feature tombstones is not declared")
        }
        if features.contains("fencing") {
            try await checkFencing(work)
        } else {
            skip(.fencing, .epochForm, because: "feature fencing is not declared")
        }
        if features.contains("results") {
            try await checkResults(work)
        } else {
            skip(.results, because: "feature results is not declared")
        }
    }

    private func checkTombstones(_ work: Work) async throws {
        let id = newID()
        let first = try await ask("POST", "/jobs/\(id)", json: ["action": "stop", "grace_s": 0])
        expect(.tombstones, first.status == 404, "a stop of an unknown job gave \(first.status)", first)
        let late = try await submit(id, work.service, work.short)
        let holds = expect(.tombstones, late.status == 409, "the late submit gave \(late.status)", first, late)
        if late.status == 409 {
            expect(.slugs, late.slug == "stopped", "type is \(late.slug ?? "missing")", late)
        }
        let read = try await ask("GET", "/jobs/\(id)")
        if holds { expect(.tombstones, read.status == 404, "after it the job is \(read.status)", read) }
        capabilities["tombstones"] = .bool(holds)
    }

    private func checkFencing(_ work: Work) async throws {
        let fenced = tenant + "-f"
        let id = newID()
        let newer = try await submit(id, work.service, work.short, tenant: fenced, headers: ["OMS-Epoch": "7"])
        expect(.fencing, newer.status == 201, "epoch 7 gave \(newer.status)", newer)
        let stale = newID()
        let older = try await submit(stale, work.service, work.short, tenant: fenced, headers: ["OMS-Epoch": "6"])
        let holds = expect(.fencing, older.status == 409, "epoch 6 after 7 gave \(older.status)", newer, older)
        if older.status == 409 {
            expect(.slugs, older.slug == "stale-epoch", "type is \(older.slug ?? "missing")", older)
            let read = try await ask("GET", "/jobs/\(stale)")
            expect(.fencing, read.status == 404, "the fenced job is \(read.status)", older, read)
        }
        let oldStop = try await stop(id, headers: ["OMS-Epoch": "6"])
        expect(.fencing, oldStop.status == 409, "a stop of epoch 6 after 7 gave \(oldStop.status)", oldStop)
        let another = try await submit(
            newID(), work.service, work.short, tenant: fenced + "-2", headers: ["OMS-Epoch": "1"])
        expect(.fencing, another.status == 201, "epoch 1 of another tenant gave \(another.status)", another)
        let without = try await submit(newID(), work.service, work.short, tenant: fenced)
        expect(.fencing, without.status == 201, "without the header it gave \(without.status)", without)
        let bad = try await submit(newID(), work.service, work.short, tenant: fenced, headers: ["OMS-Epoch": "seven"])
        expect(.epochForm, bad.status == 400, "OMS-Epoch: seven gave \(bad.status)", bad)
        capabilities["fencing"] = .bool(holds)
    }

    private func checkResults(_ work: Work) async throws {
        let id = newID()
        _ = try await submit(id, work.service, work.long ?? work.short)
        if work.long != nil {
            let early = try await ask("GET", "/jobs/\(id)/results")
            expect(.results, early.status == 409, "before the end results are \(early.status)", early)
            _ = try await stop(id)
        }
        guard let end = try await watch(id, seconds: 30, until: Shape.terminal.contains) else {
            return skip(.results, because: "the job did not end within 30 s")
        }
        let late = try await ask("GET", "/jobs/\(id)/results")
        expect(.results, late.status == 200, "after the end results are \(late.status)", late)
        expect(
            .results, (late["outputs"] ?? [:]) == (end["outputs"] ?? [:]), "the outputs are not those of the job", end,
            late)
    }
}
