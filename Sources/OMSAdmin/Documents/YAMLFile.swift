import FoundationEssentials
import OMSDev
package import OMSModel
import Yams

/// Documents read from a YAML file, which know where each of their fields stands.
package struct YAMLFile: Sendable {
    package struct Document: Sendable {
        package var value: JSONValue
        /// RFC 6901 pointer to line.
        var lines: [String: Int]

        /// Of a field; of the nearest thing around it where the field is missing.
        package func line(of pointer: String) -> Int {
            var current = Substring(pointer)
            while true {
                if let line = lines[String(current)] { return line }
                guard let slash = current.lastIndex(of: "/") else { return lines[""] ?? 1 }
                current = current[..<slash]
            }
        }
    }

    package var path: String
    package var documents: [Document]

    /// - Parameter variables: For `${NAME}` in texts; `$${NAME}` stands for the text `${NAME}`.
    package init(contentsOf path: String, variables: @escaping (String) -> String?) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw DevError("cannot read \(path); is the name right?")
        }
        guard data.count <= 1 << 20 else { throw DevError("\(path) is larger than 1 MiB; split it into several files") }
        try self.init(String(decoding: data, as: UTF8.self), path: path, variables: variables)
    }

    package init(_ text: String, path: String, variables: @escaping (String) -> String?) throws {
        self.path = path
        documents = []
        do {
            // Not `compose_all`, whose sequence ends quietly at the first error.
            let parser = try Yams.Parser(yaml: text)
            while let node = try parser.nextRoot() {
                if case .scalar(let scalar) = node, scalar.string.isEmpty { continue }  // an empty document
                var reader = NodeReader(path: path, variables: variables)
                let value = try reader.value(of: node, at: "", depth: 0)
                documents.append(Document(value: value, lines: reader.lines))
            }
        } catch let error as YamlError {
            throw DevError(Self.sentence(error, path))
        }
    }

    private static func sentence(_ error: YamlError, _ path: String) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return "\(path):\(mark.line): not valid YAML: \(problem) (column \(mark.column))"
        case .duplicatedKeysInMapping(let duplicates, let context):
            return
                "\(path):\(context.mark.line): the key '\(duplicates.joined(separator: "', '"))' "
                + "stands there twice; keep one"
        case .no, .memory, .reader, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return "\(path):1: not valid YAML: \(error)"
        }
    }
}

/// Turns nodes into values and remembers their lines.
private struct NodeReader {
    let path: String
    let variables: (String) -> String?
    var lines: [String: Int] = [:]

    /// Aliases can make a small file huge, so what counts is what comes out.
    private static let maxNodes = 100_000
    private static let maxDepth = 50

    init(path: String, variables: @escaping (String) -> String?) {
        self.path = path
        self.variables = variables
    }

    mutating func value(of node: Node, at pointer: String, depth: Int) throws -> JSONValue {
        let line = node.mark?.line ?? 1
        guard lines.count < Self.maxNodes, depth < Self.maxDepth else {
            throw DevError(
                "\(path):\(line): too many values, or too deeply nested "
                    + "(at most \(Self.maxNodes), \(Self.maxDepth) deep)"
            )
        }
        lines[pointer] = lines[pointer] ?? line
        switch node {
        case .scalar(let scalar): return try Self.scalar(scalar, line, path, variables)
        case .sequence(let items):
            var values: [JSONValue] = []
            for (index, item) in items.enumerated() {
                values.append(try value(of: item, at: "\(pointer)/\(index)", depth: depth + 1))
            }
            return .array(values)
        case .mapping(let members):
            var values: JSONObject = [:]
            for (key, member) in members {
                guard let name = key.scalar?.string else {
                    throw DevError("\(path):\(key.mark?.line ?? line): a key must be a plain text")
                }
                // The key's line, as a mapping's own value begins on the next one.
                lines["\(pointer)/\(name)"] = key.mark?.line ?? line
                values[name] = try value(of: member, at: "\(pointer)/\(name)", depth: depth + 1)
            }
            return .object(values)
        case .alias:
            throw DevError("\(path):\(line): an alias to something that is not in this document")
        }
    }

    /// Types by YAML 1.2's core schema. Not YAML 1.1's, where `no` is false and `12:30` is 750.
    private static func scalar(
        _ scalar: Node.Scalar, _ line: Int, _ path: String, _ variables: (String) -> String?
    ) throws -> JSONValue {
        let text = try Substitution.fill(scalar.string, variables) { name in
            DevError(
                "\(path):\(line): the variable \(name) is not set; "
                    + "set it in the environment, or write $${\(name)} for the text itself"
            )
        }
        guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        let digits = text.utf8.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        let looksNumeric = digits.first.map {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".")
        }
        if looksNumeric == true, digits.allSatisfy({ "0123456789.eE+-".utf8.contains($0) }) {
            if let number = Int64(text) { return .int(number) }
            if let number = Double(text) { return .double(number) }
        }
        return .string(text)
    }
}

/// `${NAME}` in texts.
package enum Substitution {
    package static func fill(
        _ text: String, _ variables: (String) -> String?, unset: (String) -> any Error
    ) throws -> String {
        guard text.contains("${") else { return text }
        var result = ""
        var rest = Substring(text)
        while let start = rest.firstRange(of: "${") {
            let before = rest[..<start.lowerBound]
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else { break }
            let name = rest[start.upperBound..<end]
            if before.hasSuffix("$") {
                result += before.dropLast() + "${" + name + "}"
            } else {
                guard let value = variables(String(name)) else { throw unset(String(name)) }
                result += before + value
            }
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}
