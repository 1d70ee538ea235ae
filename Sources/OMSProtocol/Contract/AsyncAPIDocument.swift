import OMSModel

/// docs/reference/asyncapi.yaml (AsyncAPI 3.0.0), made from `TopicTable` and from what the readers of the messages ask for.
package enum AsyncAPIDocument {
    package static func render() throws -> String {
        let schemas = SchemaRecorder()
        let messages = try messages(schemas)
        let document: YAMLNode = [
            "asyncapi": "3.0.0",
            "info": ["title": "OMS", "version": "1", "description": .text(description)],
            "defaultContentType": .text(EnvelopeCodec.contentType),
            "servers": ["broker": server],
            "channels": map(TopicTable.rows) { ($0.kind.rawValue, channel($0)) },
            "operations": .map(TopicTable.rows.flatMap(operations)),
            "components": [
                "securitySchemes": [
                    "role": [
                        "type": "userPassword",
                        "description": .text(
                            "the user is the role: " + Role.allCases.map(\.rawValue).joined(separator: ", ")),
                    ]
                ],
                "parameters": map(parameterNames) {
                    ($0, ["description": .text("the name of \(meaning(ofParameter: $0)); \(nameRule)")])
                },
                "messages": messages,
                "schemas": map(schemas.definitions.sorted { $0.key < $1.key }) { ($0.key, $0.value) },
            ],
        ]
        return "# Made from the topic table and the messages' readers by 'oms contract asyncapi'. Do not edit: a test "
            + "compares it.\n" + document.rendered()
    }

    private static let description = """
        All topics of OMS. Every message is one CloudEvents 1.0 JSON object of at most \(EnvelopeCodec.maxBytes) \
        bytes in structured mode: there are no headers, data is the message. An empty message says that the thing is \
        gone. The schemas are what the readers take. They take no notice of members that they do not know, and refuse \
        a message with a word that they do not know. They take null for an optional member that is absent; OMS never \
        writes it. The tags of an operation are the roles that may do it: the broker enforces them. Within version 1 \
        only optional members are added.
        """

    private static var server: YAMLNode {
        [
            "host": "{host}:{port}",
            "protocol": "mqtt",
            "protocolVersion": "5.0",
            "description": "client ids are unique for each process run",
            "variables": [
                "host": ["default": "127.0.0.1"],
                "port": ["default": .text("\(BrokerProfile.container.port)")],
            ],
            "security": [.reference("components", "securitySchemes", "role")],
            "bindings": [
                "mqtt": [
                    "cleanSession": true,
                    "keepAlive": .int(BusSession.keepAliveSeconds),
                    "sessionExpiryInterval": .int(BusSession.sessionExpirySeconds),
                    "bindingVersion": .text(bindingVersion),
                ]
            ],
        ]
    }

    // MARK: - Channels

    private static func channel(_ row: TopicRow) -> YAMLNode {
        var members: [YAMLNode.Member] = [
            .init(key: "address", value: .text(row.pattern)),
            .init(key: "description", value: .text(row.purpose)),
        ]
        if !row.parameters.isEmpty {
            let parameters = map(row.parameters) { ($0, .reference("components", "parameters", $0)) }
            members.append(.init(key: "parameters", value: parameters))
        }
        let name = messageKey(row)
        let message = YAMLNode.reference("components", "messages", name)
        members.append(.init(key: "messages", value: .map([.init(key: name, value: message)])))
        return .map(members)
    }

    private static var parameterNames: [String] {
        var names: [String] = []
        for name in TopicTable.rows.flatMap(\.parameters) where !names.contains(name) { names.append(name) }
        return names
    }

    private static func meaning(ofParameter name: String) -> String {
        switch name {
        case "oms": "a registry"
        case "fleet": "a fleet process"
        case "gateway": "a gateway"
        case "tenant": "a tenant"
        case "service": "a service of the tenant, as its scenario calls it"
        case "sp": "a Service Provider"
        case "client": "the client that asked"
        default: preconditionFailure("TopicTable has a parameter {\(name)} that is not explained here")
        }
    }

    // MARK: - Operations

    private static let bindingVersion = "0.2.0"

    /// One that sends and one that receives: who may is in the tags.
    private static func operations(_ row: TopicRow) -> [YAMLNode.Member] {
        var sent: [YAMLNode.Member] = [
            .init(key: "qos", value: .int(row.qos)), .init(key: "retain", value: .bool(row.retain)),
        ]
        if let seconds = row.expirySeconds { sent.append(.init(key: "messageExpiryInterval", value: .int(seconds))) }
        let received = YAMLNode.Member(key: "qos", value: .int(TopicTable.subscriptionQoS(row.kind)))
        let readers = Role.allCases.filter { AccessControlList.mayRead($0, row) }
        return [
            .init(key: "send-" + row.kind.rawValue, value: operation("send", row, row.writers, sent)),
            .init(key: "receive-" + row.kind.rawValue, value: operation("receive", row, readers, [received])),
        ]
    }

    private static func operation(
        _ action: String, _ row: TopicRow, _ roles: [Role], _ binding: [YAMLNode.Member]
    ) -> YAMLNode {
        var members: [YAMLNode.Member] = [
            .init(key: "action", value: .text(action)),
            .init(key: "channel", value: .reference("channels", row.kind.rawValue)),
            .init(key: "tags", value: .list(roles.map { ["name": .text($0.rawValue)] })),
            .init(
                key: "bindings",
                value: ["mqtt": .map(binding + [.init(key: "bindingVersion", value: .text(bindingVersion))])]),
        ]
        if action == "send", let answer = row.kind.answer {
            members.append(
                .init(key: "reply", value: ["channel": .reference("channels", answer.kind.rawValue)]))
        }
        return .map(members)
    }

    // MARK: - Messages

    private static func messages(_ schemas: SchemaRecorder) throws -> YAMLNode {
        var members: [YAMLNode.Member] = []
        for row in TopicTable.rows where !members.contains(where: { $0.key == messageKey(row) }) {
            let (envelope, data) = try row.kind.content(ContentSchema(schemas: schemas))
            var message: [YAMLNode.Member] = [
                .init(key: "name", value: .text(row.type)),
                .init(key: "contentType", value: .text(EnvelopeCodec.contentType)),
            ]
            if let member = correlation(row.kind) {
                message.append(
                    .init(key: "correlationId", value: ["location": .text("$message.payload#/data/\(member)")]))
            }
            message.append(
                .init(
                    key: "payload",
                    value: [
                        "allOf": [
                            envelope,
                            [
                                "type": "object", "required": ["data"],
                                "properties": ["type": ["const": .text(row.type)], "data": data],
                            ],
                        ]
                    ]))
            members.append(.init(key: messageKey(row), value: .map(message)))
        }
        return .map(members)
    }

    /// Some tools take no dots in keys.
    private static func messageKey(_ row: TopicRow) -> String { row.type.replacing(".", with: "-") }

    /// The member by which question and answer find each other.
    private static func correlation(_ kind: TopicKind) -> String? {
        if let answer = kind.answer { return answer.member }
        return TopicKind.allCases.lazy.compactMap(\.answer).first { $0.kind == kind }?.member
    }

    private struct ContentSchema: ContentReader {
        var schemas: SchemaRecorder

        /// - Returns: the schema of the attributes, which all messages share, and that of the data.
        func read<Content: Decodable>(_: (Content) -> Payload) throws -> (YAMLNode, YAMLNode) {
            var (properties, _) = try schemas.properties(of: Envelope<Content>.self)
            guard let data = properties.popLast(), data.name == "data" else {
                throw SchemaError("the envelope does not end with its data")
            }
            for index in properties.indices where properties[index].name == "specversion" {
                properties[index].schema = ["const": .text(EnvelopeCodec.specversion)]
            }
            return (try schemas.define("CloudEvent", schemas.object(properties)), data.schema)
        }
    }

    private static func map<Element>(_ elements: [Element], _ member: (Element) -> (String, YAMLNode)) -> YAMLNode {
        .map(
            elements.map {
                let (key, value) = member($0)
                return .init(key: key, value: value)
            })
    }
}
