import Foundation
import Logging
import OMSModel
import OMSRuntime

/// The provider interface over HTTP: from a request to an answer. Runs on the connection's thread.
struct ProviderAPI: Sendable {
    let engine: JobEngine
    /// Required as `Authorization: Bearer`, when set.
    let token: String?
    let log: Logger
    private let catalogue: [UInt8]
    private let etag: String

    static let interfaceVersion = "1"
    static let release = "1.0.0"

    init(engine: JobEngine, token: String?, log: Logger) throws {
        self.engine = engine
        self.token = token
        self.log = log
        catalogue = try JSONText.encode(engine.services.list)
        etag = "\"\(SHA256.hex(of: catalogue).prefix(32))\""
    }

    func respond(to request: HTTPRequest) -> HTTPResponse {
        do {
            try authorize(request)
            return try route(request)
        } catch let problem as Problem {
            var headers: [(name: String, value: String)] = []
            if [429, 503].contains(problem.status) || problem.slug == ProblemSlug.resultsNotReady.rawValue {
                headers.append(("Retry-After", "2"))
            }
            if problem.status == 401 { headers.append(("WWW-Authenticate", "Bearer")) }
            var problem = problem
            problem.instance = problem.instance ?? request.path
            if (problem.status ?? 500) >= 500, problem.slug != ProblemSlug.draining.rawValue {
                log.error("request failed", metadata: ["path": "\(request.path)", "error": "\(problem.detail ?? "")"])
            }
            return .problem(problem, headers: headers)
        } catch {
            log.error("request failed", metadata: ["path": "\(request.path)", "error": "\(error)"])
            return .problem(Problem(.internal, "unexpected: \(error)", status: 500, retryable: true))
        }
    }

    private func authorize(_ request: HTTPRequest) throws {
        if let version = request.headers["oms-sp-version"], version != Self.interfaceVersion {
            throw Problem(
                .version, "OMS-SP-Version \(version) is not spoken here; this is version \(Self.interfaceVersion)",
                status: 412, retryable: false)
        }
        guard let token else { return }
        let given = request.headers["authorization"] ?? ""
        guard given.lowercased().hasPrefix("bearer "), sameBytes(String(given.dropFirst(7)), token) else {
            throw Problem(.unauthorized, "send the provider's token as 'Authorization: Bearer ...'", status: 401)
        }
    }

    /// Both forms of a path, with and without the slash at its end, are one resource; a redirect would turn a POST into
    /// a GET in many clients.
    private func route(_ request: HTTPRequest) throws -> HTTPResponse {
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        let path = (parts.last?.isEmpty == true ? parts.dropLast() : parts).map {
            String($0).removingPercentEncoding ?? ""
        }
        switch path.first {
        case "services" where path.count == 1: return try get(request, listServices)
        case "services" where path.count == 2: return try get(request) { _ in try service(path[1]) }
        case "jobs" where path.count == 1:
            if request.method == "POST" { return try submit(request) }
            return try get(request, alsoAllowed: ["POST"], listJobs)
        case "jobs" where path.count == 2:
            if request.method == "POST" { return try control(jobID(path[1]), request) }
            return try get(request, alsoAllowed: ["POST"]) { _ in try job(jobID(path[1])) }
        case "jobs" where path.count == 3 && path[2] == "results":
            return try get(request) { _ in try results(jobID(path[1])) }
        case "status" where path.count == 1: return try get(request) { _ in try status() }
        default:
            throw Problem(
                .notFound, "there is nothing at this path; see /services, /jobs/, /status", status: 404,
                retryable: false)
        }
    }

    private func get(
        _ request: HTTPRequest, alsoAllowed: [String] = [], _ body: (HTTPRequest) throws -> HTTPResponse
    ) throws -> HTTPResponse {
        if request.method == "GET" || request.method == "HEAD" { return try body(request) }
        return notAllowed(request, ["GET", "HEAD"] + alsoAllowed)
    }

    // MARK: Discovery

    private func listServices(_ request: HTTPRequest) -> HTTPResponse {
        let tags = (request.headers["if-none-match"] ?? "").split(separator: ",").map { tag in
            let text = tag.drop { $0 == " " }
            return text.hasPrefix("W/") ? String(text.dropFirst(2)) : String(text)
        }
        let headers = [(name: "ETag", value: etag), (name: "Cache-Control", value: "no-cache")]
        if tags.contains(where: { $0 == etag || $0 == "*" }) { return HTTPResponse(status: 304, headers: headers) }
        return HTTPResponse(status: 200, headers: [("Content-Type", "application/json")] + headers, body: catalogue)
    }

    private func service(_ id: String) throws -> HTTPResponse {
        guard let service = ServiceID(id).flatMap({ engine.services[$0] }) else {
            throw Problem(
                .noSuchService, "there is no service '\(id.prefix(100))' here; see GET /services", status: 404)
        }
        return try .json(200, service.description)
    }

    // MARK: Jobs

    private func submit(_ request: HTTPRequest) throws -> HTTPResponse {
        let body = try BodyReader.parse(request.body)
        let job = try JobRequest(body: body)
        if let key = request.headers["idempotency-key"], key != "\"\(job.id)\"" {
            throw Problem(
                .badRequest, "Idempotency-Key must be the id of the body in double quotes, or be left out", status: 400,
                retryable: false)
        }
        let caller = try Caller(headers: request.headers)
        switch try engine.submit(job, hash: try JSONText.canonicalHash(body), by: caller) {
        case .created(let job): return try .json(201, job, headers: [("Location", "/jobs/\(job.id)")])
        case .known(let job): return try .json(200, job, headers: [("Location", "/jobs/\(job.id)")])
        }
    }

    private func listJobs(_ request: HTTPRequest) throws -> HTTPResponse {
        let list = try engine.list(try JobQuery(query: request.query))
        return try .json(
            200, JobList(statistics: list.statistics, jobs: list.jobs, nextPageToken: list.next?.token))
    }

    private func job(_ id: JobID) throws -> HTTPResponse {
        let job = try engine.job(id)
        return try .json(200, job, headers: job.state.isTerminal ? [] : [("Retry-After", "1")])
    }

    private func results(_ id: JobID) throws -> HTTPResponse {
        let job = try engine.job(id)
        guard job.state.isTerminal else {
            throw Problem(
                .resultsNotReady, "job \(id) is \(job.state.rawValue); its results can be read after its end",
                status: 409, retryable: true)
        }
        return try .json(
            200,
            JobResults(
                id: id, state: job.state, finished: job.finished, outputs: job.outputs ?? [:], error: job.error))
    }

    private func control(_ id: JobID, _ request: HTTPRequest) throws -> HTTPResponse {
        let action = try JobAction(body: try BodyReader.parse(request.body))
        let (job, accepted) = try engine.stop(id, action, by: try Caller(headers: request.headers))
        return try .json(accepted ? 202 : 200, job, headers: accepted ? [("Retry-After", "1")] : [])
    }

    // MARK: Health

    private func status() throws -> HTTPResponse {
        let status = engine.status(release: Self.release, interfaceVersion: Self.interfaceVersion)
        return try .json(status.status == .fail ? 503 : 200, status)
    }
}

private func jobID(_ text: String) throws -> JobID {
    guard let id = JobID(canonical: text) else {
        throw Problem(
            .noSuchJob, "'\(text.prefix(100))' is no job id (a UUID of version 7 in lower case)", status: 404,
            retryable: false)
    }
    return id
}

extension Caller {
    /// - Throws: `Problem` 400 naming the header.
    fileprivate init(headers: [String: String]) throws {
        if let text = headers["oms-tenant"] {
            guard let tenant = TenantID(text) else {
                throw Problem(.badRequest, "OMS-Tenant is not a name; \(nameRule)", status: 400, retryable: false)
            }
            self.tenant = tenant
        }
        if let text = headers["oms-epoch"] {
            guard let epoch = Int64(text), (0...9_007_199_254_740_991).contains(epoch), !text.hasPrefix("+") else {
                throw Problem(
                    .badRequest, "OMS-Epoch must be an integer from 0 to 2^53 - 1", status: 400, retryable: false)
            }
            self.epoch = epoch
        }
    }
}

/// 405, which needs the header `Allow`.
private func notAllowed(_ request: HTTPRequest, _ methods: [String]) -> HTTPResponse {
    let names = methods.joined(separator: ", ")
    return .problem(
        Problem(.badRequest, "\(request.method.prefix(32)) is not allowed here; allowed: \(names)", status: 405),
        headers: [("Allow", names)])
}

/// Takes the same time wherever two texts of one length differ, so that timing does not give the token away.
private func sameBytes(_ a: String, _ b: String) -> Bool {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    return a.count == b.count && zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}
