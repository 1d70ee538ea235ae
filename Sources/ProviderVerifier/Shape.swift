import OMSModel

/// Forms of the contract, checked on plain JSON so that each wrong member has its pointer.
struct Shape {
    private(set) var problems: [String] = []
    /// Members that are null, which the contract does not know.
    private(set) var nulls: [String] = []
    private let value: JSONValue
    private let path: String

    init(_ value: JSONValue?, _ path: String = "") {
        self.value = value ?? .null
        self.path = path
        if case .object(let members) = self.value {
            nulls = members.filter { $0.value == .null }.map { "\(path)/\($0.key)" }.sorted()
        } else {
            problems.append("\(path.isEmpty ? "the body" : path) must be an object")
        }
    }

    private mutating func wrong(_ name: String, _ rule: String) { problems.append("\(path)/\(name) \(rule)") }

    mutating func merge(_ other: Shape) {
        problems += other.problems
        nulls += other.nulls
    }

    mutating func member(
        _ name: String, required: Bool = true, _ rule: String, _ isRight: (JSONValue) -> Bool
    ) {
        guard let member = value[name], member != .null else {
            if required { wrong(name, "is required: \(rule)") }
            return
        }
        if !isRight(member) { wrong(name, "must be \(rule)") }
    }

    mutating func text(_ name: String, required: Bool = true, atMost limit: Int = 1_000_000) {
        member(name, required: required, "a text of at most \(limit) bytes") {
            ($0.stringValue?.utf8.count ?? .max) <= limit
        }
    }

    mutating func name(_ name: String) { member(name, nameRule) { $0.stringValue.flatMap { TenantID($0) } != nil } }
    mutating func flag(_ name: String, required: Bool = true) {
        member(name, required: required, "true or false") { $0.boolValue != nil }
    }
    mutating func count(_ name: String, required: Bool = true, from least: Int64 = 0) {
        member(name, required: required, "an integer from \(least)") { ($0.intValue ?? -1) >= least }
    }
    mutating func time(_ name: String, required: Bool = true) {
        member(name, required: required, "an RFC 3339 time in UTC with Z") {
            $0.stringValue.map { Timestamp($0) != nil && $0.hasSuffix("Z") } ?? false
        }
    }
    mutating func oneOf(_ name: String, _ values: [String]) {
        member(name, "one of \(values.joined(separator: ", "))") { $0.stringValue.map(values.contains) ?? false }
    }
    mutating func absent(_ name: String, when condition: String) {
        if let member = value[name], member != .null { wrong(name, "must be absent \(condition)") }
    }

    // MARK: The forms

    static func service(_ value: JSONValue, _ path: String) -> Shape {
        var shape = Shape(value, path)
        shape.name("id")
        shape.name("type")
        shape.text("version", atMost: 64)
        shape.text("name", atMost: 255)
        shape.flag("available")
        shape.flag("stoppable", required: false)
        for schema in ["parameters_schema", "input_schema", "output_schema"] {
            shape.member(schema, required: false, "a JSON Schema (an object, true or false)") {
                $0.objectValue != nil || $0.boolValue != nil
            }
        }
        shape.member("defaults", required: false, "an object") { $0.objectValue != nil }
        return shape
    }

    static let states = ["queued", "running", "stopping", "succeeded", "failed", "stopped"]
    static let terminal: Set<String> = ["succeeded", "failed", "stopped"]

    static func job(_ value: JSONValue?, _ path: String = "") -> Shape {
        var shape = Shape(value, path)
        shape.member("id", "a UUID of version 7 in lower case") {
            $0.stringValue.map { JobID($0)?.description == $0 } ?? false
        }
        shape.name("service")
        shape.name("tenant")
        shape.oneOf("state", states)
        shape.count("revision", from: 1)
        shape.count("attempt", required: false, from: 1)
        shape.member("progress", required: false, "a number from 0 to 100") {
            $0.doubleValue.map { (0...100).contains($0) } ?? false
        }
        shape.text("message", required: false, atMost: 4_096)
        shape.time("created")
        shape.time("started", required: false)
        shape.time("updated")
        let state = value?["state"]?.stringValue ?? ""
        shape.time("finished", required: terminal.contains(state))
        if !terminal.contains(state) { shape.absent("finished", when: "before the end") }
        if state == "failed" {
            shape.merge(problem(value?["error"], "\(path)/error"))
        } else {
            shape.absent("error", when: "unless it failed")
        }
        return shape
    }

    static func status(_ value: JSONValue?) -> Shape {
        var shape = Shape(value)
        shape.oneOf("status", ["pass", "warn", "fail"])
        shape.oneOf("version", ["1"])
        shape.time("time")
        shape.time("started_at")
        shape.count("uptime_s")
        shape.flag("accepting")
        shape.count("retention_s", required: false, from: 1)
        shape.member("features", required: false, "an array of names") {
            $0.arrayValue.map { $0.allSatisfy { $0.stringValue != nil } } ?? false
        }
        var jobs = Shape(value?["jobs"], "/jobs")
        for name in ["queued", "running", "executed_today", "succeeded_today", "failed_today", "stopped_today"] {
            jobs.count(name)
        }
        shape.merge(jobs)
        return shape
    }

    static func problem(_ value: JSONValue?, _ path: String = "") -> Shape {
        var shape = Shape(value, path)
        shape.text("type", atMost: 1_024)
        shape.text("title", required: false)
        shape.text("detail", required: false)
        shape.flag("retryable", required: false)
        shape.member("errors", required: false, "an array of {pointer, detail}") {
            $0.arrayValue.map {
                $0.allSatisfy { $0["pointer"]?.stringValue != nil && $0["detail"]?.stringValue != nil }
            }
                ?? false
        }
        return shape
    }
}
