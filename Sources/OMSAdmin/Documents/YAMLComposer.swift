import CYaml

/// A node of a YAML document. An alias is the node that it names: how often it is written out is for the reader to count.
final class YAMLNode {
    enum Content {
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([(key: YAMLNode, value: YAMLNode)])
    }

    let content: Content
    /// From 1.
    let line: Int
    /// Empty where there is none.
    let tag: String

    init(_ content: Content, line: Int, tag: String) {
        (self.content, self.line, self.tag) = (content, line, tag)
    }
}

/// Makes documents of the events of libyaml, which comes with Yams. Yams' own nodes are not used: it compares all keys of a
/// mapping while it reads, and a key made of aliases takes longer than anybody lives.
final class YAMLComposer {
    struct Fault: Error {
        var line: Int
        var detail: String
    }

    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    private let input: UnsafeMutableBufferPointer<UInt8>
    private var anchors: [String: YAMLNode] = [:]

    /// More than any document needs; the reader of its values has a limit of its own.
    private static let maxDepth = 64

    init(_ text: String) throws {
        input = .allocate(capacity: text.utf8.count)
        _ = input.initialize(from: text.utf8)
        guard yaml_parser_initialize(parser) == 1 else { throw Fault(line: 1, detail: "there is no memory for it") }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        input.deallocate()
    }

    /// The next document's root; nil after the last one.
    func next() throws -> YAMLNode? {
        while true {
            let step = try event { event -> (isEnd: Bool, isDocument: Bool) in
                (
                    event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT,
                    event.type == YAML_DOCUMENT_START_EVENT
                )
            }
            if step.isEnd { return nil }
            if step.isDocument { return try node(depth: 0) }
        }
    }

    // MARK: Nodes

    private enum Step {
        case node(YAMLNode, anchor: String?)
        case alias(String, line: Int)
        case sequence(line: Int, tag: String, anchor: String?)
        case mapping(line: Int, tag: String, anchor: String?)
        case end
    }

    private func node(depth: Int) throws -> YAMLNode {
        guard let node = try nodeOrEnd(depth: depth) else { throw Fault(line: 1, detail: "a value is missing") }
        return node
    }

    private func nodeOrEnd(depth: Int) throws -> YAMLNode? {
        switch try event(Self.step) {
        case .end: return nil
        case .node(let node, let anchor):
            register(node, anchor)
            return node
        case .alias(let name, let line):
            guard let node = anchors[name] else {
                throw Fault(line: line, detail: "the alias '*\(name)' has no anchor before it")
            }
            return node
        case .sequence(let line, let tag, let anchor):
            try check(depth, line)
            var items: [YAMLNode] = []
            while let item = try nodeOrEnd(depth: depth + 1) { items.append(item) }
            let node = YAMLNode(.sequence(items), line: line, tag: tag)
            register(node, anchor)
            return node
        case .mapping(let line, let tag, let anchor):
            try check(depth, line)
            var members: [(key: YAMLNode, value: YAMLNode)] = []
            while let key = try nodeOrEnd(depth: depth + 1) { members.append((key, try self.node(depth: depth + 1))) }
            let node = YAMLNode(.mapping(members), line: line, tag: tag)
            register(node, anchor)
            return node
        }
    }

    private func check(_ depth: Int, _ line: Int) throws {
        guard depth < Self.maxDepth else {
            throw Fault(line: line, detail: "too deeply nested; at most \(Self.maxDepth) deep")
        }
    }

    private func register(_ node: YAMLNode, _ anchor: String?) {
        if let anchor { anchors[anchor] = node }
    }

    private static func step(_ event: yaml_event_t) -> Step {
        let line = Int(event.start_mark.line) + 1
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            let node = YAMLNode(
                .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), line: line,
                tag: Self.text(scalar.tag) ?? "")
            return .node(node, anchor: Self.text(scalar.anchor))
        case YAML_ALIAS_EVENT: return .alias(Self.text(event.data.alias.anchor) ?? "", line: line)
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            return .sequence(line: line, tag: Self.text(start.tag) ?? "", anchor: Self.text(start.anchor))
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            return .mapping(line: line, tag: Self.text(start.tag) ?? "", anchor: Self.text(start.anchor))
        default: return .end
        }
    }

    private static func text(_ chars: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        chars.map { String(cString: $0) }
    }

    // MARK: Events

    /// What `read` makes of the next event, which lives no longer.
    private func event<Value>(_ read: (yaml_event_t) -> Value) throws -> Value {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else {
            let state = parser.pointee
            var problem = state.problem.map { String(cString: $0) } ?? "cannot be read"
            if problem.hasPrefix("Maximum nesting level") { problem = "too deeply nested" }
            throw Fault(
                line: Int(state.problem_mark.line) + 1,
                detail: "not valid YAML: \(problem) (column \(Int(state.problem_mark.column) + 1))")
        }
        defer { yaml_event_delete(&event) }
        return read(event)
    }
}
