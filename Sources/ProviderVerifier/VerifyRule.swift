/// A rule of the Service Provider interface (docs/reference/sp-interface/README.md) and how seriously it is taken.
package struct VerifyRule: Hashable, Sendable {
    package enum Level: String, Sendable {
        /// Broken: the provider does not conform.
        case must
        /// Broken: a warning.
        case should
        /// Of an optional feature: as `must` for providers that declare it.
        case feature
    }

    package let id: String
    package let level: Level
    /// Of the contract.
    package let section: String
    package let text: String

    private init(_ id: String, _ level: Level, _ section: String, _ text: String) {
        self.id = id
        self.level = level
        self.section = section
        self.text = text
    }
}

extension VerifyRule {
    static let jsonForm = VerifyRule(
        "R-HTTP-1", .must, "1.1", "answers are JSON in UTF-8 as application/json, times are RFC 3339 in UTC")
    static let noRedirect = VerifyRule(
        "R-HTTP-2", .must, "1.1", "a path means the same with and without the slash at its end; no redirects")
    static let unknownMembers = VerifyRule(
        "R-HTTP-3", .must, "1.1", "unknown members, headers and parameters are ignored; what does not apply is absent")
    static let names = VerifyRule("R-HTTP-4", .must, "1.1", "names and job ids of another form are refused")
    static let bodyLimit = VerifyRule("R-HTTP-5", .should, "1.1", "a body over 256 KiB is answered by 413")
    static let methods = VerifyRule("R-HTTP-6", .must, "1.1", "other methods are 405 with Allow, other paths 404")
    static let token = VerifyRule("R-HTTP-7", .must, "1.1", "without the token, or with another one, a call is 401")
    static let version = VerifyRule("R-HTTP-8", .should, "1.1", "another OMS-SP-Version is 412 version")
    static let complete = VerifyRule(
        "R-HTTP-9", .must, "1.1",
        "an answer is complete within 10 s, with at most 32 KiB of headers and 1 MiB of body, not compressed unasked")

    static let catalogue = VerifyRule(
        "R-SERVICES-1", .must, "2.1", "the list names every service once, with id, type, version, name, available")
    static let oneService = VerifyRule(
        "R-SERVICES-2", .must, "2.1", "/services/{id} answers what the list says; unknown is 404 no-such-service")
    static let etag = VerifyRule("R-SERVICES-3", .should, "2.1", "the list has an ETag and If-None-Match gives 304")
    static let schemas = VerifyRule("R-SERVICES-4", .must, "2.1", "what a schema refuses is refused by the provider")
    static let stableCatalogue = VerifyRule(
        "R-SERVICES-5", .must, "2.1", "the list changes only when the services change")

    static let durable = VerifyRule("R-SUBMIT-1", .must, "2.2", "201 with Location; from then on the id is found")
    static let idempotent = VerifyRule(
        "R-SUBMIT-2", .must, "2.2", "the same request again is 200 with the job as it is; two at once are one job")
    static let conflict = VerifyRule(
        "R-SUBMIT-3", .must, "2.2", "the same id with another request is 409 id-conflict and changes nothing")
    static let refusedIsNothing = VerifyRule(
        "R-SUBMIT-4", .must, "2.2", "after a 4xx nothing is stored and nothing runs")
    static let refusals = VerifyRule(
        "R-SUBMIT-5", .must, "2.2", "unknown service 404, no JSON object 400, wrong member 422 with its pointer")
    static let deadline = VerifyRule("R-SUBMIT-6", .must, "2.2", "not started by its deadline: failed with deadline")
    static let timeout = VerifyRule("R-SUBMIT-7", .must, "2.2", "longer than timeout_s: failed with timeout")
    static let retryAfter = VerifyRule("R-SUBMIT-8", .must, "2.2", "429 and 503 carry Retry-After")
    static let idempotencyKey = VerifyRule(
        "R-SUBMIT-9", .should, "2.2", "an Idempotency-Key that is not the quoted id is 400")
    static let labels = VerifyRule("R-SUBMIT-10", .must, "2.2", "labels come back unchanged")

    static let order = VerifyRule("R-LIST-1", .must, "2.3", "order is (updated, id); updated follows the clock")
    static let filters = VerifyRule("R-LIST-2", .must, "2.3", "every filter is obeyed; updated_since is inclusive")
    static let pages = VerifyRule("R-LIST-3", .must, "2.3", "page_size is 1 to 1000; a token exactly when more follow")
    static let paging = VerifyRule("R-LIST-4", .must, "2.3", "reading on while jobs change misses no job")
    static let statistics = VerifyRule("R-LIST-5", .must, "2.3", "counts are right, for tenant and service alone")
    static let badFilters = VerifyRule("R-LIST-6", .must, "2.3", "a malformed filter, size or token is 400")

    static let jobForm = VerifyRule(
        "R-JOB-1", .must, "2.4", "a job has the members of the contract, finished at its end")
    static let revisions = VerifyRule(
        "R-JOB-2", .must, "2.4", "revision grows with each change; it and updated never fall")
    static let unknownJob = VerifyRule("R-JOB-3", .must, "2.4", "an unknown id is 404 no-such-job")
    static let retention = VerifyRule("R-JOB-4", .must, "2.4", "an ended job is kept and does not change")
    static let restart = VerifyRule("R-JOB-6", .must, "2.4", "a restart loses no job")
    static let outputs = VerifyRule("R-JOB-7", .must, "2.4", "outputs are a value or an href each, 32 KiB in all")

    static let stopAgain = VerifyRule("R-STOP-1", .must, "2.5", "stopping again, or after the end, is 200 or 202")
    static let stopKeeps = VerifyRule("R-STOP-2", .must, "2.5", "the record stays, an ended job keeps its end")
    static let stopEnds = VerifyRule("R-STOP-3", .must, "2.5", "a stopped job comes to its end")

    static let statusForm = VerifyRule("R-STATUS-1", .must, "2.6", "/status has its members; fail is 503")
    static let startedAt = VerifyRule("R-STATUS-2", .must, "2.6", "started_at changes at a start and at no other time")
    static let figures = VerifyRule(
        "R-STATUS-3", .must, "2.6", "executed_today is the sum of the other three and counts")
    static let clock = VerifyRule("R-STATUS-4", .should, "2.6", "time is right within 5 s")
    static let fastStatus = VerifyRule("R-STATUS-5", .should, "2.6", "/status answers within a second")

    static let tombstones = VerifyRule(
        "R-TOMB-1", .feature, "3.1", "a submit after the stop of its id is 409 stopped and runs nothing")
    static let fencing = VerifyRule("R-FENCE-1", .feature, "3.2", "a lower OMS-Epoch is 409 stale-epoch, per tenant")
    static let epochForm = VerifyRule("R-FENCE-4", .feature, "3.2", "a malformed OMS-Epoch is 400")
    static let results = VerifyRule("R-RESULTS-1", .feature, "3.3", "results: 409 before the end, 200 after it")

    static let ranks = VerifyRule("R-STATE-1", .must, "4", "the rank of a state never falls")
    static let ends = VerifyRule("R-STATE-2", .must, "4", "a terminal state never changes")
    static let problems = VerifyRule("R-ERROR-1", .must, "5", "every 4xx and 5xx is problem+json with its status")
    static let clientErrors = VerifyRule("R-ERROR-2", .must, "5", "a wrong request is 4xx, never 5xx")
    static let slugs = VerifyRule("R-ERROR-3", .should, "5", "the type of a problem is the one of the contract")

    /// In the order of the contract.
    package static let all: [VerifyRule] = [
        jsonForm, noRedirect, unknownMembers, names, bodyLimit, methods, token, version, complete, catalogue,
        oneService,
        etag, schemas, stableCatalogue, durable, idempotent, conflict, refusedIsNothing, refusals, deadline, timeout,
        retryAfter, idempotencyKey, labels, order, filters, pages, paging, statistics, badFilters, jobForm, revisions,
        unknownJob, retention, restart, outputs, stopAgain, stopKeeps, stopEnds, statusForm, startedAt, figures, clock,
        fastStatus, tombstones, fencing, epochForm, results, ranks, ends, problems, clientErrors, slugs,
    ]

    /// The table for the documentation.
    package static func markdown() -> String {
        var text = "| Rule | Level | Section | What is probed |\n|---|---|---|---|\n"
        for rule in all { text += "| \(rule.id) | \(rule.level.rawValue) | \(rule.section) | \(rule.text) |\n" }
        return text
    }
}
