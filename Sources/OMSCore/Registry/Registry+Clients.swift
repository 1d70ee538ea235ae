import OMSModel
import OMSProtocol

/// Questions and commands of the `oms` command.
extension Registry {
    /// Methods that only read are answered by the store (`Store+Queries.swift` lists them).
    mutating func serve(_ request: ClientRequest, isCommand: Bool, at now: Moment) {
        if isStandby { return }  // the active one answers
        guard isLoaded else {
            return respond(
                request,
                Problem(.unavailable, "the registry has not read its database yet", status: 503, retryable: true))
        }
        guard pending.count < Self.maxPending else {
            return respond(
                request, Problem(.busy, "too many requests wait for the database", status: 503, retryable: true))
        }
        if !isCommand, request.method == "explain" { return explainEffective(request) }
        if !isCommand, request.method == "plan" { return preview(request, at: now) }
        guard isCommand else {
            waiting[store(.query(request))] = request
            return
        }
        switch request.method {
        case "apply": apply(request, at: now)
        case "verification": saveVerification(request)
        case "run": trigger(request, at: now)
        case "job.give-up": giveUp(request, at: now)
        case _ where Self.rolloutMethods.contains(request.method): rollOut(request, at: now)
        case _ where Self.operatorMethods.contains(request.method): operate(request, at: now)
        default:
            respond(
                request,
                Problem(
                    .badRequest,
                    "field method: '\(request.method)' is no command; known: "
                        + (["apply", "run", "verification", "job.give-up"] + Self.rolloutMethods + Self.operatorMethods)
                        .joined(
                            separator: ", "),
                    status: 400))
        }
    }

    private mutating func apply(_ request: ClientRequest, at now: Moment) {
        guard let documents = readDocuments(request) else { return }
        var expected: [String: Int] = [:]
        for (key, value) in request.params["expected"]?.objectValue ?? [:] {
            guard let version = value.intValue.flatMap({ Int(exactly: $0) }) else {
                return respond(
                    request, Problem(.badRequest, "field expected/\(key) must be a version number", status: 400))
            }
            expected[key] = version
        }
        for case .tenant(let tenant, _) in documents where tenants[tenant]?.operation?.kind == .offboard {
            return respond(
                request,
                Problem(
                    .conflict,
                    "Tenant/\(tenant) is being off-boarded; declare it again when that has ended "
                        + "(`oms get operations --tenant \(tenant)`), or stop it with `oms operation abort \(tenant)`",
                    status: 409))
        }
        for case .scenario(let id, let spec) in documents where rollout?.scenario == id && scenarios[id] != spec {
            return respond(
                request,
                Problem(
                    .conflict,
                    "Scenario/\(id) is being rolled out; apply the change when that has ended (`oms get rollouts`), or take it "
                        + "back with `oms rollout abort`",
                    status: 409))
        }
        waiting[store(.apply(documents, expecting: expected, by: request.client))] = request
    }

    /// The request's documents, if they are right; else it is answered with everything that is wrong.
    mutating func readDocuments(_ request: ClientRequest) -> [Document]? {
        guard let values = request.params["documents"]?.arrayValue, !values.isEmpty, values.count <= 1_000 else {
            respond(request, Problem(.badRequest, "field documents must be a list of 1 to 1000 documents", status: 400))
            return nil
        }
        var documents: [Document] = []
        var errors: [FieldError] = []
        for (index, value) in values.enumerated() {
            let (document, found) = DocumentReader.read(value)
            errors += found.map { FieldError(pointer: "/documents/\(index)\($0.pointer)", detail: $0.detail) }
            if let document { documents.append(document) }
        }
        if errors.isEmpty { errors = DocumentSet.errors(documents, scenarios: scenarios, tenants: specs) }
        if errors.isEmpty { errors = unknownReferences(documents) }
        if errors.isEmpty { errors = unfitting(documents) }
        errors = FieldErrors.bounded(errors)
        guard errors.isEmpty else {
            respond(
                request,
                Problem(
                    .invalidConfig, "\(errors.count) field(s) are wrong; nothing was changed", status: 422,
                    errors: errors))
            return nil
        }
        return documents
    }

    private mutating func saveVerification(_ request: ClientRequest) {
        guard let provider = request.params["provider"]?.stringValue.flatMap({ ProviderID($0) }),
            providers[provider] != nil
        else {
            return respond(request, Problem(.notFound, "field provider must name a registered provider", status: 404))
        }
        guard let report = request.params["report"], let verdict = report["verdict"]?.stringValue,
            ["pass", "fail", "unknown"].contains(verdict)
        else {
            return respond(
                request,
                Problem(.badRequest, "field report must be a report with a verdict: pass, fail or unknown", status: 400)
            )
        }
        waiting[store(.saveVerification(provider, passed: verdict == "pass", report: report, by: request.client))] =
            request
    }

    /// Names that neither the registry nor this request knows.
    private func unknownReferences(_ documents: [Document]) -> [FieldError] {
        var knownScenarios = Set(scenarios.keys)
        var knownProviders = Set(providers.keys)
        for document in documents {
            switch document {
            case .scenario(let id, _): knownScenarios.insert(id)
            case .provider(let id, _): knownProviders.insert(id)
            case .tenant: break
            }
        }
        var errors: [FieldError] = []
        for (index, document) in documents.enumerated() {
            switch document {
            case .provider: break
            case .tenant(_, let spec):
                for (position, id) in spec.scenarios.enumerated() where !knownScenarios.contains(id) {
                    errors.append(
                        FieldError(
                            pointer: "/documents/\(index)/spec/scenarios/\(position)",
                            detail: "scenario '\(id)' is neither registered nor in this file"))
                }
            case .scenario(_, let spec):
                for (id, service) in spec.services.sorted(by: { $0.key < $1.key }) {
                    for (position, provider) in (service.providers?.only ?? []).enumerated()
                    where !knownProviders.contains(provider) {
                        errors.append(
                            FieldError(
                                pointer: "/documents/\(index)/spec/services/\(id)/providers/only/\(position)",
                                detail: "provider '\(provider)' is neither registered nor in this file"))
                    }
                }
            }
        }
        return errors
    }

    mutating func respond(_ request: ClientRequest, _ status: Int, _ applied: [AppliedDocument]) {
        let rows = applied.map { document in
            JSONValue.object([
                "kind": .string(document.kind), "name": .string(document.name),
                "change": .string(document.change.rawValue), "version": .int(Int64(document.version)),
            ])
        }
        publish(
            .response(request.client),
            .response(ClientResponse(id: request.id, status: status, result: ["documents": .array(rows)])))
    }

    mutating func respond(_ request: ClientRequest, _ problem: Problem) {
        publish(
            .response(request.client),
            .response(ClientResponse(id: request.id, status: problem.status ?? 500, error: problem)))
    }
}
