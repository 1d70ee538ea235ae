/// The broker's access rules, made from `TopicTable`: whoever is not a topic's writer there is refused by the broker.
package enum AccessControlList {
    /// All that OMS has on the bus; operators may look at everything.
    private static let everything = ["tenant/#", "sp/#", "oms/#", "fleet/#", "gateway/#", "client/#"]

    /// The text of Mosquitto's `acl_file`. Anonymous clients have no rules and so no rights.
    package static func render() -> String {
        var lines = [
            "# Made from the topic table by 'oms contract acl'. Do not edit: a test compares it.",
            "# One user per role. What is not allowed here is refused (PUBACK 0x87) or not delivered.",
        ]
        for role in Role.allCases {
            lines += ["", "user \(role.rawValue)"]
            lines += rules(of: role).map { "topic \($0.access.rawValue) \($0.filter)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package enum Access: String, Sendable { case read, write, readwrite }

    package struct Rule: Hashable, Sendable {
        package var access: Access
        package var filter: String
    }

    private static func observes(_ role: Role) -> Bool { role == .admin || role == .monitor }

    static func mayRead(_ role: Role, _ row: TopicRow) -> Bool { observes(role) || row.readers.contains(role) }

    package static func rules(of role: Role) -> [Rule] {
        let observes = observes(role)
        var rules = observes ? everything.map { Rule(access: .read, filter: $0) } : []
        for row in TopicTable.rows {
            let reads = row.readers.contains(role) && !observes
            let writes = row.writers.contains(role)
            switch (reads, writes) {
            case (true, true): rules.append(Rule(access: .readwrite, filter: row.filter))
            case (true, false): rules.append(Rule(access: .read, filter: row.filter))
            case (false, true): rules.append(Rule(access: .write, filter: row.filter))
            case (false, false): break
            }
        }
        return rules
    }
}
