import OMSCore
import OMSModel

@testable import OMSProtocol

/// Makes JSON that a reader takes, from the schema that the reader itself shows (`SchemaRecorder`): every member or few of
/// them, with names that mean something to the cores or none, numbers at the edges of what there is, and texts that
/// somebody may have thought nobody writes.
struct ValueGenerator {
    var generator: SplitMix64
    let definitions: [String: YAMLNode]
    /// Identifiers that mean something where the value goes.
    var jobs: [String] = []
    var now = "2023-11-14T22:13:30.000Z"
    /// So many members, elements and values may still be made.
    private var budget = 400

    init(seed: UInt64, definitions: [String: YAMLNode]) {
        generator = SplitMix64(seed: seed)
        self.definitions = definitions
    }

    mutating func text(of schema: YAMLNode) -> String {
        budget = 400
        return value(schema, member: "", depth: 0)
    }

    private mutating func value(_ schema: YAMLNode, member: String, depth: Int) -> String {
        budget -= 1
        guard case .map(let members) = schema else { return "null" }
        func entry(_ key: String) -> YAMLNode? { members.first { $0.key == key }?.value }
        if case .text(let reference)? = entry("$ref") {
            let name = String(reference.split(separator: "/").last ?? "")
            switch name {
            case "Name": return quoted(pick(Self.names))
            case "UUIDv7": return quoted(chance(3) ? pick(jobs + [Self.job]) : Self.job)
            case "Timestamp": return quoted(chance(2) ? now : pick(Self.times))
            default: return value(definitions[name] ?? .map([]), member: member, depth: depth)
            }
        }
        if case .list(let words)? = entry("enum") {
            guard case .text(let word)? = words.randomElement(using: &generator) else { return "null" }
            return quoted(word)
        }
        guard case .text(let type)? = entry("type") else { return free(depth) }
        switch type {
        case "boolean": return pick(["true", "false"])
        case "integer": return integer(member, least: entry("minimum"), most: entry("maximum"))
        case "number": return pick(Self.numbers)
        case "string": return string(member, pattern: entry("pattern"))
        case "array":
            let count = budget < 0 || depth > 12 ? 0 : pick([0, 1, 1, 2, 3, chance(20) ? 60 : 2])
            return "["
                + (0..<count).map { _ in value(entry("items") ?? .map([]), member: member, depth: depth + 1) }
                .joined(separator: ",") + "]"
        default: return object(schema, entry, depth)
        }
    }

    private mutating func object(_ schema: YAMLNode, _ entry: (String) -> YAMLNode?, _ depth: Int) -> String {
        var parts: [String] = []
        if case .map(let properties)? = entry("properties") {
            var required: Set<String> = []
            if case .list(let names)? = entry("required") {
                for case .text(let name) in names { required.insert(name) }
            }
            let isSparse = chance(3)
            for property in properties {
                guard required.contains(property.key) || (budget > 0 && !(isSparse ? chance(2) : chance(8))) else {
                    continue
                }
                parts.append(quoted(property.key) + ":" + value(property.value, member: property.key, depth: depth + 1))
            }
        }
        if let values = entry("additionalProperties") {
            for _ in 0..<(budget < 0 ? 0 : pick([0, 1, 2])) {
                let key: String
                if let names = entry("propertyNames") {
                    key = value(names, member: "", depth: depth + 1)
                } else {
                    key = quoted(chance(2) ? pick(Self.labels) : pick(Self.texts))
                }
                parts.append(key + ":" + value(values, member: "", depth: depth + 1))
            }
        }
        return "{" + parts.joined(separator: ",") + "}"
    }

    // MARK: - Values

    private mutating func integer(_ member: String, least: YAMLNode?, most: YAMLNode?) -> String {
        var edges = Self.integers
        if case .int(let least)? = least {
            edges = ["\(least)", "\(least)", "\(least &+ 1)"] + edges.filter { Int($0).map { $0 >= least } ?? false }
        }
        if case .int(let most)? = most {
            edges = ["\(most)", "\(most)", "\(most &- 1)"] + edges.filter { Int($0).map { $0 <= most } ?? false }
        }
        // Most are to be understood: who asks with a wrong epoch is sent away at the door.
        switch member {
        case "epoch": return chance(4) ? pick(edges) : pick(["1", "1", "1", "2"])
        case "boot": return chance(4) ? pick(edges) : pick(["4", "7", "9"])
        default: return chance(2) ? pick(edges) : pick(["0", "1", "2", "5", "60"])
        }
    }

    private mutating func string(_ member: String, pattern: YAMLNode?) -> String {
        switch member {
        case "method": return quoted(pick(Self.methods))
        case "base_url": return quoted(pick(["http://alpha.example", "https://x", "ftp://", ""]))
        case "timezone": return quoted(pick(["Europe/Berlin", "UTC", "Nowhere"]))
        case "cron": return quoted(pick(["*/5 * * * *", "0 0 29 2 *", "@daily", "61 * * * *"]))
        default: return quoted(chance(2) ? pick(Self.texts) : pick(Self.labels))
        }
    }

    /// Free-form: anything.
    private mutating func free(_ depth: Int) -> String {
        guard depth < 16, budget > 0 else { return "null" }
        budget -= 1
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: return "[" + free(depth + 1) + "," + free(depth + 1) + "]"
        case 1, 2:
            return "{" + quoted(pick(Self.labels)) + ":" + free(depth + 1) + "," + quoted(pick(Self.texts)) + ":"
                + free(depth + 1) + "}"
        case 3: return pick(Self.numbers)
        case 4: return pick(Self.integers)
        case 5: return pick(["null", "true", "false", "[]", "{}"])
        default: return quoted(pick(Self.texts))
        }
    }

    private mutating func pick<Choice>(_ choices: [Choice]) -> Choice where Choice: Defaulted {
        choices.randomElement(using: &generator) ?? Choice.none
    }

    /// One time in so many.
    private mutating func chance(_ times: Int) -> Bool { Int.random(in: 0..<times, using: &generator) == 0 }

    private func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\" + String(scalar)
            case "\u{0}"..."\u{1f}":
                result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private static let job = "018bcfe5-6800-7d3e-8f40-112233445566"
    private static let names = [
        "men", "women", "alpha", "beta", "harvest", "recommend", "s", "f1", "g1", "r1", "cli-1", "x",
    ]
    private static let labels = [
        "run_id", "service", "attempt", "upstream", "tenant", "rows", "value", "documents", "spec",
    ]
    private static let methods = [
        "apply", "run", "replace", "suspend", "resume", "offboard", "drain", "undrain", "force", "abort", "retry",
        "rollout", "verification", "explain", "plan", "jobs", "why", "status", "nonsense",
    ]
    private static let times = [
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2023-11-14T22:13:20Z",
        "2199-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z", "2026-01-01T00:00:00+23:59",
        "2024-02-29T12:00:00-12:00",
    ]
    private static let integers = [
        "0", "-1", "1", "2", "3", "100", "86400", "31536000", "31536001", "2147483646", "2147483647", "2147483648",
        "4294967296", "9007199254740992", "4611686018427387904", "9223372036854775806", "9223372036854775807",
        "-9223372036854775808", "-2147483648", "9223372036854775", "-9300000000000000",
    ]
    private static let numbers = [
        "0", "-0", "0.5", "100", "-1", "1e308", "-1e308", "1.7976931348623157e308", "5e-324", "1e18", "1e19", "12.5",
        "9007199254740993", "9223372036854775807", "123456789012345678901234567890",
    ]
    private static let texts = [
        "", "x", "\u{0}", "\u{1}\u{2}\u{1f}", "\"\\/", "e\u{301}", "é", "\u{202e}\u{2066}", "\u{1b}[2J\u{7}\r\n",
        "\u{fffd}",
        "👩‍👩‍👧", String(repeating: "\u{1}", count: 3_000), String(repeating: "é", count: 2_000),
        String(repeating: "x", count: 70),
        "urn:oms:problem:stale-epoch", "9223372036854775807", "1e400", "../..", "service/harvest", "tenant",
    ]
}

/// So that an empty list of choices is no trap.
protocol Defaulted { static var none: Self { get } }
extension String: Defaulted { static var none: String { "" } }
extension Int: Defaulted { static var none: Int { 0 } }
