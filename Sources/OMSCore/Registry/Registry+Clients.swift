import OMSModel
import OMSProtocol

/// Questions and commands of the `oms` command.
extension Registry {
    /// Methods that only read are answered by the store (`Store+Queries.swift` lists them).
    mutating func serve(_ request: ClientRequest, isCommand: Bool, at now: Moment) {
        if isStandby { return }  // the active one answers
        guard request.id.utf8.count <= Self.maxRequestIDBytes else {
            // It comes back in the answer, of which it would leave no room for anything else.
            var nameless = request
            nameless.id = MessageSize.cut(request.id, to: Self.maxRequestIDBytes)
            return respond(
                nameless,
                Problem(.badRequest, "field id is longer than \(Self.maxRequestIDBytes) bytes", status: 400))
        }
        guard isLoaded else {
            let reason = trouble.text.map { ": \($0)" } ?? ""
            return respond(
                request,
                Problem(
                    .unavailable, "the registry has not read its database yet\(reason)", status: 503, retryable: true))
        }
        var request = request
        switch uploads.take(request, isCommand: isCommand, at: now.monotonic) {
        case nil: break
        case .refused(let problem): return respond(request, problem)
        case .awaits(let missing):
            return publish(
                .response(request.client),
                .response(ClientResponse(id: request.id, status: 202, result: ["missing": .int(Int64(missing))])))
        case .whole(let documents):
            guard case .object(var params) = request.params else { return }
            params["documents"] = .array(documents)
            params["upload"] = nil
            request.params = .object(params)
        }
        // Who may give commands may ask where nobody else can be in the way.
        let isQuestion = !isCommand || !Self.commands.contains(request.method)
        if isQuestion { return question(request, isCommand ? .operators : .readers, at: now) }
        let open = waiting.values.filter { Self.commands.contains($0.method) }
        guard open.count < Self.maxCommands, open.count(where: { $0.client == request.client }) < Self.maxCommandsOfOne
        else {
            return respond(
                request,
                Problem(
                    .busy, "\(open.count) commands wait for the database already; give it again in a moment",
                    status: 429,
                    retryable: true))
        }
        switch request.method {
        case "apply": apply(request, at: now)
        case "verification": saveVerification(request)
        case "run": trigger(request, at: now)
        case "job.give-up": giveUp(request, at: now)
        case "provider.release": release(request)
        case _ where Self.rolloutMethods.contains(request.method): rollOut(request, at: now)
        case _ where Self.operatorMethods.contains(request.method): operate(request, at: now)
        case _ where Self.quarantineMethods.contains(request.method): settleQuarantined(request)
        default: break  // `commands` has no other
        }
    }

    private static let maxRequestIDBytes = 256
    static let quarantineMethods = ["quarantine.retry", "quarantine.discard"]
    private static let commands = Set(
        ["apply", "run", "verification", "job.give-up", "provider.release"] + rolloutMethods + operatorMethods
            + quarantineMethods)

    /// What only reads.
    private mutating func question(_ request: ClientRequest, _ asker: Asker, at now: Moment) {
        if ["explain", "plan"].contains(request.method) {
            if let problem = questions[asker]?.mayCompute(at: now.monotonic) { return respond(request, problem) }
            return request.method == "plan" ? preview(request, at: now) : explainEffective(request)
        }
        guard Question(rawValue: request.method) != nil else {
            let known = (Question.allCases.map(\.rawValue) + ["explain", "plan"]).sorted().joined(separator: ", ")
            let commands = asker == .readers ? "" : "; commands: " + Self.commands.sorted().joined(separator: ", ")
            return respond(
                request,
                Problem(
                    .badRequest,
                    "field method: '\(request.method)' is nothing that can be asked here; questions: \(known)\(commands)",
                    status: 400))
        }
        if let problem = questions[asker]?.add(request) { return respond(request, problem) }
        askNext(asker)
    }

    /// One question at a time for each session.
    mutating func askNext(_ asker: Asker) {
        guard let request = questions[asker]?.next() else { return }
        waiting[store(.query(request, asker))] = request
    }

    mutating func questionAnswered(_ asker: Asker, _ client: ClientRequest?, _ reply: StoreReply) {
        questions[asker]?.answered()
        switch reply {
        case .answer(var response):
            // An answer from a database that takes nothing may be old, and looks like any other.
            if let text = trouble.text, case .object(var result)? = response.result {
                result["notice"] = .string(text)
                response.result = .object(result)
            }
            if let client { publish(.response(client.client), .response(response)) }
        case .failed(let problem): if let client { respond(client, problem) }
        default: break
        }
        askNext(asker)
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
        guard let values = request.params["documents"]?.arrayValue, !values.isEmpty else {
            respond(
                request,
                Problem(
                    .badRequest, "field documents must be a list of 1 to \(DeclaredSizes.maxDocuments) documents",
                    status: 400))
            return nil
        }
        var documents: [Document] = []
        var errors = DeclaredSizes.errors(of: values)
        for (index, value) in errors.isEmpty ? Array(values.enumerated()) : [] {
            let (document, found) = DocumentReader.read(value)
            errors += found.map { FieldError(pointer: "/documents/\(index)\($0.pointer)", detail: $0.detail) }
            if let document { documents.append(document) }
        }
        if errors.isEmpty { errors = DocumentSet.errors(documents, scenarios: scenarios, tenants: specs) }
        if errors.isEmpty { errors = unknownReferences(documents) }
        if errors.isEmpty { errors = unfitting(documents) }
        if errors.isEmpty {
            errors = DeclaredSizes.errors(
                of: documents,
                DeclaredSizes.Surroundings(
                    scenarios: scenarios, tenants: specs, catalogs: providers.mapValues { $0.catalog?.services ?? [] },
                    messageLimit: messageLimit))
        }
        errors = FieldErrors.bounded(errors)
        guard errors.isEmpty else {
            respond(
                request,
                Problem(
                    .invalidConfig, "\(errors.count) field(s) are wrong; nothing was changed", status: 422,
                    errors: Self.sendable(errors)))
            return nil
        }
        return documents
    }

    /// Of a thousand documents with one mistake each the first ones say enough.
    private static func sendable(_ errors: [FieldError]) -> [FieldError] {
        let cut = errors.map {
            FieldError(pointer: MessageSize.cut($0.pointer, to: 512), detail: MessageSize.cut($0.detail, to: 2_048))
        }
        return Array(cut.prefix(MessageParts.prefix(of: cut, bytes: 100_000) { MessageSize.bytes($0) + 1 }))
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
