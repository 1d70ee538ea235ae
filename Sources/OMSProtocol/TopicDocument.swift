/// docs/reference/topics.md, made from `TopicTable`.
package enum TopicDocument {
    package static func render() -> String {
        var lines = [
            "# Topics",
            "",
            "Made from `Sources/OMSProtocol/TopicTable.swift` by `oms contract topics`. Do not edit: "
                + "a test compares it.",
            "",
            "Every message is one CloudEvents 1.0 JSON object (content type `\(EnvelopeCodec.contentType)`, at most "
                + "\(EnvelopeCodec.maxBytes) bytes); `type` is in the table, `data` is the message. An empty retained "
                + "message means: the thing is gone.",
            "Retained topics are published at QoS 1; subscribe to them at QoS 0, as a broker silently drops "
                + "what exceeds its queue for QoS 1.",
            "[asyncapi.yaml](asyncapi.yaml) has the same table for programs (AsyncAPI 3.0), and the JSON Schema of every "
                + "message; `oms contract asyncapi > docs/reference/asyncapi.yaml` makes it anew.",
            "",
            "| topic | says | type | QoS | retained | expires | from | to |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in TopicTable.rows {
            let readers = Set(row.readers) == Set(Role.allCases) ? "all" : names(row.readers)
            let cells = [
                "`\(row.pattern)`", row.purpose, "`\(row.type)`", "\(row.qos)", row.retain ? "yes" : "no",
                row.expirySeconds.map { "\($0) s" } ?? "never", names(row.writers), readers,
            ]
            lines.append("| " + cells.joined(separator: " | ") + " |")
        }
        lines += [
            "",
            "The roles `admin` and `monitor` may read every topic. The broker enforces the columns *from* and *to* "
                + "(`docker/mosquitto/acl`).",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func names(_ roles: [Role]) -> String { roles.map(\.rawValue).joined(separator: ", ") }
}
