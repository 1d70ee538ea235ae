import OMSModel

/// What the gateway concludes from an answer to `POST /jobs/`. The table is docs/reference/sp-interface section 6: a 4xx
/// means that nothing changed at the provider; a 5xx or no answer means that it is not known.
enum SubmitOutcome: Equatable {
    case accepted(ProviderJob)
    /// Terminal: the provider refused it, nothing ran.
    case rejected(Problem)
    /// The provider was told to stop this id before it got it.
    case stopped(Problem)
    /// The provider provably does not have it: ask again later, as often as the deadline allows.
    case waits(Problem, afterSeconds: Int?)
    /// Like `waits`, and the provider is full: ask for less.
    case throttled(Problem, afterSeconds: Int?)
    /// The same id again, a limited number of times, then it is unknown.
    case retries(Problem, limit: Int?, afterSeconds: Int?)
    /// It may be there or not: read before anything else.
    case unknown(Problem)
    /// The id is taken: read it and see whether it is ours.
    case conflict

    init(_ answer: ProviderAnswer, request: JobRequest) {
        switch answer {
        case .failed(.notSent, let fault, let text):
            self = .waits(
                Problem(.providerUnreachable, "\(fault.rawValue): \(text)", retryable: true), afterSeconds: nil)
        case .failed(.maybeSent, let fault, let text):
            self = .unknown(Problem(.submitUnknown, "\(fault.rawValue) after the request left: \(text)"))
        case .answered(let status, let retryAfter, _, let body):
            self = Self.byStatus(status, retryAfter, body)
        }
    }

    private static func byStatus(_ status: Int, _ retryAfter: Int?, _ body: ProviderAnswer.Body) -> SubmitOutcome {
        let problem = body.problem(status)
        switch status {
        // No answer to a request: whether it was carried out, only reading tells.
        case ..<200: return .unknown(problem)
        case 200..<300:
            if case .job(let job) = body { return .accepted(job) }
            return .unknown(problem)
        case 401, 403, 407: return .waits(problem, afterSeconds: retryAfter)
        case 408, 425: return .retries(problem, limit: nil, afterSeconds: retryAfter)
        case 409:
            switch problem.slug {
            case ProblemSlug.stopped.rawValue: return .stopped(problem)
            // It has seen a newer Work Manager of this tenant; reading the job would not change that.
            case ProblemSlug.providerFenced.rawValue: return .rejected(problem)
            default: return .conflict
            }
        case 429: return .throttled(problem, afterSeconds: retryAfter)
        case 500: return .retries(problem, limit: 3, afterSeconds: retryAfter)
        case 502, 503, 504: return .retries(problem, limit: nil, afterSeconds: retryAfter)
        case 501: return .rejected(problem)
        case 500...: return .retries(problem, limit: 3, afterSeconds: retryAfter)
        default: return .rejected(problem)  // 3xx and every other 4xx
        }
    }
}

/// The same for `GET /jobs/{id}`, the resolver's question.
enum ReadOutcome: Equatable {
    case found(ProviderJob)
    /// 404: the provider says that it never had it, or has forgotten it.
    case absent
    /// 410: it had it and has purged it.
    case gone
    case waits(Problem, afterSeconds: Int?)

    init(_ answer: ProviderAnswer) {
        switch answer {
        case .failed(_, let fault, let text):
            self = .waits(Problem(.providerUnreachable, "\(fault.rawValue): \(text)"), afterSeconds: nil)
        case .answered(let status, let retryAfter, _, let body):
            switch (status, body) {
            case (200..<300, .job(let job)): self = .found(job)
            case (404, _): self = .absent
            case (410, _): self = .gone
            default: self = .waits(body.problem(status), afterSeconds: retryAfter)
            }
        }
    }
}

/// And for `POST /jobs/{id}` with `stop`.
enum StopOutcome: Equatable {
    case state(ProviderJob)
    case absent
    case gone
    case refused(Problem)
    case waits(Problem, afterSeconds: Int?)

    init(_ answer: ProviderAnswer) {
        switch answer {
        case .failed(_, let fault, let text):
            self = .waits(Problem(.providerUnreachable, "\(fault.rawValue): \(text)"), afterSeconds: nil)
        case .answered(let status, let retryAfter, _, let body):
            switch (status, body) {
            case (200..<300, .job(let job)): self = .state(job)
            case (404, _): self = .absent
            case (410, _): self = .gone
            case (401, _), (403, _), (407, _), (408, _), (425, _), (429, _), (500..., _), (200..<300, _):
                self = .waits(body.problem(status), afterSeconds: retryAfter)
            default: self = .refused(body.problem(status))
            }
        }
    }
}

/// What an answer says of the provider's health, whatever was asked.
enum HealthSign: Equatable {
    /// Says nothing of the provider.
    case none
    case good
    /// The provider answered, but not as the contract says.
    case warning(Problem)
    /// Counts towards the circuit breaker.
    case failure(Problem)
    /// Opens the circuit at once: no repetition can help before somebody acts.
    case fatal(Problem)

    var problem: Problem? {
        switch self {
        case .none, .good: nil
        case .warning(let problem), .failure(let problem), .fatal(let problem): problem
        }
    }

    /// A refusal for now, or an answer of a broken server, in words for whoever waits for it.
    static func trouble(_ answer: ProviderAnswer, to kind: ProviderCall.Kind) -> Problem? {
        switch answer {
        case .failed(_, .ledger, _): return nil
        case .failed(_, let fault, let text):
            return Problem(.providerUnreachable, "no answer to \(kind.words): \(fault.rawValue): \(text)")
        case .answered(let status, let retryAfter, _, let body):
            guard status == 408 || status == 425 || status == 429 || status >= 500 else { return nil }
            let wish = retryAfter.map { ", Retry-After \($0)" } ?? ""
            let detail = body.problem(status).detail.map { ": \($0.prefix(200))" } ?? ""
            let slug: ProblemSlug = status == 429 ? .busy : .providerMalformed
            return Problem(slug, "it answers \(status) to \(kind.words)\(wish)\(detail)", status: status)
        }
    }

    init(_ answer: ProviderAnswer) {
        switch answer {
        case .failed(_, .ledger, _): self = .none
        case .failed(_, .tls, let text): self = .fatal(Problem(.providerUnreachable, "TLS: \(text)"))
        case .failed(_, .policy, let text): self = .fatal(Problem(.providerUnreachable, "address policy: \(text)"))
        case .failed(_, let fault, let text):
            self = .failure(Problem(.providerUnreachable, "\(fault.rawValue): \(text)"))
        case .answered(let status, _, _, let body):
            switch status {
            case 401, 403, 407:
                self = .fatal(Problem(.unauthorized, "the provider refuses the gateway's credential", status: status))
            case 412:
                self = .fatal(Problem(.version, "the provider does not speak interface version 1", status: status))
            case 300..<400 where status != 304:
                self = .fatal(
                    Problem(
                        .providerMalformed, "redirects are not followed; register the final base_url", status: status))
            case 500...:
                // A status report with `fail` is an answer, not a failure to answer.
                if case .status = body { self = .good } else { self = .failure(body.problem(status)) }
            case ..<200: self = .failure(Problem(.providerMalformed, "status \(status) is no answer", status: status))
            default:
                if case .malformed = body {
                    self = .warning(body.problem(status))
                } else if let odd = body.odd {
                    self = .warning(Problem(.providerMalformed, odd, status: status))
                } else {
                    self = .good
                }
            }
        }
    }
}

extension ProviderAnswer.Body {
    /// What of a readable body was not as the contract says.
    var odd: String? {
        switch self {
        case .services(let list): list.odd
        case .status(let status): status.odd
        case .jobs(let list): list.odd
        case .job(let job): job.odd
        case .problem, .empty, .malformed: nil
        }
    }

    func problem(_ status: Int) -> Problem {
        switch self {
        case .problem(let problem): problem
        case .malformed(let text): Problem(.providerMalformed, text, status: status)
        case .services, .status, .jobs, .job, .empty:
            Problem(.providerMalformed, "status \(status) with a body of another kind", status: status)
        }
    }
}
