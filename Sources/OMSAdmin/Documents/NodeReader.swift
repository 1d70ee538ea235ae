import OMSDev
import OMSModel

/// Turns the nodes of a YAML document into values and remembers their lines.
struct NodeReader {
    /// Aliases can make a small file huge, so what counts is what comes out, of the whole file.
    struct Budget {
        var values = 100_000
        var bytes = 4 << 20
    }

    let path: String
    let source: Variables
    let variables: (String) -> String?
    var budget: Budget

    private static let maxDepth = JSONLimits.borderDepth

    mutating func read(_ node: YAMLNode) throws -> (JSONValue, SourceLines) { try read(node, node.line, depth: 0) }

    /// - Parameter line: where what it belongs to stands: a mapping's own value begins on the line after its key.
    private mutating func read(_ node: YAMLNode, _ line: Int, depth: Int) throws -> (JSONValue, SourceLines) {
        try spend(values: 1, at: line)
        guard depth < Self.maxDepth else { throw fault(line, "too deeply nested; at most \(Self.maxDepth) deep") }
        switch node.content {
        case .scalar(let text, let isPlain):
            return (try scalar(text, isPlain, node.tag, line), SourceLines(line: line))
        case .sequence(let items):
            try check(node.tag, of: "seq", line)
            var (values, lines) = ([JSONValue](), SourceLines(line: line))
            for item in items {
                let (value, place) = try read(item, item.line, depth: depth + 1)
                values.append(value)
                lines.items.append(place)
            }
            return (.array(values), lines)
        case .mapping:
            try check(node.tag, of: "map", line)
            var (values, lines) = (JSONObject(), SourceLines(line: line))
            for member in try members(of: node, line, depth: depth) {
                let (value, place) = try read(member.value, member.line, depth: depth + 1)
                values[member.name] = value
                lines.members[JSONKey(text: member.name)] = place
            }
            return (.object(values), lines)
        }
    }

    // MARK: Mappings

    private struct Member {
        var name: String
        var value: YAMLNode
        var line: Int
    }

    /// With what the merge key `<<` brings (YAML 1.1's, which most tools know): the mapping's own members stand, and of
    /// several merged mappings the first.
    private mutating func members(of node: YAMLNode, _ line: Int, depth: Int) throws -> [Member] {
        try spend(values: 1, at: line)
        guard depth < Self.maxDepth, case .mapping(let mapping) = node.content else {
            throw fault(line, "too deeply nested; at most \(Self.maxDepth) deep")
        }
        var own: [Member] = []
        var merged: [Member] = []
        var places: [JSONKey: Int] = [:]
        for (key, value) in mapping {
            let place = key.line
            guard case .scalar(let text, let isPlain) = key.content else {
                throw fault(place, "a key must be a plain text")
            }
            try spend(bytes: text.utf8.count, at: place)
            if text == "<<", isPlain {
                for source in try mergeSources(value, place) {
                    merged += try members(of: source, place, depth: depth + 1)
                }
                continue
            }
            let name = try filled(text, place)
            if let first = name.unicodeScalars.first(where: SourceText.isOddSpace),
                name.unicodeScalars.first == first || name.unicodeScalars.last == first
            {
                throw fault(place, "the key '\(name)' begins or ends with a no-break space; type it again")
            }
            if let other = places.updateValue(place, forKey: JSONKey(text: name)) {
                throw fault(place, "the key '\(name)' stands in line \(other) already; keep one")
            }
            own.append(Member(name: name, value: value, line: place))
        }
        for member in merged where places.updateValue(member.line, forKey: JSONKey(text: member.name)) == nil {
            try spend(values: 1, at: line)
            own.append(member)
        }
        return own
    }

    private func mergeSources(_ node: YAMLNode, _ line: Int) throws -> [YAMLNode] {
        var nodes = [node]
        if case .sequence(let items) = node.content { nodes = items }
        let areMappings = nodes.allSatisfy { if case .mapping = $0.content { true } else { false } }
        guard areMappings, !nodes.isEmpty else {
            throw fault(line, "the merge key << takes a mapping or a list of them, such as <<: *common")
        }
        return nodes
    }

    // MARK: Scalars

    /// Types by YAML 1.2's core schema. Not YAML 1.1's, where `no` is false and `12:30` is 750.
    private mutating func scalar(
        _ written: String, _ isPlain: Bool, _ tag: String, _ line: Int
    ) throws -> JSONValue {
        let text = try filled(written, line)
        try spend(bytes: text.utf8.count, at: line)
        switch tag {
        // A variable's value is a text: what it looks like is chance. `!!int ${COUNT}` makes it a number.
        case "": return isPlain && !source.occur(in: written) ? try typed(text, line) : .string(text)
        case "!", Self.tag + "str": return .string(text)
        case Self.tag + "int", Self.tag + "float", Self.tag + "bool", Self.tag + "null":
            let value = try typed(text, line)
            if case .string = value {
                throw fault(line, "'\(text)' is no \(tag.dropFirst(Self.tag.count))")
            }
            return value
        default: throw fault(line, "the tag '\(tag)' is not known here; leave it out")
        }
    }

    private static let tag = "tag:yaml.org,2002:"

    private func check(_ tag: String, of kind: String, _ line: Int) throws {
        guard ["", "!", Self.tag + kind].contains(tag) else {
            throw fault(line, "the tag '\(tag)' is not known here; leave it out")
        }
    }

    private func typed(_ text: String, _ line: Int) throws -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".nan", ".NaN", ".NAN": throw fault(line, "\(text) is no number that can be sent; leave the field out")
        default: break
        }
        let digits = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        if [".inf", ".Inf", ".INF"].contains(where: { Array($0.utf8) == Array(digits) }) { throw tooLarge(text, line) }
        guard let first = digits.first, isDigit(first) || first == UInt8(ascii: "."),
            digits.allSatisfy({ "0123456789.eE+-".utf8.contains($0) })
        else { return .string(text) }
        if let number = Int64(text) { return .int(number) }
        // An id of twenty digits keeps all of them.
        if digits.allSatisfy(isDigit) {
            let written = text.hasPrefix("+") ? String(text.dropFirst()) : text
            guard let number = JSONValue(number: written) else {
                throw fault(line, "the number \(text.prefix(40)) is none that can be sent; write it in quotes")
            }
            return number
        }
        guard let number = Double(text) else { return .string(text) }
        guard number.isFinite else { throw tooLarge(text, line) }
        return .double(number)
    }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private func tooLarge(_ text: String, _ line: Int) -> DevError {
        fault(
            line, "the number \(text.prefix(40)) is beyond what a number can be; leave the bound out, or quote the text"
        )
    }

    // MARK: Helpers

    private func filled(_ text: String, _ line: Int) throws -> String {
        try source.fill(text, variables) { fault(line, $0) }
    }

    private mutating func spend(values: Int = 0, bytes: Int = 0, at line: Int) throws {
        budget.values -= values
        budget.bytes -= bytes
        guard budget.values >= 0, budget.bytes >= 0 else {
            throw fault(line, "too much with all aliases written out: at most 100,000 values and 4 MiB in a file")
        }
    }

    private func fault(_ line: Int, _ detail: String) -> DevError { DevError("\(path):\(line): \(detail)") }
}
