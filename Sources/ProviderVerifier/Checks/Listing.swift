import OMSModel
import OMSRuntime

/// `GET /jobs/`: the change feed.
extension Verification {
    /// Asks for one page, looks at its form and remembers its jobs.
    func page(_ query: String) async throws -> (reply: Reply, jobs: [JSONValue]) {
        let reply = try await ask("GET", "/jobs/?\(query)")
        guard expect(.filters, reply.status == 200, "?\(query) gave \(reply.status)", reply) else { return (reply, []) }
        let jobs = reply["jobs"]?.arrayValue
        expect(.jobForm, jobs != nil, "jobs must be an array", reply)
        var statistics = Shape(reply["statistics"], "/statistics")
        statistics.time("as_of")
        var counts = Shape(reply["statistics"]?["counts"], "/statistics/counts")
        counts.count("queued")
        counts.count("running")
        statistics.merge(counts)
        expect(.statistics, statistics.problems.isEmpty, statistics.problems.joined(separator: "; "), reply)
        expect(.pages, reply["next_page_token"] != .null, "next_page_token is null instead of absent", reply)
        for job in jobs ?? [] { note(job, reply) }
        expectOrder(jobs ?? [], reply)
        return (reply, jobs ?? [])
    }

    private func expectOrder(_ jobs: [JSONValue], _ reply: Reply) {
        let keys = jobs.map { job in
            (job["updated"]?.stringValue.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0), job.jobID)
        }
        let isOrdered = zip(keys, keys.dropFirst()).allSatisfy { $0 <= $1 }
        expect(.order, isOrdered, "the page is not in the order (updated, id)", reply)
        guard let asOf = reply["statistics"]?["as_of"]?.stringValue.flatMap({ Timestamp($0) }) else { return }
        if let newest = keys.map(\.0).max() {
            expect(.order, newest <= asOf.advanced(bySeconds: 5), "updated \(newest) is after as_of \(asOf)", reply)
        }
    }

    func checkList(_ work: Work) async throws {
        var ids: [String] = []
        for _ in 0..<5 {
            let id = newID()
            let reply = try await submit(id, work.service, work.short)
            if reply.status == 201 { ids.append(id) }
        }
        guard ids.count == 5 else {
            return skip(.order, .filters, .pages, .statistics, because: "five jobs were not taken")
        }
        for id in ids { _ = try await watch(id, seconds: 30, until: Shape.terminal.contains) }
        let (all, mine) = try await page("tenant=\(tenant)&page_size=1000")
        let shown = Set(mine.map(\.jobID))
        expect(
            .filters, Set(ids).isSubset(of: shown), "tenant=\(tenant) does not show all of its jobs", all)
        expect(
            .filters, mine.allSatisfy { $0["tenant"]?.stringValue == tenant }, "tenant= shows jobs of others", all)
        let clock = all["statistics"]?["as_of"]?.stringValue.flatMap { Timestamp($0) }
        let updated = mine.compactMap { $0["updated"]?.stringValue.flatMap { Timestamp($0) } }
        if let clock, let oldest = updated.min() {
            expect(
                .order, oldest > clock.advanced(bySeconds: -3_600), "jobs of this hour have updated \(oldest)", all)
        }
        try await checkFilters(ids, mine, work)
        try await checkCounts()

        for query in ["page_size=0", "page_size=1001", "page_size=x", "state=lost", "updated_since=yesterday", "id=x"] {
            let reply = try await ask("GET", "/jobs/?\(query)")
            expect(.badFilters, reply.status == 400, "?\(query) gave \(reply.status)", reply)
        }
        let token = try await ask("GET", "/jobs/?page_token=oms-verify-no-token")
        expect(.badFilters, token.status == 400, "an invented page_token gave \(token.status)", token)
    }

    private func checkFilters(_ ids: [String], _ mine: [JSONValue], _ work: Work) async throws {
        let (byID, two) = try await page("id=\(ids[0]),\(ids[1])")
        expect(.filters, Set(two.map(\.jobID)) == Set(ids.prefix(2)), "id= shows other jobs", byID)
        let (byState, queued) = try await page("state=queued,running&tenant=\(tenant)")
        expect(
            .filters, queued.allSatisfy { ["queued", "running"].contains($0["state"]?.stringValue) },
            "state= shows other states", byState)
        let (byService, other) = try await page("service=oms-verify-no-such-service")
        expect(.filters, other.isEmpty, "service= of an unknown service shows jobs", byService)
        // Inclusive: the job whose own `updated` it is must come.
        guard let job = mine.last, let updated = job["updated"]?.stringValue else { return }
        let (since, found) = try await page("tenant=\(tenant)&updated_since=\(updated)")
        expect(.filters, found.map(\.jobID).contains(job.jobID), "updated_since is not inclusive", since)
        let early = found.filter { ($0["updated"]?.stringValue ?? "") < updated }
        expect(.filters, early.isEmpty, "updated_since=\(updated) shows older jobs", since)
        let (none, newer) = try await page("tenant=\(tenant)&updated_since=9999-12-31T00:00:00.000Z")
        expect(.filters, newer.isEmpty, "updated_since in the far future shows jobs", none)
    }

    /// All jobs of our tenant have ended, so the counts stand still.
    private func checkCounts() async throws {
        let (reply, jobs) = try await page("tenant=\(tenant)&page_size=1000")
        guard reply["next_page_token"] == nil else { return }
        let counts = reply["statistics"]?["counts"]?.objectValue ?? [:]
        var real: [String: Int64] = [:]
        for job in jobs { real[job["state"]?.stringValue ?? "", default: 0] += 1 }
        for state in Shape.states {
            let claimed = counts[state]?.intValue ?? 0
            expect(
                .statistics, claimed == real[state] ?? 0,
                "counts say \(claimed) \(state), the list shows \(real[state] ?? 0)", reply)
        }
        let (filtered, _) = try await page("tenant=\(tenant)&state=queued&page_size=1")
        expect(
            .statistics, filtered["statistics"]?["counts"]?["succeeded"]?.intValue ?? 0 == real["succeeded"] ?? 0,
            "the filter state= changes the counts", filtered)
    }

    /// Reads page after page while a job of the first page moves to the end.
    func checkPaging(_ work: Work) async throws {
        let place = tenant + "-p"
        var ids: [String] = []
        for _ in 0..<8 {
            let id = newID()
            if try await submit(id, work.service, work.long ?? work.short, tenant: place).status == 201 {
                ids.append(id)
            }
        }
        guard ids.count == 8 else { return skip(.paging, because: "eight jobs were not taken") }
        if work.long == nil {
            for id in ids { _ = try await watch(id, seconds: 30, until: Shape.terminal.contains) }
        } else {
            // Until all that can run do run: then nothing but our stops changes the order.
            try await pause(300)
        }
        var seen: Set<String> = []
        var query = "tenant=\(place)&page_size=2"
        var pages = 0
        while pages < 40 {
            let (reply, jobs) = try await page(query)
            pages += 1
            expect(.pages, jobs.count <= 2, "a page of \(jobs.count) jobs, asked for 2", reply)
            seen.formUnion(jobs.map(\.jobID))
            guard let token = reply["next_page_token"]?.stringValue else {
                expect(
                    .paging, Set(ids).isSubset(of: seen),
                    "\(Set(ids).subtracting(seen).count) of 8 jobs were on no page", reply)
                break
            }
            expect(.pages, !token.isEmpty, "an empty next_page_token", reply)
            if work.long != nil, pages <= 2, let first = jobs.first {
                let stop = try await ask("POST", "/jobs/\(first.jobID)", json: ["action": "stop", "grace_s": 0])
                if stop.isSuccess { note(stop.json, stop, id: first.jobID) }
                _ = try await watch(first.jobID, seconds: 10, until: Shape.terminal.contains)
            }
            query = "tenant=\(place)&page_size=2&page_token=\(percentEncoded(token))"
        }
        expect(.pages, pages < 40, "eight jobs in pages of two did not end after 40 pages")
        for id in ids { _ = try await ask("POST", "/jobs/\(id)", json: ["action": "stop", "grace_s": 0]) }
    }
}

extension JSONValue {
    var jobID: String { self["id"]?.stringValue ?? "" }
}

/// RFC 3986 unreserved characters stay.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var result = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            result.unicodeScalars.append(Unicode.Scalar(byte))
        default: result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }
    }
    return result
}
