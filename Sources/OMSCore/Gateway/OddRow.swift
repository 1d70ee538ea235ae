import OMSModel

/// An object of a provider, read member by member: what is not as the contract says is left out and noted. A state and a
/// revision are enough for a job to come to its end.
struct OddRow {
    private let value: JSONValue
    private(set) var firstNote: String?

    init(_ value: JSONValue) { self.value = value }

    mutating func note(_ text: String) { if firstNote == nil { firstNote = Self.short(text) } }

    private static func short(_ text: String) -> String {
        var text: String? = text
        AnswerLimits.cut(&text, to: AnswerLimits.nameBytes)
        return text ?? ""
    }

    private func member(_ name: String) -> JSONValue? {
        if let found = value[name], found != .null { found } else { nil }
    }

    private func must(_ name: String) throws(Unreadable) -> JSONValue {
        guard value.objectValue != nil else { throw Unreadable("must be an object, but is \(value.inWords)") }
        guard let found = member(name) else { throw Unreadable("\(name): is missing") }
        return found
    }

    private func must<Value: Decodable>(_ name: String, _ type: Value.Type) throws(Unreadable) -> Value {
        let found = try must(name)
        do {
            return try Self.decode(type, name, found)
        } catch {
            throw Unreadable(Self.short(readable(error)))
        }
    }

    private mutating func may<Value: Decodable>(_ name: String, _ type: Value.Type) -> Value? {
        guard let found = member(name) else { return nil }
        do {
            return try Self.decode(type, name, found)
        } catch {
            note(readable(error))
            return nil
        }
    }

    /// By its name, so that the member's own range counts.
    private static func decode<Value: Decodable>(
        _ type: Value.Type, _ name: String, _ found: JSONValue
    ) throws -> Value {
        try JSON.decode(One<Value>.self, from: .object([name: found]), policy: .lenient).value
    }

    private struct One<Value: Decodable>: Decodable {
        var value: Value
        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: AnyKey.self)
            let key = members.allKeys.first ?? AnyKey(stringValue: "")
            switch Value.self {
            case is Int.Type:
                guard let number = try members.decode(Int.self, forKey: key) as? Value else { throw Unreadable("") }
                value = number
            case is Double.Type:
                guard let number = try members.decode(Double.self, forKey: key) as? Value else { throw Unreadable("") }
                value = number
            default: value = try members.decode(Value.self, forKey: key)
            }
        }
    }

    private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func list(_ name: String) throws(Unreadable) -> [JSONValue] {
        let found = try must(name)
        guard let items = found.arrayValue else { throw Unreadable("\(name): must be a list, but is \(found.inWords)") }
        return items
    }

    mutating func text(_ name: String) -> String? { may(name, String.self) }

    // MARK: - Times

    /// 1970 to 2200. Programs write year 0 or 1 for "not yet", and a date without a time zone for their own zone.
    private static let sane = Timestamp(milliseconds: 0)...Timestamp(milliseconds: 7_258_118_399_999)

    /// nil: absent, or a program's way to say so, or no time at all, which is noted.
    mutating func time(_ name: String) -> Timestamp? {
        guard let found = member(name) else { return nil }
        guard let text = found.stringValue else {
            note("\(name): must be a time as a text (RFC 3339), but is \(found.inWords)")
            return nil
        }
        guard let time = Timestamp(text) else {
            if !text.isEmpty {
                note(
                    Timestamp("\(text)Z") == nil
                        ? "\(name): '\(text.prefix(40))' is no RFC 3339 time"
                        : "\(name): '\(text)' says no time zone; write Z or an offset such as +02:00 behind it")
            }
            return nil
        }
        guard Self.sane.contains(time) else {
            if time > Self.sane.upperBound { note("\(name): '\(text.prefix(40))' is after the year 2199") }
            return nil
        }
        return time
    }

    // MARK: - Jobs

    /// A time that the provider did not say in a readable way. It moves nothing forward.
    static let unsaid = Timestamp(milliseconds: 0)
    static let unnamed: (ServiceID, TenantID) = ("unknown", "unknown")

    mutating func job() throws(Unreadable) -> ProviderJob {
        let id = try must("id", JobID.self)
        let word = try must("state", String.self)
        guard let state = JobState(rawValue: word), state.isProviderState else {
            let words = JobState.allCases.filter(\.isProviderState).map(\.rawValue).joined(separator: ", ")
            throw Unreadable(
                Self.short(
                    "state: '\(word.unicodeScalars.prefix(60).reduce(into: "") { $0.unicodeScalars.append($1) })' "
                        + "is no state of a provider's job; those are \(words)"))
        }
        let revision = try must("revision", Int.self)
        let updated = time("updated")
        var job = ProviderJob(
            id: id, service: may("service", ServiceID.self) ?? Self.unnamed.0,
            tenant: may("tenant", TenantID.self) ?? Self.unnamed.1, state: state, revision: revision,
            attempt: may("attempt", Int.self), progress: may("progress", Double.self), message: message("message"),
            created: time("created") ?? updated ?? Self.unsaid, started: time("started"),
            updated: updated ?? Self.unsaid, finished: time("finished"), labels: labels(), outputs: outputs())
        if state == .failed { job.error = member("error").flatMap(Self.problem) }
        AnswerLimits.cut(&job)
        return job
    }

    /// What is no text is shown as it is.
    private func message(_ name: String) -> String? {
        guard let found = member(name) else { return nil }
        return found.stringValue ?? Self.shown(found)
    }

    private static func shown(_ value: JSONValue) -> String { short(value.text()) }

    /// Null says nothing, numbers are texts here; what is neither is left out.
    private mutating func labels() -> [String: String]? {
        guard let found = member("labels") else { return nil }
        guard let members = found.objectValue else {
            note("labels: must be an object, but is \(found.inWords)")
            return nil
        }
        return members.compactMapValues { label in
            switch label {
            case .string(let text): text
            case .int, .double, .number, .bool: label.text()
            case .null, .array, .object: nil
            }
        }
    }

    private mutating func outputs() -> JSONObject? {
        guard let found = member("outputs") else { return nil }
        guard let members = found.objectValue else {
            note("outputs: must be an object, but is \(found.inWords)")
            return nil
        }
        return members
    }

    // MARK: - Errors

    /// RFC 9457: without a type it is this one.
    static let noType = "about:blank"

    /// Programs write errors in many shapes. Whatever it is, something of it can be read.
    static func problem(_ value: JSONValue) -> Problem? {
        guard case .object(let members) = value else {
            switch value {
            case .null: return nil
            case .string(let text): return isBlank(text) ? nil : cut(Problem(type: noType, detail: text))
            default: return cut(Problem(type: noType, detail: shown(value)))
            }
        }
        func text(_ names: String...) -> String? {
            for name in names {
                switch members[name] {
                case .string(let text)? where !isBlank(text): return text
                case .int?, .double?, .number?, .bool?: return members[name]?.text()
                default: continue
                }
            }
            return nil
        }
        var problem = Problem(
            type: members["type"]?.stringValue ?? noType, title: text("title"),
            detail: text("detail", "message", "reason", "error_description", "error", "msg", "code"),
            instance: text("instance"), retryable: members["retryable"]?.boolValue,
            errors: members["errors"].flatMap(fieldErrors))
        if let status = members["status"]?.intValue, (100...599).contains(status) { problem.status = Int(status) }
        // Whoever lists jobs and runs shows the detail. RFC 9457 wants none of its members, so it comes from what there is.
        if problem.detail == nil {
            problem.detail = problem.title ?? problem.errors.map(inWords)
            if problem.detail == nil, problem.type == noType, !members.isEmpty { problem.detail = shown(value) }
        }
        return cut(problem)
    }

    private static func isBlank(_ text: String) -> Bool { text.allSatisfy(\.isWhitespace) }

    private static func inWords(_ errors: [FieldError]) -> String {
        errors.prefix(3).map { $0.pointer.isEmpty ? $0.detail : "\($0.pointer): \($0.detail)" }.joined(separator: "; ")
    }

    private static func cut(_ problem: Problem) -> Problem {
        var problem = problem
        AnswerLimits.cut(&problem)
        // `stale-epoch` is the gateway's own word, on which a Work Manager ends itself: in a provider's mouth it is
        // another one, or any provider could end the Work Managers of its tenants.
        if problem.slug == ProblemSlug.staleEpoch.rawValue { problem.type = ProblemSlug.providerFenced.urn }
        return problem
    }

    /// A list of pointers and details, of texts, or a map from fields to one text or several.
    private static func fieldErrors(_ value: JSONValue) -> [FieldError]? {
        func details(_ value: JSONValue) -> [String] {
            switch value {
            case .null: []
            case .string(let text): [text]
            case .array(let items): items.prefix(AnswerLimits.maxErrors).map { $0.stringValue ?? shown($0) }
            default: [shown(value)]
            }
        }
        let errors: [FieldError]
        switch value {
        case .array(let items):
            errors = items.prefix(AnswerLimits.maxErrors).map { item in
                let pointer = item["pointer"]?.stringValue ?? item["field"]?.stringValue ?? ""
                let detail = item["detail"]?.stringValue ?? item["message"]?.stringValue ?? item.stringValue
                return FieldError(pointer: pointer, detail: detail ?? shown(item))
            }
        case .object(let members):
            errors = members.sortedByName.flatMap { field, value in
                details(value).map { FieldError(pointer: field.hasPrefix("/") ? field : "/\(field)", detail: $0) }
            }
        default: errors = details(value).map { FieldError(pointer: "", detail: $0) }
        }
        return errors.isEmpty ? nil : Array(errors.prefix(AnswerLimits.maxErrors))
    }

    // MARK: - Status

    mutating func status() throws(Unreadable) -> ProviderStatus {
        var status = ProviderStatus(
            status: try must("status", ProviderStatus.Level.self), version: try must("version", String.self),
            release: text("release"), time: time("time") ?? Self.unsaid, startedAt: time("started_at") ?? Self.unsaid,
            uptimeSeconds: may("uptime_s", Int.self) ?? 0, accepting: try must("accepting", Bool.self),
            retentionSeconds: may("retention_s", Int.self), jobs: may("jobs", ProviderJobFigures.self),
            output: message("output"))
        if let features = member("features") {
            status.features = features.arrayValue?.compactMap(\.stringValue)
            if status.features == nil { note("features: must be a list, but is \(features.inWords)") }
        }
        // 0 or -1 is how some say that they keep everything: unlimited is not known to be limited.
        if let retention = status.retentionSeconds, retention <= 0 { status.retentionSeconds = nil }
        AnswerLimits.cut(&status)
        status.odd = firstNote
        return status
    }

    mutating func statistics() -> JobStatistics {
        let said = member("statistics")
        if said == nil { note("statistics: is missing") }
        var figures = OddRow(said ?? .object([:]))
        let statistics = JobStatistics(
            asOf: figures.time("as_of") ?? Self.unsaid, counts: figures.may("counts", [String: Int].self) ?? [:],
            oldestQueuedSeconds: figures.may("oldest_queued_s", Int.self))
        if let odd = figures.firstNote { note("statistics/\(odd)") }
        return statistics
    }
}

extension ProviderJob {
    /// Whether it can be the job of this request; what could not be read says nothing against it.
    func answers(_ request: JobRequest) -> Bool {
        (service == request.service || service == OddRow.unnamed.0)
            && (tenant == request.tenant || tenant == OddRow.unnamed.1)
            && labels?["run_id"] == request.labels?["run_id"]
    }

    /// A change whose time was not said happened by now.
    func timed(_ now: Timestamp) -> ProviderJob {
        guard updated == OddRow.unsaid else { return self }
        var job = self
        job.updated = now
        return job
    }
}
