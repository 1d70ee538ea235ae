import OMSModel

/// Judges a submit as the contract says.
enum JobForm {
    enum Verdict {
        case good
        case refused(Answer)
    }

    static let service = "count"

    static func check(_ body: JSONValue, key: String?, lies: Set<Lie>) -> Verdict {
        guard case .object(let members) = body else {
            return .refused(.problem(400, .badRequest, "the body must be an object"))
        }
        var errors: [String: String] = [:]
        if members["id"]?.stringValue.flatMap({ JobID($0) }) == nil { errors["/id"] = "must be a UUID of version 7" }
        if members["tenant"]?.stringValue.flatMap({ TenantID($0) }) == nil { errors["/tenant"] = "must be a name" }
        guard let service = members["service"]?.stringValue else {
            errors["/service"] = "is required"
            return .refused(.problem(422, .invalidConfig, "see errors", errors: errors))
        }
        if let key, key != "\"\(members["id"]?.stringValue ?? "")\"" {
            return .refused(.problem(400, .badRequest, "Idempotency-Key is not the id"))
        }
        if !lies.contains(.acceptsAnyConfig) { errors.merge(configErrors(members["config"])) { first, _ in first } }
        if !errors.isEmpty { return .refused(.problem(422, .invalidConfig, "see errors", errors: errors)) }
        if service != Self.service, !lies.contains(.acceptsUnknownService) {
            return .refused(.problem(404, lies.contains(.wrongSlugs) ? .notFound : .noSuchService, "no '\(service)'"))
        }
        return .good
    }

    private static func configErrors(_ config: JSONValue?) -> [String: String] {
        guard let config else { return [:] }
        guard case .object(let members) = config else { return ["/config": "must be an object"] }
        var errors: [String: String] = [:]
        if let timeout = members["timeout_s"], !(timeout.intValue.map { (1...86_400).contains($0) } ?? false) {
            errors["/config/timeout_s"] = "must be an integer from 1 to 86400"
        }
        switch members["parameters"] {
        case nil: break
        case .object(let parameters)?:
            for name in parameters.keys where name != "duration_ms" {
                errors["/config/parameters/\(name)"] = "is not known"
            }
            if let duration = parameters["duration_ms"],
                !(duration.intValue.map { (0...600_000).contains($0) } ?? false)
            {
                errors["/config/parameters/duration_ms"] = "must be an integer from 0 to 600000"
            }
        default: errors["/config/parameters"] = "must be an object"
        }
        return errors
    }

    static func catalogue(version: Int) -> JSONValue {
        ["services": [description(version: version)]]
    }

    static func description(version: Int) -> JSONValue {
        [
            "id": .string(service), "type": "count", "version": .string("1.0.\(version)"), "name": "Counting",
            "available": true, "stoppable": true, "limits": ["max_timeout_s": 86_400],
            "defaults": ["timeout_s": 600],
            "parameters_schema": [
                "type": "object", "additionalProperties": false,
                "properties": ["duration_ms": ["type": "integer", "minimum": 0, "maximum": 600_000]],
                "examples": [["duration_ms": 20], ["duration_ms": 60_000]],
            ],
        ]
    }
}
