package import OMSModel
import OMSProtocol

/// Reads a provider's answer. Providers are independent systems: nothing in a body is trusted before it has the form of
/// the contract, and nothing odd in it spoils more than itself.
package struct AnswerReader: Sendable {
    package init() {}

    package func read(
        _ kind: ProviderCall.Kind, status: Int, headers: [(name: String, value: String)], body: [UInt8]
    ) -> ProviderAnswer {
        func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
        let parsed: ProviderAnswer.Body
        if status == 304 {
            parsed = .empty
        } else if (200..<300).contains(status) || (status == 503 && kind == .status) {
            parsed = content(kind, body)
        } else {
            parsed = .problem(problem(status, body))
        }
        return .answered(
            status: status, retryAfterSeconds: header("retry-after").flatMap { Int($0) }.map { min(max($0, 0), 300) },
            etag: header("etag").flatMap(AnswerLimits.etag), body: parsed)
    }

    /// What a body may cost to read: a page of a thousand jobs has some 15,000 values.
    package static let limits = JSONLimits(bytes: 1 << 20, depth: JSONLimits.borderDepth, nodes: 40_000)

    private func content(_ kind: ProviderCall.Kind, _ body: [UInt8]) -> ProviderAnswer.Body {
        let (tree, leftOut): (JSONValue, Int)
        do throws(JSONFault) {
            (tree, leftOut) = try JSONReader.readLeniently(body, Self.limits)
        } catch {
            return .malformed("not valid JSON: \(error)")
        }
        var row = OddRow(tree)
        if leftOut > 0 { row.note("what is nested deeper than \(Self.limits.depth) levels was left out") }
        do throws(Unreadable) {
            switch kind {
            case .services: return try .services(services(&row))
            case .status: return try .status(row.status())
            case .sweep, .batch: return try .jobs(jobs(&row))
            case .job(let id), .stop(let id, _): return try .job(job(&row, id))
            case .submit(let request): return try .job(job(&row, request.id))
            }
        } catch {
            return .malformed([error.why, row.firstNote].compactMap { $0 }.joined(separator: "; "))
        }
    }

    // MARK: - Jobs

    private func job(_ row: inout OddRow, _ id: JobID) throws(Unreadable) -> ProviderJob {
        var job = try row.job()
        guard job.id == id else { throw Unreadable("asked for job \(id), got \(job.id)") }
        job.odd = row.firstNote
        return job
    }

    private static let maxPageItems = 1_000

    private func jobs(_ page: inout OddRow) throws(Unreadable) -> JobList {
        let rows = try page.list("jobs")
        guard rows.count <= Self.maxPageItems else {
            throw Unreadable("a page of \(rows.count) jobs; at most \(Self.maxPageItems)")
        }
        var list = JobList(statistics: page.statistics(), jobs: [])
        var skipped = Skipped(of: rows.count, "job")
        for (index, row) in rows.enumerated() {
            var row = OddRow(row)
            do throws(Unreadable) {
                let job = try row.job()
                list.jobs.append(job)
                if let odd = row.firstNote { skipped.note("jobs/\(index)/\(odd)") }
            } catch {
                skipped.skip("jobs/\(index)\(error.why.isPlace ? "/" : ": ")\(error.why)")
            }
        }
        list.nextPageToken = page.text("next_page_token")
        if let token = list.nextPageToken, token.utf8.count > AnswerLimits.tokenBytes {
            list.nextPageToken = nil
            page.note("next_page_token: \(token.utf8.count) bytes, at most \(AnswerLimits.tokenBytes)")
        }
        list.odd = skipped.sentence ?? page.firstNote
        return list
    }

    // MARK: - Catalogue

    private func services(_ body: inout OddRow) throws(Unreadable) -> ServiceList {
        let rows = try body.list("services")
        let bytes = rows.reduce(0) { $0 + $1.encodedBytes }
        guard bytes <= AnswerLimits.maxCatalogBytes else {
            throw Unreadable("a catalogue of \(bytes) bytes; at most \(AnswerLimits.maxCatalogBytes)")
        }
        var list = ServiceList(services: [])
        var skipped = Skipped(of: rows.count, "service")
        for (index, row) in rows.enumerated() {
            do {
                list.services.append(try JSON.decode(ServiceDescription.self, from: row, policy: .lenient))
            } catch {
                let why = readable(error)
                skipped.skip("services/\(index)\(why.isPlace ? "/" : ": ")\(why)")
            }
        }
        list.odd = skipped.sentence ?? body.firstNote
        return list
    }

    // MARK: - Problems

    /// A body that is no JSON is wrapped: its first 512 bytes become the detail.
    private func problem(_ status: Int, _ body: [UInt8]) -> Problem {
        if let tree = try? JSONReader.readLeniently(body, Self.limits).value, tree.objectValue != nil,
            var problem = OddRow.problem(tree)
        {
            problem.status = status
            if problem.title == nil, problem.type == OddRow.noType { problem.title = "HTTP status \(status)" }
            return problem
        }
        let text = String(decoding: body.prefix(512), as: UTF8.self)
        return Problem(
            type: OddRow.noType, title: "HTTP status \(status)", status: status, detail: text.isEmpty ? nil : text)
    }
}

/// Why a row, or a whole answer, says nothing that can be used.
struct Unreadable: Error {
    var why: String
    init(_ why: String) { self.why = why }
}

/// How many rows of a list could not be read, and why not the first: for the provider's health.
private struct Skipped {
    private let total: Int
    private let what: String
    private var count = 0
    private var first: String?
    private var noted: String?

    init(of total: Int, _ what: String) {
        self.total = total
        self.what = what
    }

    mutating func skip(_ why: String) {
        count += 1
        if first == nil { first = why }
    }

    /// Of a row that was read.
    mutating func note(_ odd: String) { if noted == nil { noted = odd } }

    var sentence: String? {
        guard let first else { return noted }
        return "\(count) of \(total) \(what)s cannot be read; the first: \(first)"
    }
}

extension String {
    /// Whether a sentence begins with a path, as in `id: is missing`.
    fileprivate var isPlace: Bool {
        guard let colon = firstIndex(of: ":") else { return false }
        return !self[..<colon].contains(" ")
    }
}
