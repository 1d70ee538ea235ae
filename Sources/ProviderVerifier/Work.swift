import OMSModel

/// A service and the jobs with which it can be tried: the members `config` and `input` of a submit.
struct Work: Sendable {
    var service: String
    /// Ends soon.
    var short: JSONValue
    /// Runs for a while, if the provider has such.
    var long: JSONValue?

    /// What the operator gave: a configuration, or an object with `config` and `input`.
    static func given(_ document: JSONValue) -> JSONValue {
        document["config"] != nil || document["input"] != nil ? document : ["config": document]
    }

    /// `defaults`, with each of the `examples` of `parameters_schema` and `input_schema`, the last of the shorter row
    /// for all that follow.
    static func examples(of service: JSONValue) -> [JSONValue] {
        var config = service["defaults"]?.objectValue ?? [:]
        config["frequency"] = nil  // the schedule is not the provider's
        let parameters = service["parameters_schema"]?["examples"]?.arrayValue ?? []
        let inputs = service["input_schema"]?["examples"]?.arrayValue ?? []
        return (0..<max(1, parameters.count, inputs.count)).map { index in
            var job: JSONObject = [:]
            var own = config
            if let example = parameters.dropFirst(index).first ?? parameters.last { own["parameters"] = example }
            job["config"] = .object(own)
            if let example = inputs.dropFirst(index).first ?? inputs.last {
                job["input"] = example
            } else if let made = minimal(service["input_schema"]) {
                job["input"] = made
            }
            return .object(job)
        }
    }

    /// The least that an object schema with required texts and numbers takes; nil when nothing is required.
    private static func minimal(_ schema: JSONValue?) -> JSONValue? {
        guard let required = schema?["required"]?.arrayValue?.compactMap(\.stringValue), !required.isEmpty else {
            return nil
        }
        var members: JSONObject = [:]
        for name in required {
            let property = schema?["properties"]?[name]
            if let given = property?["examples"]?[0] ?? property?["default"] ?? property?["enum"]?[0] {
                members[name] = given
                continue
            }
            switch property?["type"]?.stringValue {
            case "integer", "number": members[name] = property?["minimum"] ?? 1
            case "boolean": members[name] = false
            case "array": members[name] = []
            case "object": members[name] = minimal(property) ?? [:]
            default: members[name] = "oms verify"
            }
        }
        return .object(members)
    }
}

extension JSONValue {
    /// A job with one member of its configuration changed.
    func configured(_ member: String, _ value: JSONValue) -> JSONValue {
        var job = objectValue ?? [:]
        var config = job["config"]?.objectValue ?? [:]
        config[member] = value
        job["config"] = .object(config)
        return .object(job)
    }
}
