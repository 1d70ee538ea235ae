import OMSModel

extension JobID {
    /// Lower case only: ids are compared as texts in many places, and two spellings would be two jobs in some of them.
    init?(canonical text: String) {
        guard let id = JobID(text), id.description == text else { return nil }
        self = id
    }
}

/// Bodies of requests, decoded member by member, so that every wrong one is named by its pointer.
struct BodyReader {
    let members: JSONObject
    private(set) var errors: [FieldError] = []

    /// - Throws: `Problem` 400: not JSON, not an object.
    init(_ value: JSONValue) throws {
        guard let members = value.objectValue else {
            throw Problem(.badRequest, "the body must be a JSON object", status: 400, retryable: false)
        }
        self.members = members
    }

    /// - Throws: `Problem` 400.
    static func parse(_ body: [UInt8]) throws -> JSONValue {
        if body.isEmpty {
            throw Problem(.badRequest, "the body is empty; send a JSON object", status: 400, retryable: false)
        }
        do {
            return try JSONText.parse(body)
        } catch {
            throw Problem(.badRequest, "the body is not valid JSON (UTF-8)", status: 400, retryable: false)
        }
    }

    /// - Throws: `Problem` 422 with all errors found.
    func finish() throws {
        if errors.isEmpty { return }
        let summary = errors.map { "\($0.pointer): \($0.detail)" }.joined(separator: "; ")
        throw Problem(.invalidConfig, String(summary.prefix(2000)), status: 422, retryable: false, errors: errors)
    }

    mutating func refuse(_ pointer: String, _ detail: String) {
        if errors.count < 50 { errors.append(FieldError(pointer: pointer, detail: detail)) }
    }

    mutating func required<Value>(_ name: String, _ rule: String, _ convert: (String) -> Value?) -> Value? {
        guard let value = members[name] else {
            refuse("/\(name)", "is required: \(rule)")
            return nil
        }
        guard let result = value.stringValue.flatMap(convert) else {
            refuse("/\(name)", "must be \(rule)")
            return nil
        }
        return result
    }
}

extension JobRequest {
    /// Reads the body of `POST /jobs/`; unknown members are ignored.
    ///
    /// - Throws: `Problem` 400 or 422.
    init(body: JSONValue) throws {
        var reader = try BodyReader(body)
        let id = reader.required(
            "id", "a UUID of version 7 in lower case, for example 018f4e6a-0000-7000-8000-000000000000"
        ) {
            JobID(canonical: $0)
        }
        let service = reader.required("service", "the id of a service (see GET /services); \(nameRule)") {
            ServiceID($0)
        }
        let tenant = reader.required("tenant", "the tenant's name; \(nameRule)") { TenantID($0) }
        var deadline: Timestamp?
        if let value = reader.members["deadline"] {
            deadline = value.stringValue.flatMap { Timestamp($0) }
            if deadline == nil {
                reader.refuse("/deadline", "must be an RFC 3339 time, for example 2026-01-31T09:30:00Z")
            }
        }
        let labels = reader.labels()
        let config = reader.config()
        try reader.finish()
        guard let id, let service, let tenant else {
            preconditionFailure("finish() throws when a required member is missing")
        }
        self.init(
            id: id, service: service, tenant: tenant, config: config, input: body["input"], deadline: deadline,
            labels: labels)
    }
}

extension JobAction {
    /// Reads the body of `POST /jobs/{id}`.
    init(body: JSONValue) throws {
        var reader = try BodyReader(body)
        let action = reader.required("action", "'stop', the only action") { $0 == "stop" ? $0 : nil }
        let grace = reader.integer("grace_s", at: "", in: 0...86_400, reader.members["grace_s"])
        var reason: String?
        if let value = reader.members["reason"] {
            reason = value.stringValue
            if (reason?.unicodeScalars.count ?? Int.max) > 1024 {
                reader.refuse("/reason", "must be a text of at most 1024 characters")
            }
        }
        try reader.finish()
        self.init(action: action ?? "stop", graceSeconds: grace, reason: reason)
    }
}

extension BodyReader {
    fileprivate mutating func labels() -> [String: String]? {
        guard let value = members["labels"] else { return nil }
        guard let members = value.objectValue, members.count <= 64,
            members.keys.allSatisfy({ $0.unicodeScalars.count <= 128 })
        else {
            refuse("/labels", "must be an object of at most 64 texts, with names of at most 128 characters")
            return nil
        }
        var labels: [String: String] = [:]
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            if let text = value.stringValue, text.unicodeScalars.count <= 1024 {
                labels[key] = text
            } else {
                let pointer = "/labels/\(key.replacing("~", with: "~0").replacing("/", with: "~1"))"
                refuse(pointer, "must be a text of at most 1024 characters")
            }
        }
        return labels
    }

    fileprivate mutating func config() -> ServiceConfig {
        guard let value = members["config"] else { return ServiceConfig() }
        guard let config = value.objectValue else {
            refuse("/config", "must be an object")
            return ServiceConfig()
        }
        var result = ServiceConfig(parameters: config["parameters"])
        if let parameters = config["parameters"], parameters.objectValue == nil {
            refuse("/config/parameters", "must be an object")
        }
        result.timeoutSeconds = integer("timeout_s", at: "/config", in: 1...2_592_000, config["timeout_s"])
        result.dataSource = location("data_source", config["data_source"])
        result.outputSource = location("output_source", config["output_source"])
        // `frequency` is the Work Manager's: a provider sees single jobs. It is checked for its form and not kept.
        if let frequency = config["frequency"] { check(frequency: frequency) }
        return result
    }

    private mutating func location(_ name: String, _ value: JSONValue?) -> DataLocation? {
        guard let value else { return nil }
        let pointer = "/config/\(name)"
        guard let members = value.objectValue else {
            refuse(pointer, "must be an object with the member 'uri'")
            return nil
        }
        guard let uri = members["uri"]?.stringValue, (3...2048).contains(uri.unicodeScalars.count) else {
            refuse(pointer + "/uri", members["uri"] == nil ? "is required" : "must be a text of 3 to 2048 characters")
            return nil
        }
        for member in ["type", "credential"] {
            if let value = members[member], value.stringValue == nil {
                refuse("\(pointer)/\(member)", "must be a text")
            }
        }
        return DataLocation(
            uri: uri, type: members["type"]?.stringValue, credential: members["credential"]?.stringValue)
    }

    fileprivate mutating func integer(_ name: String, at base: String, in range: ClosedRange<Int>, _ value: JSONValue?)
        -> Int?
    {
        guard let value else { return nil }
        guard let number = value.intValue, range.contains(Int(number)) else {
            refuse("\(base)/\(name)", "must be an integer from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return Int(number)
    }

    private mutating func check(frequency: JSONValue) {
        let kinds = ["once", "every_s", "cron"].filter { frequency[$0] != nil }
        if frequency.objectValue == nil || kinds.count != 1 {
            return refuse("/config/frequency", "must be an object with exactly one of once, every_s, cron")
        }
        let base = "/config/frequency"
        switch kinds[0] {
        case "once": if frequency["once"] != true { refuse(base + "/once", "must be true") }
        case "every_s":
            _ = integer("every_s", at: base, in: 1...Int.max, frequency["every_s"])
            _ = integer("jitter_s", at: base, in: 0...Int.max, frequency["jitter_s"])
        default:
            for member in ["cron", "timezone"] {
                if let value = frequency[member], value.stringValue == nil {
                    refuse("\(base)/\(member)", "must be a text")
                }
            }
        }
    }
}
